/** Mutations of a valid input, by seed. */
import { below, type Rng } from '../lib/rng.ts';

/** Heads of CBOR items that parsers get wrong: large lengths, nested containers, tags, breaks, floats. */
const HEADS = [
  0x00, 0x18, 0x1b, 0x3b, 0x40, 0x5b, 0x5f, 0x7b, 0x80, 0x9b, 0x9f, 0xa0, 0xbb, 0xbf, 0xc2, 0xdb, 0xf4, 0xf7, 0xfb,
  0xff,
];
const GROWTH_MAX = 4096;

export function mutate(input: Uint8Array, donor: Uint8Array, rng: Rng): Uint8Array {
  let bytes = input;
  for (let round = 1 + below(rng, 4); round > 0; round--) bytes = mutateOnce(bytes, donor, rng);
  return bytes.subarray(0, GROWTH_MAX);
}

function mutateOnce(input: Uint8Array, donor: Uint8Array, rng: Rng): Uint8Array {
  const bytes = Uint8Array.from(input);
  const at = below(rng, bytes.length + 1);
  const position = Math.min(at, bytes.length - 1);
  switch (below(rng, 7)) {
    case 0:
      if (bytes.length > 0) bytes[position] = (bytes[position] as number) ^ (1 << below(rng, 8));
      return bytes;
    case 1:
      if (bytes.length > 0) bytes[position] = HEADS[below(rng, HEADS.length)] as number;
      return bytes;
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return splice(bytes, at, Uint8Array.of(HEADS[below(rng, HEADS.length)] as number), 0);
    case 4:
      return splice(bytes, at, new Uint8Array(0), 1 + below(rng, 8));
    case 5: {
      const from = below(rng, donor.length + 1);
      return splice(bytes, at, donor.subarray(from, from + below(rng, 64)), below(rng, 2) * below(rng, 64));
    }
    default:
      return splice(bytes, at, bytes.subarray(0, below(rng, 32)), 0);
  }
}

function splice(bytes: Uint8Array, at: number, insert: Uint8Array, remove: number): Uint8Array {
  const tail = bytes.subarray(Math.min(at + remove, bytes.length));
  const result = new Uint8Array(at + insert.length + tail.length);
  result.set(bytes.subarray(0, at));
  result.set(insert, at);
  result.set(tail, at + insert.length);
  return result;
}
