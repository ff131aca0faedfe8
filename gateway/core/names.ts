/**
 * Nodes and security groups of a virtual Internet, by their names in policies: `node:NAME`, `group:NAME`, and `strangers`,
 * who have an address of the virtual Internet that no known node has.
 */
import { NAME_PATTERN } from '../../overlay/fields.ts';
import { type AddressRange, merged, parseAddressRanges, without } from './address-sets.ts';
import type { Place } from './problems.ts';

export const STRANGERS = 'strangers';

/** A virtual node of which its certificate, or the overlay manager's list, has told. */
export type KnownNode = {
  readonly name: string;
  readonly groups: readonly string[];
  /** Under which it can be met here. */
  readonly addresses: readonly string[];
};

/** Who is known in a virtual Internet. */
export type Directory = {
  readonly nodes: readonly KnownNode[];
  /** Networks of the virtual Internet. */
  readonly prefixes: readonly string[];
};

/** One that a policy uses, and where it does so first. */
export type UsedName = { readonly name: string; readonly place: Place };

/** Ranges and names together; one of them suffices. */
export type AddressSet = { readonly ranges: readonly AddressRange[]; readonly names: readonly string[] };

/** Undefined for what is no such name; a sentence for one that no node or group can have. */
export function networkNameIn(text: string): { readonly problem?: string } | undefined {
  if (text === STRANGERS) return {};
  const [, name] = /^(?:node|group):(.*)$/s.exec(text) ?? [];
  if (name === undefined) return undefined;
  if (new RegExp(NAME_PATTERN).test(name)) return {};
  return { problem: `names have up to 32 small letters, digits and '-'; correct it` };
}

/** Those who bear the name, in the directory's order; for `strangers` nobody does. */
export function bearersOf(name: string, { nodes }: Directory): KnownNode[] {
  const [kind, own = ''] = name.split(':', 2);
  if (kind === 'node') return nodes.filter((node) => node.name === own);
  return kind === 'group' ? nodes.filter(({ groups }) => groups.includes(own)) : [];
}

/** A set's addresses, as far as is known who bears its names; ascending and disjoint. */
export function resolved({ ranges, names }: AddressSet, directory: Directory | undefined): readonly AddressRange[] {
  if (names.length === 0 || directory === undefined) return ranges;
  return merged([...ranges, ...names.flatMap((name) => rangesOf(name, directory))]);
}

function rangesOf(name: string, directory: Directory): readonly AddressRange[] {
  if (name !== STRANGERS) return bearersOf(name, directory).flatMap(rangesOfNode);
  const all = merged(directory.prefixes.flatMap((prefix) => parseAddressRanges(prefix) ?? []));
  return without(all, merged(directory.nodes.flatMap(rangesOfNode)));
}

function rangesOfNode({ addresses }: KnownNode): AddressRange[] {
  return addresses.flatMap((address) => parseAddressRanges(address) ?? []);
}
