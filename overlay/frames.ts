/** Messages on a stream: 4 bytes length (big-endian, of what follows), 1 byte frame version, then the message. */
import { fail } from './errors.ts';
import { ok, type Result } from './lib/result.ts';

export const FRAME_VERSION = 1;
/** A longer frame is refused and the stream closed. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024;
const HEADER_BYTES = 5;

export function encodeFrame(message: Uint8Array): Uint8Array {
  if (message.length + 1 > FRAME_BYTES_MAX) throw new RangeError('message exceeds the frame limit');
  const frame = new Uint8Array(HEADER_BYTES + message.length);
  new DataView(frame.buffer).setUint32(0, message.length + 1);
  frame[4] = FRAME_VERSION;
  frame.set(message, HEADER_BYTES);
  return frame;
}

/** Cuts a byte stream into messages. After a failure the stream cannot be read on and must be closed. */
export class FrameReader {
  readonly #bytesMax: number;
  #pending: Uint8Array = new Uint8Array(0);

  /** `bytesMax`: of a message, at most FRAME_BYTES_MAX - 1. */
  constructor(bytesMax: number = FRAME_BYTES_MAX - 1) {
    this.#bytesMax = bytesMax;
  }

  /** The messages completed by these bytes, in order. The arrays returned belong to the caller. */
  push(bytes: Uint8Array): Result<Uint8Array[]> {
    const all = new Uint8Array(this.#pending.length + bytes.length);
    all.set(this.#pending);
    all.set(bytes, this.#pending.length);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (all.length - at >= HEADER_BYTES) {
      const length = new DataView(all.buffer, at, 4).getUint32(0);
      if (length < 1 || length > this.#bytesMax + 1) return fail('BAD_MESSAGE', 'A frame has an impossible length.');
      if (all[at + 4] !== FRAME_VERSION) return fail('BAD_VERSION');
      if (all.length - at < 4 + length) break;
      messages.push(all.slice(at + HEADER_BYTES, at + 4 + length));
      at += 4 + length;
    }
    this.#pending = all.slice(at);
    return ok(messages);
  }
}
