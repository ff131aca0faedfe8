/**
 * One wire form for every protocol of ours: a CBOR map (RFC 8949) whose field `t` names the message, checked against
 * its schema on the way in. Ids are bignums (tag 2) of 8 bytes; everything else is plain CBOR.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler';
import { decode, encode, type TagDecodeControl, Token, Type as TokenType } from 'cborg';
import { fail } from './errors.ts';
import { type Id, idToBytes } from './id.ts';
import { ok, type Result } from './lib/result.ts';

export type MessageTable = Readonly<Record<string, TSchema>>;

/** A message of the table: its schema's type plus `t`, the name under which the schema stands. */
export type MessageOf<Table extends MessageTable> = {
  [Name in keyof Table & string]: { readonly t: Name } & Static<Table[Name]>;
}[keyof Table & string];

export type Codec<Message> = {
  /** The message must match its schema: a mismatch is our own error and throws. */
  encode(message: Message): Uint8Array;
  /** Never throws; BAD_MESSAGE says which message and field. */
  decode(bytes: Uint8Array): Result<Message>;
};

const BIGNUM_TAG = 2;
/** Deeper input is refused before it is decoded, so that recursion is bounded. */
const NESTING_MAX = 12;

const ENCODE_OPTIONS = {
  typeEncoders: {
    bigint: (value: bigint): Token[] => [
      new Token(TokenType.tag, BIGNUM_TAG),
      new Token(TokenType.bytes, idToBytes(value as Id)),
    ],
  },
  ignoreUndefinedProperties: true,
};

const DECODE_OPTIONS = {
  strict: true,
  rejectDuplicateMapKeys: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowNaN: false,
  allowInfinity: false,
  tags: { [BIGNUM_TAG]: decodeBignum },
};

export function createCodec<const Table extends MessageTable>(table: Table): Codec<MessageOf<Table>> {
  const checks = new Map<string, TypeCheck<TSchema>>();
  const checkFor = (name: string): TypeCheck<TSchema> | undefined => {
    let check = checks.get(name);
    if (check === undefined && Object.hasOwn(table, name)) {
      check = TypeCompiler.Compile(table[name] as TSchema);
      checks.set(name, check);
    }
    return check;
  };
  const mismatch = (name: string, value: unknown): string | undefined => {
    const check = checkFor(name);
    if (check === undefined) return `unknown message '${name.slice(0, 32)}'`;
    if (check.Check(value)) return undefined;
    const first = check.Errors(value).First();
    return `message '${name}' field '${first?.path ?? ''}': ${first?.message ?? 'does not match'}`;
  };
  return {
    encode(message) {
      const { t, ...fields } = message;
      const problem = mismatch(t, fields);
      if (problem !== undefined) throw new TypeError(`cannot encode: ${problem}`);
      return encode(message, ENCODE_OPTIONS);
    },
    decode(bytes) {
      if (nestingOf(bytes) > NESTING_MAX) return fail('BAD_MESSAGE', 'The message is nested too deeply.');
      let value: unknown;
      try {
        value = decode(bytes, DECODE_OPTIONS);
      } catch (error) {
        return fail('BAD_MESSAGE', `Not a message: ${(error as Error).message}.`);
      }
      if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) {
        return fail('BAD_MESSAGE', 'Not a message: no map.');
      }
      const { t, ...fields } = value as { t?: unknown };
      if (typeof t !== 'string') return fail('BAD_MESSAGE', 'Not a message: it has no name.');
      const problem = mismatch(t, fields);
      if (problem !== undefined) return fail('BAD_MESSAGE', `Refused: ${problem}.`);
      return ok(value as MessageOf<Table>);
    },
  };
}

function decodeBignum(content: TagDecodeControl): bigint {
  const bytes = content();
  if (!(bytes instanceof Uint8Array) || bytes.length !== 8) throw new Error('an id takes 8 bytes');
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
}

/** Nesting depth of well-formed CBOR; for malformed input some number, and the decoder then says what is wrong. */
function nestingOf(bytes: Uint8Array): number {
  const remaining: number[] = [];
  let deepest = 0;
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at] as number;
    const major = first >> 5;
    const { value, size } = argumentAt(bytes, at);
    at += size;
    while (remaining.length > 0 && remaining[remaining.length - 1] === 0) remaining.pop();
    if (remaining.length > 0) remaining[remaining.length - 1] = (remaining[remaining.length - 1] as number) - 1;
    if (major === 2 || major === 3) at += value;
    else if (major === 4 || major === 5 || major === 6) {
      remaining.push(major === 4 ? value : major === 5 ? value * 2 : 1);
      deepest = Math.max(deepest, remaining.length);
      if (deepest > NESTING_MAX) return deepest;
    }
  }
  return deepest;
}

function argumentAt(bytes: Uint8Array, at: number): { value: number; size: number } {
  const low = (bytes[at] as number) & 31;
  if (low < 24) return { value: low, size: 1 };
  const length = low === 24 ? 1 : low === 25 ? 2 : low === 26 ? 4 : low === 27 ? 8 : 0;
  let value = 0;
  for (let i = 1; i <= length; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return { value, size: 1 + length };
}
