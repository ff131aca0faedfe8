/** Whom a policy means by names of nodes and groups: a virtual node of the VI is asked who is known to it. */
import { parseAddressNumber } from '../../gateway/core/address-sets.ts';
import { bearersOf, type KnownNode, STRANGERS } from '../../gateway/core/names.ts';
import type { Whose } from '../../gateway/driver/loaded-policy.ts';
import { OverlayError } from '../../overlay/errors.ts';
import type { MeantBy } from '../../overlay/gateway-status.ts';
import { type RdOptions, scopeOf, valueOf } from '../command.ts';
import { askRd, runDirectory } from '../rd-client.ts';

/** Without --vi and --netns, a router's. */
export async function whoseBy(options: RdOptions): Promise<Whose> {
  if (options.vi === undefined && options.netns === undefined) return 'router';
  const question = { t: 'gateway.names', ...scopeOf(options) } as const;
  const { nodes } = valueOf(await askRd(runDirectory(options.run), question, 'gateway.names'));
  const [node, another] = nodes;
  if (node === undefined) throw new OverlayError('NOT_FOUND', 'No such virtual node is here; join a VI first.');
  if (another !== undefined) {
    throw new OverlayError('BAD_ARGUMENT', "Several virtual nodes are meant; choose one with --netns, or the VI's id.");
  }
  return node;
}

/** An address as it is, or node:NAME as that node's first one of the family of `like`. */
export function addressOf(text: string, whose: Whose, like: string): string {
  if (!text.startsWith('node:')) return text;
  if (whose === 'router') {
    throw new OverlayError('BAD_ARGUMENT', `Give --vi with ${text}, or an address: nodes are known in a VI only.`);
  }
  const [node] = bearersOf(text, whose);
  const isIpv6 = like.includes(':') && !like.startsWith('node:');
  const address = node?.addresses.find((candidate) => candidate.includes(':') === isIpv6);
  if (address === undefined) throw new OverlayError('NOT_FOUND', `No node that is known is ${text}; give an address.`);
  return address;
}

export function wordsOfNames(names: readonly MeantBy[]): string[] {
  return names.map(({ name, nodes, count }) => {
    if (name === STRANGERS) return `${name}: addresses of the VI that no known node has`;
    const more = count > nodes.length ? `, and ${count - nodes.length} more` : '';
    return `${name}: ${count === 0 ? 'nobody now' : nodes.join(', ')}${more}`;
  });
}

/** Whose address it is, as far as is known. */
export function bearerOf(address: string, whose: Whose): KnownNode | undefined {
  const number = parseAddressNumber(address);
  if (whose === 'router' || number === undefined) return undefined;
  return whose.nodes.find(({ addresses }) => addresses.some((one) => parseAddressNumber(one) === number));
}
