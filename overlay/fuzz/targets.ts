/** What is fuzzed in JavaScript: every codec of messages from outside, the frame reader, the invitation. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Codec } from '../codec.ts';
import { FrameReader } from '../frames.ts';
import { formatInvitation, parseInvitation } from '../invitation.ts';
import { fromControlCodec, toControlCodec } from '../messages/control.ts';
import { p2pdCodec } from '../messages/p2pd-p2pd.ts';
import { toP2pdCodec, toRdCodec } from '../messages/p2pd-rd.ts';
import { rdCodec } from '../messages/rd-rd.ts';

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

export const TARGETS: readonly FuzzTarget[] = [
  codecTarget('to-rd', toRdCodec),
  codecTarget('to-p2pd', toP2pdCodec),
  codecTarget('p2pd-p2pd', p2pdCodec),
  codecTarget('rd-rd', rdCodec),
  codecTarget('to-control', toControlCodec),
  codecTarget('from-control', fromControlCodec),
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
    run: (input) => {
      const parsed = parseInvitation(new TextDecoder('latin1').decode(input));
      return parsed.ok ? 'ok' : parsed.code;
    },
  },
];
