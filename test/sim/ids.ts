/** Ids of simulated nodes. */
import { idOfAddress as idOfCidrAddress, parseCidr } from '../../overlay/addresses.ts';
import { type Id, idOfNode } from '../../overlay/id.ts';

export type { Id };

/** The id that a node with the index-th address of 10.77/16 has. */
export function idOfNodeText(index: number, viId: string): Id {
  return idOfNode(Uint8Array.of(10, 77, index >> 8, index & 0xff), viId);
}

export function idOfAddress(prefix: string, address: Uint8Array | undefined): Id | undefined {
  const cidr = parseCidr(prefix);
  return cidr === undefined || address === undefined ? undefined : idOfCidrAddress(cidr, address);
}
