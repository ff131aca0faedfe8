/** What stands in the way of a node's being in its network namespace: others there, or the machine's own addresses. */
import { cidrContains, cidrsOverlap, parseAddress, parseCidr } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import type { Result } from '../../overlay/lib/result.ts';
import { interfaceAddresses } from './endpoints.ts';
import type { Membership } from './files.ts';

/** `others`: the nodes of this machine. ADDRESS_OVERLAP, or CONFLICT with a node of the same VI. */
export function clashOf(membership: Membership, others: readonly Membership[]): Result<never> | { ok: true } {
  const { vi, netns } = membership;
  const neighbours = others.filter((other) => other.netns === netns);
  if (neighbours.some((other) => other.vi.id === vi.id)) return inSameNamespace(vi.name);
  for (const other of neighbours) {
    const overlap = overlapOf(vi, other.vi);
    if (overlap !== undefined) return fail('ADDRESS_OVERLAP', overlap);
  }
  return netns === null ? clashWithBase(vi) : { ok: true };
}

/** A namespace has one node of a VI. */
export function inSameNamespace(vi: string): Result<never> {
  return fail('CONFLICT', `A node of '${vi}' is in this network namespace already; join with --netns, or leave first.`);
}

/** In our own namespace the VI's pools must not hide addresses of the base network. */
function clashWithBase(vi: Membership['vi']): Result<never> | { ok: true } {
  const { name } = vi;
  const pools = poolsOf(vi);
  for (const address of interfaceAddresses()) {
    const bytes = parseAddress(address);
    for (const pool of pools) {
      const cidr = parseCidr(pool);
      if (bytes === undefined || cidr === undefined || !cidrContains(cidr, bytes)) continue;
      return fail(
        'ADDRESS_OVERLAP',
        `This machine's address ${address} lies in a pool of '${name}' (${pool}); join with --netns.`,
      );
    }
  }
  return { ok: true };
}

/** Why two VIs cannot share a network namespace, one sentence; undefined where they can. */
function overlapOf(a: Membership['vi'], b: Membership['vi']): string | undefined {
  for (const mine of poolsOf(a)) {
    for (const theirs of poolsOf(b)) {
      const [x, y] = [parseCidr(mine), parseCidr(theirs)];
      if (x === undefined || y === undefined || !cidrsOverlap(x, y)) continue;
      const text = `The addresses of '${a.name}' (${mine}) overlap with those of '${b.name}' (${theirs})`;
      return `${text} in the same network namespace; join with --netns.`;
    }
  }
  return undefined;
}

function poolsOf({ definition }: Membership['vi']): string[] {
  return definition.links === 'numbered' ? [definition.ipv4Pool, definition.linkPool] : [definition.ipv4Pool];
}
