/** Finds what the user of `ping` and `trace` means: a node's name, an address, or a key. */
import { readlinkSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { formatAddress, idAddress, idOfAddress, parseAddress, parseCidr } from '../overlay/addresses.ts';
import { OverlayError } from '../overlay/errors.ts';
import { type Id, idOfKey } from '../overlay/id.ts';
import type { NodeStatus, RdStatus } from '../overlay/messages/control.ts';
import { valueOf } from './command.ts';
import { type AnswerNamed, askRd } from './rd-client.ts';

export type KnownNodes = AnswerNamed<'nodes'>;
export type KnownNode = KnownNodes['nodes'][number];
export type Family = 4 | 6;

export type Target = {
  readonly text: string;
  readonly address: string;
  readonly family: Family;
  /** Set where the target is a key. */
  readonly key: { readonly id: Id; readonly owner: KnownNode } | undefined;
};

const KEY_SCHEME = 'key:';

export async function knownNodes(run: string, node: NodeStatus): Promise<KnownNodes> {
  return valueOf(await askRd(run, { t: 'nodes', vi: node.vi.id }, 'nodes'));
}

export function keyAddress(node: NodeStatus, id: Id): string {
  const prefix = parseCidr(node.vi.prefix);
  if (prefix === undefined) throw new OverlayError('INTERNAL', 'The VI has no valid prefix.');
  return idAddress(prefix, id);
}

export async function resolveTarget(run: string, node: NodeStatus, text: string, family?: Family): Promise<Target> {
  if (text.startsWith(KEY_SCHEME)) {
    const id = idOfKey(text.slice(KEY_SCHEME.length));
    const found = valueOf(await askRd(run, { t: 'lookup', vi: node.vi.id, id }, 'found'));
    if (family === 4) throw new OverlayError('BAD_ARGUMENT', 'A key has an IPv6 address only; leave -4 out.');
    return { text, address: keyAddress(node, id), family: 6, key: { id, owner: found.owner } };
  }
  const bytes = parseAddress(text);
  if (bytes !== undefined) {
    const own = bytes.length === 4 ? 4 : 6;
    if (family !== undefined && family !== own) {
      throw new OverlayError('BAD_ARGUMENT', `${text} is an IPv${own} address; leave -${family} out.`);
    }
    return { text, address: formatAddress(bytes), family: own, key: undefined };
  }
  const known = await knownNodes(run, node);
  const named = known.nodes.find((other) => other.name === text);
  if (named === undefined) throw new OverlayError('NOT_FOUND', missing(text, node, known));
  const chosen = family ?? 4;
  return { text, address: chosen === 4 ? named.ipv4 : named.ipv6, family: chosen, key: undefined };
}

/** The name of the node with this stable address; undefined if it is none's. */
export function nameOfAddress(known: KnownNodes, address: string): string | undefined {
  const bytes = parseAddress(address);
  if (bytes === undefined) return undefined;
  const prefix = parseCidr(known.vi.prefix);
  const id = prefix === undefined ? undefined : idOfAddress(prefix, bytes);
  const text = formatAddress(bytes);
  return known.nodes.find((node) => node.ipv4 === text || node.id === id)?.name;
}

/** The network namespace of a virtual node, as a path; undefined where it is the caller's own. */
export function namespaceOf(status: RdStatus, node: NodeStatus): string | undefined {
  if (node.netns !== null) return isAbsolute(node.netns) ? node.netns : join('/run/netns', node.netns);
  const path = `/proc/${status.pid}/ns/net`;
  try {
    return readlinkSync(path) === readlinkSync('/proc/self/ns/net') ? undefined : path;
  } catch {
    return undefined;
  }
}

/** A command line that runs in that namespace. */
export function inNamespace(namespace: string | undefined, command: readonly string[]): readonly string[] {
  return namespace === undefined ? command : ['nsenter', `--net=${namespace}`, '--', ...command];
}

function missing(name: string, node: NodeStatus, known: KnownNodes): string {
  if (!known.complete) {
    return `The overlay manager does not answer, so only neighbours are known here, and '${name}' is none of them; use its address.`;
  }
  return `The VI '${node.vi.name}' has no node '${name}'; 'p2pxbone ring' lists them, and a key is written key:${name}.`;
}
