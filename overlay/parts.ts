/** Answers longer than a frame: encoded as a whole, cut into parts, and put together again by who asked. */
import { fail } from './errors.ts';
import { ok, type Result } from './lib/result.ts';
import { type FromControl, fromControlCodec, PART_BYTES_MAX } from './messages/control.ts';

/** Longest answer, bytes: tunnels of some ten thousand, or nodes of some hundred thousand. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** The answer as the messages to send, encoded: itself where it is short. LIMIT_REACHED where it is too long. */
export function partsOf(answer: FromControl): Result<Uint8Array[]> {
  const whole = fromControlCodec.encode(answer);
  if (whole.length <= PART_BYTES_MAX) return ok([whole]);
  if (whole.length > ANSWER_BYTES_MAX) {
    const has = `The answer has ${Math.ceil(whole.length / 2 ** 20)} MiB, more than ${ANSWER_BYTES_MAX / 2 ** 20}`;
    return fail('LIMIT_REACHED', `${has}; ask for less, as with --vi and --netns.`);
  }
  const parts: Uint8Array[] = [];
  for (let at = 0; at < whole.length; at += PART_BYTES_MAX) {
    const more = at + PART_BYTES_MAX < whole.length;
    parts.push(fromControlCodec.encode({ t: 'part', bytes: whole.subarray(at, at + PART_BYTES_MAX), more }));
  }
  return ok(parts);
}

/** Puts answers together on one connection. */
export class PartReader {
  #parts: Uint8Array[] = [];
  #bytes = 0;

  /** The message, or the answer that it completes; undefined while parts are missing. BAD_MESSAGE for what is no answer. */
  take(message: FromControl): Result<FromControl | undefined> {
    if (message.t !== 'part') {
      return this.#bytes === 0 ? ok(message) : fail('BAD_MESSAGE', 'An answer broke off in its middle.');
    }
    this.#bytes += message.bytes.length;
    if (this.#bytes > ANSWER_BYTES_MAX) return fail('BAD_MESSAGE', 'An answer has too many parts.');
    this.#parts.push(message.bytes);
    if (message.more) return ok(undefined);
    const whole = new Uint8Array(this.#bytes);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#bytes = 0;
    const answer = fromControlCodec.decode(whole);
    if (answer.ok && answer.value.t === 'part') return fail('BAD_MESSAGE', 'A part of an answer has parts.');
    return answer;
  }
}
