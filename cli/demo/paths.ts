/** The ways that packets take, read from the range routes of all nodes. */
import { type Id, idOfKey, inRange } from '../../overlay/id.ts';
import { valueOf } from '../command.ts';
import { askRd } from '../rd-client.ts';
import type { Machine } from './machine.ts';

export type RouteTable = {
  readonly id: Id;
  readonly routes: readonly { readonly after: Id; readonly until: Id; readonly to: Id }[];
};

export async function routeTables(machines: readonly Machine[]): Promise<RouteTable[]> {
  const answers = await Promise.all(machines.map((machine) => askRd(machine.run, { t: 'routes' }, 'routes')));
  return answers.flatMap((answer) => valueOf(answer).nodes);
}

/** The nodes that a packet to `target` passes, first and last included; it ends early where a table has no answer. */
export function pathOf(tables: readonly RouteTable[], from: Id, target: Id): Id[] {
  const path = [from];
  for (let at = from; path.length <= tables.length; ) {
    const table = tables.find((other) => other.id === at);
    const next = table?.routes.find((route) => inRange(route, target))?.to;
    if (next === undefined || next === at) break;
    path.push(next);
    at = next;
  }
  return path;
}

/** The one of these keys, and the node to start from, with the longest way; node-to-node packets take tunnels directly. */
export function longestPath(tables: readonly RouteTable[], keys: readonly string[]): { key: string; path: Id[] } {
  let longest: { key: string; path: Id[] } = { key: '', path: [] };
  for (const key of keys) {
    const target = idOfKey(key);
    for (const { id: from } of tables) {
      const path = pathOf(tables, from, target);
      if (path.length > longest.path.length) longest = { key, path };
    }
  }
  return longest;
}
