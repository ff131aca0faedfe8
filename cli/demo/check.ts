/** What the demo verifies with --check, and the lab at larger scale. */
import { randomBytes } from 'node:crypto';
import { idAddress, parseCidr } from '../../overlay/addresses.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { type Id, idOfBytes } from '../../overlay/id.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { ping } from '../probe.ts';
import { ownerOf } from '../ring-picture.ts';
import type { Machine } from './machine.ts';

export type Member = { readonly machine: Machine; readonly node: NodeStatus };

const PINGS_AT_ONCE = 8;

/** Runs the jobs, a few at a time, and gives their results in order. */
export async function inParallel<T>(jobs: readonly (() => Promise<T>)[], atOnce: number): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < jobs.length) {
      const at = next++;
      const job = jobs[at];
      if (job !== undefined) results[at] = await job();
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, jobs.length) }, worker));
  return results;
}

/** Pings every member's IPv4 and IPv6 address from every other; a sentence for each that does not answer. */
export async function pingAllPairs(members: readonly Member[]): Promise<{ pings: number; faults: string[] }> {
  const jobs = members.flatMap(({ machine, node: from }) =>
    members
      .filter(({ node }) => node.id !== from.id)
      .flatMap(({ node: to }) =>
        ([4, 6] as const).map((family) => async (): Promise<string[]> => {
          const address = family === 4 ? to.ipv4 : to.ipv6;
          const namespace = `/run/netns/${machine.namespace}`;
          const { received } = await ping({ namespace, address, family, count: 1, wait: 2 });
          return received === 1 ? [] : [`${from.name} gets no IPv${family} reply from ${to.name} (${address})`];
        }),
      ),
  );
  const results = await inParallel(jobs, PINGS_AT_ONCE);
  return { pings: jobs.length, faults: results.flat() };
}

export function keyAddressOf(node: NodeStatus, id: Id): string {
  const prefix = parseCidr(node.vi.prefix);
  if (prefix === undefined) throw new OverlayError('INTERNAL', 'The VI has no valid prefix.');
  return idAddress(prefix, id);
}

export type KeyCheck = { readonly requests: number; readonly faults: string[]; readonly slowestMs: number };

/** Requests random keys from a member by HTTP; a sentence for each that the wrong node or nobody answers. */
export async function requestKeys(
  from: Member,
  members: readonly Member[],
  count: number,
  parallel: number,
): Promise<KeyCheck> {
  const ids = Array.from({ length: count }, () => idOfBytes(randomBytes(8)));
  const addresses = ids.map((id) => keyAddressOf(from.node, id));
  const fetched = await (await from.machine.agent()).fetch(addresses, undefined, parallel);
  const faults = ids.flatMap((id, i) => {
    const expected = ownerOf(
      members.map(({ node }) => node),
      id,
    )?.name;
    const answer = fetched[i];
    if (answer?.by === expected) return [];
    const by = answer?.by ?? `nobody (${answer?.error ?? ''})`;
    return [`${from.node.name} got ${addresses[i] ?? ''} from ${by} instead of ${expected ?? ''}`];
  });
  return { requests: count, faults, slowestMs: Math.max(...fetched.map(({ ms }) => ms)) };
}
