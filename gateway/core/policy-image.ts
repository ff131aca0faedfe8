/**
 * A compiled policy as bytes for the native side, whose native/gateway/policy/policy_image.h describes them. Numbers are
 * big-endian; a text has its length in bytes, two of them, in front.
 */
import { addressBytes } from './address-sets.ts';
import { type CompiledPolicy, type CompiledRule, type Condition, ENDS, SUBJECTS, VERDICTS } from './compiled-policy.ts';
import { type AddressSet, type Directory, resolved } from './names.ts';
import { PER, WAYS } from './policy-schema.ts';

/** 'PXGP'. */
const MAGIC = 0x50584750;
const VERSION = 1;

const FLAG = { dryRun: 1, fastPass: 2 } as const;
const RULE_FLAG = { log: 1, scan: 2, store: 4, mark: 8 } as const;
const KINDS = [
  'application',
  'addresses',
  'port',
  'protocol',
  'time',
  'pattern',
  'fileSize',
  'fileType',
  'fileHash',
  'file',
  'chat',
] as const;

/** `directory`: who bears the policy's names of nodes and groups; nobody does where it is absent. */
export function writePolicyImage(policy: CompiledPolicy, directory?: Directory): Uint8Array {
  const out = new ImageWriter();
  out.u32(MAGIC);
  out.u16(VERSION);
  out.u8((policy.dryRun ? FLAG.dryRun : 0) | (policy.fastPass ? FLAG.fastPass : 0));
  out.u8(VERDICTS.indexOf(policy.defaultVerdict));
  out.u32(policy.denyForMs);
  out.list8(policy.conditions, ({ condition, action }) => {
    out.u8(condition);
    out.u8(action);
  });
  out.list16(policy.ownApplications, (name) => out.text(name));
  out.list16(policy.addressSets, (set) => writeSet(out, set, directory));
  out.list16(policy.times, (windows) =>
    out.list8(windows, ({ utc, days, from, to }) => {
      out.u8(utc ? 1 : 0);
      out.u8(days);
      out.u16(from);
      out.u16(to);
    }),
  );
  for (const subject of SUBJECTS) out.u16(policy.groups[subject]);
  out.list32(policy.expressions, ({ subject, group, caseless, words, line, column, text }) => {
    out.u8(SUBJECTS.indexOf(subject));
    out.u16(group);
    out.u8((caseless ? 1 : 0) | (words ? 2 : 0));
    out.u32(line);
    out.u32(column);
    out.text(text);
  });
  out.list16(policy.hashLists, (hashes) => out.list32(hashes, (hash) => out.bytes(hash)));
  out.list16(policy.limits, ({ name, parent, rate, ceiling, per, way, burst, queue }) => {
    out.text(name);
    out.u16(parent);
    out.u64(rate);
    out.u64(ceiling);
    out.u8(PER.indexOf(per));
    out.u8(WAYS.indexOf(way));
    out.u32(burst);
    out.u32(queue);
  });
  out.list16(policy.rules, (rule) => writeRule(out, rule));
  return out.finish();
}

/** Other addresses for the sets that hold names, while the rest of the policy stays. */
export function writeReplacedSets({ addressSets }: CompiledPolicy, directory: Directory): Uint8Array {
  const out = new ImageWriter();
  out.list16(
    [...addressSets.entries()].filter(([, { names }]) => names.length > 0),
    ([index, set]) => {
      out.u16(index);
      writeSet(out, set, directory);
    },
  );
  return out.finish();
}

function writeSet(out: ImageWriter, set: AddressSet, directory: Directory | undefined): void {
  out.list32(resolved(set, directory), ({ first, last }) => {
    out.bytes(addressBytes(first));
    out.bytes(addressBytes(last));
  });
}

function writeRule(out: ImageWriter, rule: CompiledRule): void {
  out.text(rule.name);
  out.u32(rule.line);
  out.u8(VERDICTS.indexOf(rule.verdict));
  out.u8(
    (rule.log ? RULE_FLAG.log : 0) |
      (rule.scan ? RULE_FLAG.scan : 0) |
      (rule.store ? RULE_FLAG.store : 0) |
      (rule.mark === undefined ? 0 : RULE_FLAG.mark),
  );
  out.u32(rule.mark ?? 0);
  out.u16(rule.limit);
  out.u32(rule.denyForMs);
  out.bytes(rule.redirect?.address ?? new Uint8Array(16));
  out.u16(rule.redirect?.port ?? 0);
  out.list8(rule.conditions, (condition) => writeCondition(out, condition));
}

function writeCondition(out: ImageWriter, condition: Condition): void {
  out.u8(KINDS.indexOf(condition.kind));
  switch (condition.kind) {
    case 'application':
      return out.list16(condition.numbers, (number) => out.u16(number));
    case 'addresses':
      out.u8(ENDS.indexOf(condition.end));
      return out.u16(condition.set);
    case 'port':
      return out.list16(condition.ranges, ({ least, most }) => {
        out.u16(least);
        out.u16(most);
      });
    case 'protocol':
      return out.list16(condition.numbers, (number) => out.u16(number));
    case 'time':
      return out.list16(condition.times, (number) => out.u16(number));
    case 'pattern':
      out.u8(SUBJECTS.indexOf(condition.subject));
      return out.u16(condition.group);
    case 'fileSize':
      out.u64(condition.range.least);
      return out.u64(condition.range.most);
    case 'fileType':
      out.list16(condition.kinds, (kind) => out.u16(kind));
      return out.list16(condition.names, (name) => out.text(name));
    case 'fileHash':
      return out.list16(condition.lists, (list) => out.u16(list));
    case 'file':
    case 'chat':
      return undefined;
  }
}

class ImageWriter {
  #buffer = new DataView(new ArrayBuffer(4096));
  #length = 0;
  readonly #encoder = new TextEncoder();

  finish(): Uint8Array {
    return new Uint8Array(this.#buffer.buffer, 0, this.#length).slice();
  }

  u8(value: number): void {
    const at = this.#room(1);
    this.#buffer.setUint8(at, value);
  }

  u16(value: number): void {
    if (!(value >= 0 && value <= 0xffff)) throw new RangeError('a number of the policy image needs more than 16 bits');
    const at = this.#room(2);
    this.#buffer.setUint16(at, value);
  }

  u32(value: number): void {
    if (!(value >= 0 && value <= 0xffff_ffff))
      throw new RangeError('a number of the policy image needs more than 32 bits');
    const at = this.#room(4);
    this.#buffer.setUint32(at, value);
  }

  /** Infinity is the largest number. */
  u64(value: number): void {
    const at = this.#room(8);
    this.#buffer.setBigUint64(at, value === Number.POSITIVE_INFINITY ? 2n ** 64n - 1n : BigInt(value));
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    new Uint8Array(this.#buffer.buffer).set(bytes, at);
  }

  text(text: string): void {
    const bytes = this.#encoder.encode(text);
    this.u16(bytes.length);
    this.bytes(bytes);
  }

  list8<Item>(items: readonly Item[], write: (item: Item) => void): void {
    if (items.length > 0xff) throw new RangeError('a list of the policy image has more than 255 entries');
    this.u8(items.length);
    items.forEach(write);
  }

  list16<Item>(items: readonly Item[], write: (item: Item) => void): void {
    this.u16(items.length);
    items.forEach(write);
  }

  list32<Item>(items: readonly Item[], write: (item: Item) => void): void {
    this.u32(items.length);
    items.forEach(write);
  }

  /** The offset at which so many bytes may be written; the buffer may be another one afterwards. */
  #room(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, this.#buffer.byteLength * 2));
      larger.set(new Uint8Array(this.#buffer.buffer, 0, at));
      this.#buffer = new DataView(larger.buffer);
    }
    return at;
  }
}
