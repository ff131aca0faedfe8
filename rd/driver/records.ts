/** Node records as text, in the overlay manager's answers and in memberships. */
import { Value } from '@sinclair/typebox/value';
import { NodeRecord } from '../../overlay/fields.ts';
import { parseId } from '../../overlay/id.ts';
import { fromBase64 } from './identity.ts';

export type RecordText = { readonly id: string; readonly incarnation: number; readonly contact: string };

/** Those that can be passed on to a P2P daemon; the others are left out. */
export function recordsOf(texts: readonly RecordText[]): NodeRecord[] {
  return texts.flatMap(({ id, incarnation, contact }) => {
    const record = { id: parseId(id), incarnation, contact: fromBase64(contact) };
    return Value.Check(NodeRecord, record) ? [record] : [];
  });
}
