/** How long real resource daemons take for what a P2P daemon asks them: measured on a ring that comes up, from their logs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { RD_LOG } from '../../cli/demo/machine.ts';
import { World } from '../../cli/demo/world.ts';

const NODES = 8;

export type SetUpDelay = {
  /** From tunnel.add until the P2P daemon is told that the tunnel is up, its addresses in the kernel: mean of new ones. */
  readonly tunnelMs: number;
  /** From contact.get to its answer: mean. */
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
    const tunnels = logs.flatMap((log) => delaysIn(log, 'tunnel.add', 'tunnel.up', 'tunnel.down'));
    const contacts = logs.flatMap((log) => delaysIn(log, 'contact.get', 'contact'));
    return { tunnelMs: mean(tunnels), contactMs: mean(contacts), count: tunnels.length };
  } finally {
    await world.remove();
  }
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Times from each question to the first answer that concerns the same peer. With `end`, a question about what is there
 * already, because it was answered and has not ended, does not count.
 */
export function delaysIn(log: string, question: string, answer: string, end?: string): number[] {
  const asked = new Map<string, number>();
  const there = new Set<string>();
  const delays: number[] = [];
  for (const text of log.split('\n')) {
    if (!text.startsWith('{')) continue;
    const { time, to, from, key = '' } = JSON.parse(text) as Line;
    if (from === question && !asked.has(key) && !there.has(key)) asked.set(key, time);
    if (to === end) there.delete(key);
    if (to !== answer) continue;
    if (end !== undefined) there.add(key);
    const since = asked.get(key);
    if (since === undefined) continue;
    delays.push(time - since);
    asked.delete(key);
  }
  return delays;
}
