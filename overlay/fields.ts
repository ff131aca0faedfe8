/** Schemas of the values that several protocols carry. */
import { type Static, type TObject, type TProperties, Type } from '@sinclair/typebox';
import type { ValueError } from '@sinclair/typebox/errors';
import type { ErrorCode } from './errors.ts';
import { ERROR_CODES } from './errors.ts';
import type { Id } from './id.ts';

/** An object with these fields and no others: what is not understood is refused, not ignored. */
export function closed<Fields extends TProperties>(fields: Fields): TObject<Fields> {
  return Type.Object(fields, { additionalProperties: false });
}

/** What is wrong with a file that an operator wrote, one sentence: the field and, where few values are right, those. */
export function complaintOf({ path, schema, message }: ValueError): string {
  const field = path.slice(1).replaceAll('/', '.') || 'it';
  const words = (schema['anyOf'] as { const?: unknown }[] | undefined)?.map((option) => option.const) ?? [];
  if (words.length > 0 && words.every((word) => typeof word === 'string')) {
    return `${field}: give one of ${words.join(', ')}.`;
  }
  if (schema['minItems'] === 1) return `${field}: give at least one, and each only once.`;
  if (schema['uniqueItems'] === true && /unique/i.test(message)) return `${field}: give each only once.`;
  return `${field}: ${message}.`;
}

/** Largest contact, bytes; fixed so that a node record fits nine times into one datagram of the smallest IPv6 MTU. */
export const CONTACT_BYTES_MAX = 96;

export const IdField = Type.Unsafe<Id>(Type.BigInt({ minimum: 0n, maximum: 2n ** 64n - 1n }));

/** Opaque to everyone but resource daemons: how to reach a node on the base network. */
export const Contact = Type.Uint8Array({ minByteLength: 1, maxByteLength: CONTACT_BYTES_MAX });

/** Grows with each start of the node; a record with a higher one replaces one with a lower one. */
export const Incarnation = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** What P2P daemons know and tell of a node. */
export const NodeRecord = closed({ id: IdField, incarnation: Incarnation, contact: Contact });
export type NodeRecord = Static<typeof NodeRecord>;

/** Matches an answer to its question; chosen by the asker. */
export const RequestId = Type.Integer({ minimum: 0, maximum: 0xffff_ffff });

export const ErrorCodeField = Type.Unsafe<ErrorCode>(Type.Union(ERROR_CODES.map((code) => Type.Literal(code))));

/** A numeric address, either family. */
export const AddressText = Type.String({ minLength: 2, maxLength: 45 });

export const Port = Type.Integer({ minimum: 1, maximum: 65535 });

/** Name of a VI or a node: a DNS label. */
export const NAME_PATTERN = '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$';
export const Name = Type.String({ pattern: NAME_PATTERN, maxLength: 32 });

/** The id string of a VI, given by the overlay manager. */
export const ViId = Type.String({ pattern: '^vi-[0-9a-f]{16}$' });

export const Group = Type.String({ pattern: NAME_PATTERN, maxLength: 32 });
export const GROUPS_MAX = 16;
export const Groups = Type.Array(Group, { maxItems: GROUPS_MAX, uniqueItems: true });
