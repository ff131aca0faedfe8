/** The part of DER (X.690) that revocation lists are made of. Lengths are definite; what is not canonical is refused. */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  context0: 0xa0,
} as const;

/** Of the numbers that are read here, bytes. */
const INTEGER_BYTES_MAX = 8;
const LENGTH_BYTES_MAX = 4;
/** First year that UTCTime cannot say (RFC 5280 §5.1.2.4). */
const UTC_TIME_ENDS = 2050;

function element(tag: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Uint8Array.from(Buffer.concat([Uint8Array.of(tag, ...lengthBytes(length)), ...parts]));
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return element(TAG.sequence, parts);
}

export function octetString(content: Uint8Array): Uint8Array {
  return element(TAG.octetString, [content]);
}

export function bitString(content: Uint8Array): Uint8Array {
  return element(TAG.bitString, [Uint8Array.of(0), content]);
}

/** Explicitly tagged, context-specific. */
export function tagged(tag: number, content: Uint8Array): Uint8Array {
  return element(TAG.context0 + tag, [content]);
}

/** Not negative: a number, or hexadecimal digits. */
export function integer(value: number | string): Uint8Array {
  const hex = typeof value === 'number' ? value.toString(16) : value;
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  const isNegative = ((bytes[0] ?? 0) & 0x80) !== 0;
  return element(TAG.integer, isNegative ? [Uint8Array.of(0), bytes] : [bytes]);
}

/** Milliseconds since 1970, to the second. */
export function time(instant: number): Uint8Array {
  const date = new Date(instant);
  const digits = date
    .toISOString()
    .slice(0, 19)
    .replaceAll(/[^0-9]/g, '');
  const isShort = date.getUTCFullYear() < UTC_TIME_ENDS;
  const text = new TextEncoder().encode(`${isShort ? digits.slice(2) : digits}Z`);
  return element(isShort ? TAG.utcTime : TAG.generalizedTime, [text]);
}

/** Reads one element after the other; RangeError where the next one is not as asked for. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Whether the next element has this tag. */
  is(tag: number): boolean {
    return this.#bytes[this.#at] === tag;
  }

  isTime(): boolean {
    return this.is(TAG.utcTime) || this.is(TAG.generalizedTime);
  }

  end(): void {
    if (!this.isAtEnd()) throw new RangeError('something follows');
  }

  enter(tag: number): DerReader {
    return new DerReader(this.take(tag));
  }

  /** The content of the next element. */
  take(tag: number): Uint8Array {
    const { start, end } = this.#bounds(tag);
    this.#at = end;
    return this.#bytes.subarray(start, end);
  }

  /** The next element with its tag and length. */
  raw(tag: number): Uint8Array {
    const from = this.#at;
    this.take(tag);
    return this.#bytes.subarray(from, this.#at);
  }

  /** Not negative; hexadecimal, lower case, without leading zeros. */
  integer(bytesMax: number = INTEGER_BYTES_MAX): string {
    const content = this.take(TAG.integer);
    const [first = 0, second = 0] = content;
    const isPadded = content.length > 1 && first === 0;
    if (content.length === 0 || first >= 0x80 || (isPadded && second < 0x80)) throw new RangeError('no such number');
    if (content.length - (isPadded ? 1 : 0) > bytesMax) throw new RangeError('too large a number');
    return Buffer.from(content)
      .toString('hex')
      .replace(/^0+(?=.)/, '');
  }

  #bounds(tag: number): { start: number; end: number } {
    const bytes = this.#bytes;
    if (!this.is(tag)) throw new RangeError(`no element ${tag}`);
    let start = this.#at + 2;
    let length = bytes[this.#at + 1];
    if (length !== undefined && length >= 0x80) {
      const count = length - 0x80;
      if (count === 0 || count > LENGTH_BYTES_MAX || start + count > bytes.length) throw new RangeError('bad length');
      length = bytes.subarray(start, start + count).reduce((sum, byte) => sum * 256 + byte, 0);
      if (length < 0x80 || length < 256 ** (count - 1)) throw new RangeError('bad length');
      start += count;
    }
    if (length === undefined || start + length > bytes.length) throw new RangeError('cut off');
    return { start, end: start + length };
  }
}

/** Milliseconds since 1970. */
export function timeOf(reader: DerReader): number {
  const isShort = reader.is(TAG.utcTime);
  const text = Buffer.from(reader.take(isShort ? TAG.utcTime : TAG.generalizedTime)).toString('latin1');
  const match = (isShort ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).exec(
    text,
  );
  if (match === null) throw new RangeError('no time');
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const whole = isShort ? year + (year < 50 ? 2000 : 1900) : year;
  const instant = Date.UTC(whole, month - 1, day, hour, minute, second);
  if (
    new Date(instant).toISOString().slice(5, 19) !==
    `${pad(month)}-${pad(day)}T${pad(hour)}:${pad(minute)}:${pad(second)}`
  )
    throw new RangeError('no time');
  return instant;
}

function pad(number: number): string {
  return String(number).padStart(2, '0');
}
