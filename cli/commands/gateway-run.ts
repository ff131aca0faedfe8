/** The management gateway of a router: it runs, takes another policy, and is watched. */
import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { FirewallRules } from '../../gateway/driver/firewall-rules.ts';
import { Router } from '../../gateway/driver/router.ts';
import { askRouter, controlPath, serveControl } from '../../gateway/driver/router-control.ts';
import type { GatewayFlow, GatewayStatistics } from '../../native/index.ts';
import { type JsonOption, valueOf } from '../command.ts';
import { paint, print, printJson, table } from '../output.ts';
import { runDirectory } from '../rd-client.ts';
import { untilStopped } from '../signals.ts';

type QueueOption = JsonOption & { readonly nfqueue: number; readonly run?: string };
export type GatewayRunOptions = QueueOption & {
  readonly policy: string;
  readonly rules: 'print' | 'set';
  readonly failOpen?: boolean;
  readonly packets: number;
  readonly name?: string;
};
export type GatewayTopOptions = QueueOption & { readonly flows: number; readonly once?: boolean };

const TOP_MS = 2000;
const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6' };

export async function run(options: GatewayRunOptions): Promise<void> {
  const { nfqueue: queue, packets: packetsMax, policy, failOpen = false } = options;
  const settings = { queue, packetsMax, failOpen, policy, host: options.name ?? hostname() };
  const router = valueOf(Router.open(settings));
  const firewall = new FirewallRules(queue, failOpen);
  const path = controlPath(runDirectory(options.run), queue);
  const server = valueOf(await serveControl(path, router));
  const onHangUp = (): void => {
    const reloaded = router.reload();
    if (!reloaded.ok) process.stderr.write(`p2pxbone: the policy in force stays: ${reloaded.message}\n`);
  };
  process.on('SIGHUP', onHangUp);
  try {
    if (options.rules === 'set') valueOf(await firewall.set());
    tellStart(options, router, firewall);
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

function tellStart(options: GatewayRunOptions, router: Router, firewall: FirewallRules): void {
  const { rules, dryRun, warnings } = router.inForce;
  const commands = firewall.commands().map((words) => words.join(' '));
  if (options.json) return printJson({ queue: options.nfqueue, rules, dryRun, warnings, firewall: commands });
  for (const warning of warnings) print(warning);
  print(`The gateway serves queue ${options.nfqueue} with ${rules} rules${dryRun ? ', dry run' : ''}.`);
  if (options.rules === 'set') return print('The firewall queues what is forwarded, until this ends.');
  print('So that the firewall queues what is forwarded, run:');
  for (const line of commands) print(`  ${line}`);
}

export async function reload(options: QueueOption): Promise<void> {
  const path = controlPath(runDirectory(options.run), options.nfqueue);
  const inForce = valueOf(await askRouter(path, { t: 'reload' }));
  if (options.json) return printJson(inForce);
  for (const warning of inForce.warnings) print(warning);
  print(`The policy is in force: ${inForce.rules} rules${inForce.dryRun ? ', dry run' : ''}.`);
}

export async function top(options: GatewayTopOptions): Promise<void> {
  const path = controlPath(runDirectory(options.run), options.nfqueue);
  const look = async (): Promise<readonly [GatewayStatistics, { total: number; flows: readonly GatewayFlow[] }]> => [
    valueOf(await askRouter(path, { t: 'statistics' })),
    valueOf(await askRouter(path, { t: 'flows', most: options.flows })),
  ];
  if (options.json) {
    const [statistics, flows] = await look();
    return printJson({ statistics, ...flows });
  }
  const live = process.stdout.isTTY && !options.once;
  const stop = new AbortController();
  if (live) void untilStopped().then(() => stop.abort());
  for (let before: GatewayStatistics | undefined; !stop.signal.aborted; ) {
    const [statistics, flows] = await look();
    if (live) process.stdout.write('\u001b[H\u001b[2J');
    print(describe(statistics, before, TOP_MS / 1000));
    print(flowTable(flows.flows));
    if (!live) return;
    before = statistics;
    await setTimeout(TOP_MS);
  }
}

function describe(now: GatewayStatistics, before: GatewayStatistics | undefined, seconds: number): string {
  const rate = (of: (all: GatewayStatistics) => number): string =>
    before === undefined ? '' : ` (${Math.round((of(now) - of(before)) / seconds).toLocaleString('en')}/s)`;
  const counted = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none';
  const stages = now.stages
    .filter(({ packets }) => packets > 0)
    .map(({ name, nanoseconds }) => `${name} ${nanoseconds} ns`);
  const { scanner } = now;
  const lines = [
    `${now.packets} packets${rate(({ packets }) => packets)}, ${now.bytes} bytes${rate(({ bytes }) => bytes)}, ${now.flows} flows`,
    `denied ${now.applications['denied'] ?? 0} flows, would deny ${now.applications['wouldDeny'] ?? 0}; waiting ${now.held - now.released} packets`,
    `stages: ${stages.join(', ') || '-'}`,
    `drops: ${counted(now.drops)}`,
    `conditions: ${counted(now.conditions)}`,
    ...(scanner === undefined
      ? []
      : [
          `scanner: ${scanner.up ? scanner.version : paint('red', `not there: ${scanner.why}`)}; ` +
            `${scanner.files} files, ${scanner.infected} infected, ` +
            `not scanned: ${scanner.unavailable} unavailable, ${scanner.tooBig} too big`,
        ]),
    ...now.limits.map(
      (line) => `limit ${line.name}: ${line.bytes} bytes, ${line.waiting} waiting, ${line.dropped} dropped`,
    ),
  ];
  return lines.join('\n');
}

function flowTable(flows: readonly GatewayFlow[]): string {
  if (flows.length === 0) return 'No flow is known now.';
  const at = (address: string, port: number): string =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return table(
    ['PROTOCOL', 'FROM', 'TO', 'APPLICATION', 'STATE', 'RULE', 'UP', 'DOWN'],
    flows.map((flow) => [
      PROTOCOLS[flow.protocol] ?? String(flow.protocol),
      at(flow.from, flow.fromPort),
      at(flow.to, flow.toPort),
      flow.application === '' ? '-' : flow.application,
      flow.state,
      flow.rule,
      String(flow.bytesUp),
      String(flow.bytesDown),
    ]),
  );
}
