/** A world whose machines are as far from each other as a model says: a switch that delays stands in for its bridge. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../../cli/demo/machine.ts';
import { ip } from '../../cli/demo/namespaces.ts';
import type { World } from '../../cli/demo/world.ts';
import { Listener } from './tool.ts';

const MICROS_PER_MILLI = 1000;

/** `rttMs`: between machines by their places in the list. The overlay manager is near to all. Ends with its world. */
export function layDistances(
  world: World,
  machines: readonly Machine[],
  rttMs: (a: number, b: number) => number,
): Promise<Listener> {
  const ports = [...machines, world.om].map((machine) => world.portOf(machine));
  const delays = machines.flatMap((_, a) =>
    machines.flatMap((_, b) =>
      a === b ? [] : [`delay ${a} ${b} ${Math.round((rttMs(a, b) / 2) * MICROS_PER_MILLI)}`],
    ),
  );
  const file = join(world.directory, 'distances');
  writeFileSync(file, `${[...ports.map((port) => `port ${port}`), ...delays].join('\n')}\n`);
  return ip(
    world.switch,
    ports.map((port) => `link set ${port} nomaster`),
  ).then(() => Listener.tool(world.switch, 'delay_switch', [file]));
}
