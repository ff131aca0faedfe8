/** The management gateway of a router. */
import { hostname } from 'node:os';
import { FirewallRules } from '../../gateway/driver/firewall-rules.ts';
import { ManagedGateway, type Place } from '../../gateway/driver/managed-gateway.ts';
import { controlPath, serveControl } from '../../gateway/driver/router-control.ts';
import { openQueueGateway } from '../../native/index.ts';
import type { PolicyInForce } from '../../overlay/gateway-status.ts';
import { type JsonOption, valueOf } from '../command.ts';
import { print, printJson } from '../output.ts';
import { runDirectory } from '../rd-client.ts';
import { untilStopped } from '../signals.ts';

/** Packets are queued before they are routed only if the first policy needs it. */
const ROUTER: Place = { whose: () => 'router', mayRedirectLater: false };

export type GatewayRunOptions = JsonOption & {
  readonly nfqueue: number;
  readonly run?: string;
  readonly policy: string;
  readonly rules: 'print' | 'set';
  readonly failOpen?: boolean;
  readonly packets: number;
  readonly name?: string;
};

export async function run(options: GatewayRunOptions): Promise<void> {
  const { nfqueue: queue, packets: packetsMax, policy, failOpen = false } = options;
  const recording = { host: options.name ?? hostname() };
  const queueOptions = { queue, packetsMax, failOpen };
  const router = valueOf(
    ManagedGateway.open(
      policy,
      recording,
      (services, rules) => openQueueGateway(queueOptions, services, rules),
      ROUTER,
    ),
  );
  const firewall = new FirewallRules(queue, failOpen, router.redirects);
  const path = controlPath(runDirectory(options.run), queue);
  const server = valueOf(await serveControl(path, router));
  const onHangUp = (): void => {
    const reloaded = router.reload();
    if (!reloaded.ok) process.stderr.write(`p2pxbone: the policy in force stays: ${reloaded.message}\n`);
  };
  process.on('SIGHUP', onHangUp);
  try {
    if (options.rules === 'set') valueOf(await firewall.set());
    tellStart(options, router.inForce, firewall);
    await untilStopped();
  } finally {
    // Before the queue has nobody who serves it.
    await firewall.remove();
    process.off('SIGHUP', onHangUp);
    server.close();
    const { queue: queued } = router.statistics();
    router.close();
    if (!options.json) print(`${queued.packets} packets have passed the gateway.`);
  }
}

function tellStart(options: GatewayRunOptions, inForce: PolicyInForce, firewall: FirewallRules): void {
  const { rules, dryRun, warnings } = inForce;
  const commands = firewall.commands().map((words) => words.join(' '));
  if (options.json) return printJson({ queue: options.nfqueue, rules, dryRun, warnings, firewall: commands });
  for (const warning of warnings) print(warning);
  print(`The gateway serves queue ${options.nfqueue} with ${rules} rules${dryRun ? ', dry run' : ''}.`);
  if (options.rules === 'set') return print('The firewall queues what is forwarded, until this ends.');
  print('So that the firewall queues what is forwarded, run:');
  for (const line of commands) print(`  ${line}`);
}
