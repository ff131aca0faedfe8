/** Brings a whole VI up: the overlay manager, the VI, and a node on every machine. */
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { OverlayError } from '../../overlay/errors.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import type { Progress } from '../progress.ts';
import type { World } from './world.ts';

export const DEMO_VI = 'demo';
/** Up to so many nodes the successor lists are kept short, or every node would be everybody's neighbour. */
const SHORT_LISTS_NODES_MAX = 12;

export function viDefinition(nodes: number): Readonly<Record<string, unknown>> {
  return nodes <= SHORT_LISTS_NODES_MAX ? { successors: 2 } : {};
}

/** Ends with what is missing: the demo makes namespaces and devices, and uses programs of the system. */
export async function requirePrivileges(): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new OverlayError(
      'NOT_PERMITTED',
      'The demo makes network namespaces and TAP devices, which takes root; run it as root, for example with sudo.',
    );
  }
  try {
    await access('/dev/net/tun', constants.R_OK);
  } catch {
    throw new OverlayError(
      'NOT_PERMITTED',
      'There is no /dev/net/tun here; load the kernel module tun or use another machine.',
    );
  }
  for (const program of ['ip', 'nsenter', 'ping']) {
    if (!(await isInstalled(program))) {
      throw new OverlayError('SYSTEM', `${program} is not installed; install iproute2, util-linux and iputils-ping.`);
    }
  }
}

async function isInstalled(program: string): Promise<boolean> {
  for (const directory of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']) {
    try {
      await access(join(directory, program), constants.X_OK);
      return true;
    } catch {
      // Not in this one.
    }
  }
  return false;
}

/** The nodes as they were when each had its first place on the ring. */
export async function bringUp(world: World, count: number, progress: Progress): Promise<NodeStatus[]> {
  progress.step('making network namespaces');
  await world.create();
  const machines = await world.addMachines(count);
  let ready = 0;
  const announce = (): void =>
    progress.step(`starting the overlay manager and ${count} resource daemons`, `${ready} ready`);
  announce();
  const [invitation] = await Promise.all([
    makeVi(world, count),
    ...machines.map(async (machine) => {
      await machine.startRd();
      ready++;
      announce();
    }),
  ]);
  let joined = 0;
  progress.step('joining', `0 of ${count}`);
  return Promise.all(
    machines.map(async (machine) => {
      const node = await machine.mustJoin(invitation);
      progress.step('joining', `${++joined} of ${count}`);
      return node;
    }),
  );
}

async function makeVi(world: World, count: number): Promise<string> {
  await world.startOm();
  await world.createVi(DEMO_VI, viDefinition(count));
  return world.invite(DEMO_VI, ['--uses', String(count)]);
}
