/** How long real resource daemons take for what a P2P daemon asks them: measured on a ring that comes up, from their logs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { RD_LOG } from '../../cli/demo/machine.ts';
import { World } from '../../cli/demo/world.ts';
import { median } from '../statistics.ts';

const NODES = 8;

export type SetUpDelay = {
  /** From tunnel.add until the P2P daemon is told that the tunnel is up, its addresses in the kernel: median. */
  readonly tunnelMs: number;
  /** From contact.get to its answer: median. */
  readonly contactMs: number;
  /** Tunnels measured. */
  readonly count: number;
};

type Line = { readonly time: number; readonly to?: string; readonly from?: string; readonly key?: string };

/** The base network of this ring is a bridge of one machine: what is measured is the daemons' own part. */
export async function measureSetUp(say: (line: string) => void): Promise<SetUpDelay> {
  say(`set-up of tunnels: ${NODES} real nodes join`);
  const world = new World({ kind: 'pxb' });
  try {
    await world.create();
    const machines = await world.addMachines(NODES);
    await world.startOm();
    await world.createVi('setup');
    for (const machine of machines) {
      const file = join(machine.directory, 'rd.yaml');
      writeFileSync(file, stringify({ logLevel: 'trace' }));
      await machine.startRd(['--config', file]);
    }
    const invitation = await world.invite('setup', ['--uses', String(NODES)]);
    for (const machine of machines) await machine.mustJoin(invitation);
    await world.untilIdeal();
    const logs = machines.map((machine) => readFileSync(join(machine.directory, RD_LOG), 'utf8'));
    const tunnels = logs.flatMap((log) => delaysIn(log, 'tunnel.add', 'tunnel.up'));
    const contacts = logs.flatMap((log) => delaysIn(log, 'contact.get', 'contact'));
    return { tunnelMs: median(tunnels), contactMs: median(contacts), count: tunnels.length };
  } finally {
    await world.remove();
  }
}

/** Times from each question to the first answer of that kind that concerns the same peer. */
export function delaysIn(log: string, question: string, answer: string): number[] {
  const asked = new Map<string, number>();
  const delays: number[] = [];
  for (const text of log.split('\n')) {
    if (!text.startsWith('{')) continue;
    const { time, to, from, key = '' } = JSON.parse(text) as Line;
    if (from === question && !asked.has(key)) asked.set(key, time);
    const since = to === answer ? asked.get(key) : undefined;
    if (since === undefined) continue;
    delays.push(time - since);
    asked.delete(key);
  }
  return delays;
}
