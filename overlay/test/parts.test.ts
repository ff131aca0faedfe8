import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FromControl } from '../messages/control.ts';
import { fromControlCodec, PART_BYTES_MAX } from '../messages/control.ts';
import { ANSWER_BYTES_MAX, PartReader, partsOf } from '../parts.ts';

/** An answer of about that length. */
function answerOf(bytes: number): FromControl {
  const drops = Object.fromEntries(Array.from({ length: bytes / 1000 }, (_, i) => [`${i}`.padStart(994, 'x'), 1]));
  const underlay = { address: '::', port: 1 };
  return { t: 'status', pid: 1, version: '0', underlay, startedAt: 0, nodes: [], drops };
}

function readBack(parts: readonly Uint8Array[]): (FromControl | undefined)[] {
  const reader = new PartReader();
  return parts.map((bytes) => {
    const message = fromControlCodec.decode(bytes);
    assert.ok(message.ok);
    const taken = reader.take(message.value);
    assert.ok(taken.ok, taken.ok ? '' : taken.message);
    return taken.value;
  });
}

test('an answer that fits is sent as it is, a long one in parts, and both are read back', () => {
  for (const [bytes, count] of [
    [0, 1],
    [PART_BYTES_MAX - 10_000, 1],
    [PART_BYTES_MAX + 10_000, 2],
    [3.5 * PART_BYTES_MAX, 4],
  ] as const) {
    const answer = answerOf(bytes);
    const parts = partsOf(answer);
    assert.ok(parts.ok);
    assert.equal(parts.value.length, count);
    const read = readBack(parts.value);
    assert.deepEqual(read.pop(), answer);
    assert.ok(read.every((message) => message === undefined));
  }
});

test('answers follow each other', () => {
  const both = [answerOf(2 * PART_BYTES_MAX), answerOf(10), answerOf(2 * PART_BYTES_MAX)];
  const parts = both.flatMap((answer) => {
    const cut = partsOf(answer);
    assert.ok(cut.ok);
    return cut.value;
  });
  assert.deepEqual(
    readBack(parts).filter((message) => message !== undefined),
    both,
  );
});

test('an answer that is too long is a failure that says what to do', () => {
  const parts = partsOf(answerOf(1.01 * ANSWER_BYTES_MAX));
  assert.ok(!parts.ok && parts.code === 'LIMIT_REACHED');
  assert.match(parts.message, /more than 64; ask for less, as with --vi/);
});

test('what is no answer in the end is refused, whatever its parts', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const part = (more: boolean, content: Uint8Array = bytes): FromControl => ({ t: 'part', bytes: content, more });
  const rubbish = new PartReader().take(part(false));
  assert.ok(!rubbish.ok && rubbish.code === 'BAD_MESSAGE');
  const broken = new PartReader();
  assert.ok(broken.take(part(true)).ok);
  assert.ok(!broken.take({ t: 'done' }).ok);
  const nested = new PartReader().take(part(false, fromControlCodec.encode(part(false))));
  assert.ok(!nested.ok);
  const endless = new PartReader();
  const mega = new Uint8Array(PART_BYTES_MAX);
  let taken = 0;
  while (endless.take(part(true, mega)).ok) taken += 1;
  assert.equal(taken, ANSWER_BYTES_MAX / PART_BYTES_MAX);
});
