/** The demo from its first namespace to its last. */
import { readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, OverlayError } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { paint, print, printJson } from '../output.ts';
import { Progress } from '../progress.ts';
import { COMMAND_FILE } from '../rd-launch.ts';
import { HTTP_PORT } from './agent-client.ts';
import { bringUp, DEMO_VI, requirePrivileges, viDefinition } from './bring-up.ts';
import type { Member } from './check.ts';
import { namespacesWithPrefix } from './namespaces.ts';
import { play } from './play.ts';
import { type Findings, Tour } from './tour.ts';
import { removeWorld, World } from './world.ts';

export type DemoOptions = {
  readonly nodes: number;
  readonly check?: boolean;
  readonly keep?: boolean;
  readonly json?: boolean;
  readonly remove?: string;
};

const KIND = 'pxd';
const IDEAL_MS = 60_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Exit code of a program that a signal has ended. */
const SIGNALLED = 130;

export async function runDemo(options: DemoOptions): Promise<void> {
  await requirePrivileges();
  if (options.remove !== undefined) return removeKept(options.remove, options.json ?? false);
  const world = new World({ kind: KIND });
  const progress = new Progress(options.json);
  let stopping = false;
  const removeAndExit = (code: number): void => {
    if (stopping) return;
    stopping = true;
    progress.end();
    process.stderr.write('\nremoving the demo\n');
    void world.remove().finally(() => process.exit(code));
  };
  const stop = (): void => removeAndExit(SIGNALLED);
  // A fault of ours must not leave the machine full of namespaces either.
  const crash = (error: Error): void => {
    process.stderr.write(`p2pxbone: ${error.stack ?? error.message}\n`);
    removeAndExit(EXIT.failed);
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  process.on('uncaughtException', crash);
  let kept = false;
  try {
    kept = await perform(world, options, progress);
  } catch (error) {
    // What fails because everything is being removed is no news; the process ends when that is done.
    if (stopping) await new Promise(() => undefined);
    throw error;
  } finally {
    progress.end();
    if (!kept) await world.remove();
    for (const signal of SIGNALS) process.off(signal, stop);
    process.off('uncaughtException', crash);
  }
}

/** Whether the world shall stay. */
async function perform(world: World, options: DemoOptions, progress: Progress): Promise<boolean> {
  const started = systemClock.now();
  const elapsed = (): number => Math.round(systemClock.now() - started);
  const successors = Number(viDefinition(options.nodes)['successors'] ?? 4);
  const findings: Findings = {
    id: world.id,
    nodes: options.nodes,
    successors,
    upMs: 0,
    idealMs: 0,
    checkedMs: 0,
    tunnels: 0,
    pings: 0,
    keyRequests: 0,
    longestPath: [],
    failover: null,
    faults: [],
  };
  await bringUp(world, options.nodes, progress);
  findings.upMs = elapsed();
  const agents = Promise.all(world.machines.map((machine) => machine.agent()));
  const nodes = await converge(world, progress);
  findings.idealMs = elapsed();
  await agents;
  progress.end();
  const silent = options.json ?? false;
  const tell = silent ? () => undefined : print;
  tell(
    `${options.nodes} nodes are up after ${seconds(findings.upMs)}; the ring is ideal after ${seconds(findings.idealMs)}.`,
  );
  const tour = new Tour(world, nodes, findings, silent);
  await tour.ring();
  await tour.reach();
  if (options.check) await tour.checkAll();
  await tour.failover();
  if (options.check) {
    progress.step('waiting for the ring to close');
    await world.untilIdeal({ machines: tour.survivors.map(({ machine }) => machine), timeoutMs: IDEAL_MS });
    progress.end();
  }
  findings.checkedMs = elapsed();
  if (options.json) printJson(findings);
  conclude(findings, options, tell);
  if (options.keep) {
    await keep(world, tour.survivors, tell);
    return true;
  }
  if (!options.check && !silent && process.stdin.isTTY && process.stdout.isTTY) await play(world, tour.survivors);
  return false;
}

async function converge(world: World, progress: Progress): Promise<NodeStatus[]> {
  progress.step('waiting for the ring to become ideal');
  return world.untilIdeal({
    timeoutMs: IDEAL_MS,
    onFaults: (count) => progress.step('waiting for the ring to become ideal', `${count} to go`),
  });
}

function conclude(findings: Findings, options: DemoOptions, tell: (text: string) => void): void {
  if (findings.faults.length > 0) {
    throw new OverlayError(
      'SYSTEM',
      `The demo found ${findings.faults.length} faults: ${findings.faults.slice(0, 5).join('; ')}.`,
    );
  }
  if (options.check) tell(`\n${paint('green', 'Everything checked')} after ${seconds(findings.checkedMs)}.`);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

async function keep(world: World, survivors: readonly Member[], tell: (text: string) => void): Promise<void> {
  await Promise.all(
    world.machines.map(async (machine) => {
      await (await machine.agent()).stay();
      machine.releaseAgent();
    }),
  );
  writeFileSync(join(world.directory, 'demo.json'), `${JSON.stringify({ id: world.id })}\n`);
  const [first, ...others] = survivors.map(({ machine }) => machine);
  const last = others.at(-1);
  if (first === undefined || last === undefined) return;
  const command = `${process.execPath} ${COMMAND_FILE}`;
  const address = `$(p2pxbone key hello --json | grep -m 1 '"address"' | cut -d '"' -f 4)`;
  tell(
    [
      '',
      `The demo ${paint('bold', world.id)} stays up. To look from ${first.name}:`,
      `  alias p2pxbone='${command}'`,
      `  export P2PXBONE_RUN=${first.run}`,
      '  p2pxbone ring',
      '  p2pxbone tunnels',
      '  p2pxbone key hello',
      `  p2pxbone trace ${last.name}`,
      `  ip netns exec ${first.namespace} curl -s "http://[${address}]:${HTTP_PORT}/"`,
      'As the administrator of the VI:',
      `  ip netns exec ${world.om.namespace} ${command} node list ${DEMO_VI} --data ${world.om.data}`,
      'Remove it with:',
      `  p2pxbone demo --remove ${world.id}`,
    ].join('\n'),
  );
}

async function removeKept(id: string, json: boolean): Promise<void> {
  if (!/^pxd[0-9a-f]{6}$/.test(id))
    throw new OverlayError('BAD_ARGUMENT', `'${id}' is no demo; an id looks like pxd3fa21c.`);
  const directory = readdirSync(tmpdir()).find((name) => name.startsWith(`${id}-`));
  if (directory === undefined && (await namespacesWithPrefix(`${id}-`)).length === 0) {
    throw new OverlayError('NOT_FOUND', `There is no demo ${id} on this machine.`);
  }
  await removeWorld(id, join(tmpdir(), directory ?? `${id}-gone`));
  if (json) printJson({ removed: id });
  else print(`Removed demo ${id}.`);
}
