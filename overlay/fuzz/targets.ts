/** What is fuzzed in JavaScript: every codec of messages from outside, frames, invitations, revocation lists, seals. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { openSealed, sealKey, sealMessage, serialOfSealed } from '../address-seal.ts';
import type { Codec } from '../codec.ts';
import { DerReader, TAG } from '../der.ts';
import { FrameReader } from '../frames.ts';
import { formatInvitation, parseInvitation } from '../invitation.ts';
import { fromAddressServerCodec, toAddressServerCodec } from '../messages/address.ts';
import { fromControlCodec, toControlCodec } from '../messages/control.ts';
import { p2pdCodec } from '../messages/p2pd-p2pd.ts';
import { toP2pdCodec, toRdCodec } from '../messages/p2pd-rd.ts';
import { rdCodec } from '../messages/rd-rd.ts';
import { PartReader } from '../parts.ts';
import { parseRevocationBody, parseRevocationList } from '../revocation-list.ts';

export type FuzzTarget = {
  readonly name: string;
  readonly seeds: readonly Uint8Array[];
  /** Throws if the input breaks a promise. Returns what kind of path it took, so that new paths are kept as seeds. */
  readonly run: (input: Uint8Array) => string;
};

/** The golden files are the seeds. */
function goldenSeeds(protocol: string): Uint8Array[] {
  const text = readFileSync(new URL(`../test/golden/${protocol}.txt`, import.meta.url), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Uint8Array.from(Buffer.from(line.split(' ')[1] ?? '', 'hex')));
}

/** A CA's certificate, and lists that it signed. */
const [CA_PEM = '', ...LISTS] = readFileSync(new URL('../test/golden/revocation-list.pem', import.meta.url), 'utf8')
  .split(/(?<=-----END [^-]+-----\n)/)
  .filter((block) => block !== '');

/** What the CA signed of a list. */
function bodyOfList(pem: string): Uint8Array {
  const der = Uint8Array.from(Buffer.from(pem.replaceAll(/-----[^-]+-----|\n/g, ''), 'base64'));
  return new DerReader(der).enter(TAG.sequence).raw(TAG.sequence);
}

function codecTarget<Message extends { readonly t: string }>(name: string, codec: Codec<Message>): FuzzTarget {
  return {
    name,
    seeds: goldenSeeds(name),
    run(input) {
      const decoded = codec.decode(input);
      if (!decoded.ok) return decoded.message.replaceAll(/\d+/g, '#').slice(0, 80);
      const again = codec.decode(codec.encode(decoded.value));
      assert.ok(again.ok, 'what was accepted can be said again');
      assert.deepEqual(again.value, decoded.value);
      return decoded.value.t;
    },
  };
}

const SEAL_KEY = sealKey(new Uint8Array(32).fill(7));
const SEALED = goldenSeeds('to-address-server').map((message) =>
  sealMessage('request', '40'.repeat(16), SEAL_KEY, message),
);

export const TARGETS: readonly FuzzTarget[] = [
  codecTarget('to-rd', toRdCodec),
  codecTarget('to-p2pd', toP2pdCodec),
  codecTarget('p2pd-p2pd', p2pdCodec),
  codecTarget('rd-rd', rdCodec),
  codecTarget('to-control', toControlCodec),
  codecTarget('from-control', fromControlCodec),
  codecTarget('to-address-server', toAddressServerCodec),
  codecTarget('from-address-server', fromAddressServerCodec),
  {
    // Nobody without the key can make one that opens.
    name: 'address-seal',
    seeds: SEALED,
    run(input) {
      const serial = serialOfSealed('request', input);
      if (serial === undefined) return 'no seal';
      assert.match(serial, /^[0-9a-f]{32}$/);
      const message = openSealed(SEAL_KEY, input);
      if (message === undefined) return `refused ${input.length >> 4}`;
      assert.ok(SEALED.some((sealed) => Buffer.compare(sealed, input) === 0));
      return 'opened';
    },
  },
  {
    name: 'answer-parts',
    seeds: goldenSeeds('from-control'),
    run(input) {
      const reader = new PartReader();
      const half = input.length >> 1;
      const pieces = [input.subarray(0, half), input.subarray(half)].filter(({ length }) => length > 0);
      let outcome = 'none';
      pieces.forEach((bytes, index) => {
        const taken = reader.take({ t: 'part', bytes, more: index < pieces.length - 1 });
        outcome = taken.ok ? (taken.value?.t ?? 'more') : taken.code;
        if (taken.ok && taken.value !== undefined) assert.deepEqual(fromControlCodec.decode(input), taken);
      });
      return outcome;
    },
  },
  {
    name: 'frames',
    seeds: [Uint8Array.of(0, 0, 0, 3, 1, 0xa1, 0x61), Uint8Array.of(0, 0, 0, 1, 1, 0, 0, 0, 1, 1)],
    run(input) {
      const reader = new FrameReader();
      for (let at = 0; at < input.length; at += 3) {
        const result = reader.push(input.subarray(at, at + 3));
        if (!result.ok) return result.code;
        for (const message of result.value) assert.ok(message.length <= input.length);
      }
      return 'open';
    },
  },
  {
    name: 'invitation',
    seeds: [
      new TextEncoder().encode(
        formatInvitation({
          host: '192.0.2.1',
          port: 4781,
          caFingerprint: new Uint8Array(32).fill(0x11),
          vi: 'lab',
          secret: new Uint8Array(16).fill(0x22),
          expires: 1_790_000_000,
        }),
      ),
    ],
    run(input) {
      const parsed = parseInvitation(new TextDecoder('latin1').decode(input));
      return parsed.ok ? 'ok' : parsed.code;
    },
  },
  {
    // As a CA that means harm could sign it: what stands before the signature is no obstacle then.
    name: 'revocation-list',
    seeds: LISTS.map(bodyOfList),
    run(input) {
      const parsed = parseRevocationBody(input);
      if (!parsed.ok) return parsed.message;
      assert.ok(Number.isSafeInteger(parsed.value.number));
      for (const serial of parsed.value.serials) assert.match(serial, /^(?:0|[1-9a-f][0-9a-f]{0,39})$/);
      return `ok ${parsed.value.serials.size}`;
    },
  },
  {
    name: 'revocation-list-pem',
    seeds: LISTS.map((pem) => new TextEncoder().encode(pem)),
    run(input) {
      const parsed = parseRevocationList(new TextDecoder('latin1').decode(input), CA_PEM);
      // Who has no key of the CA's can only send what it has signed, with other line breaks at most.
      if (!parsed.ok) return parsed.message;
      assert.ok(LISTS.some((pem) => Buffer.compare(bodyOfList(pem), bodyOfList(parsed.value.pem)) === 0));
      return 'ok';
    },
  },
];
