/**
 * Policies with questions and the answers that they must give, as bytes for native/gateway/test/policy_cases_test.cpp, which
 * describes them.
 */
import assert from 'node:assert/strict';
import { stringify } from 'yaml';
import { below, type Rng } from '../../../overlay/lib/rng.ts';
import { addressBytes, parseAddressNumber } from '../address-sets.ts';
import type { PolicyFiles } from '../compilation.ts';
import { compilePolicy } from '../compile.ts';
import { type CompiledPolicy, VERDICTS } from '../compiled-policy.ts';
import { writePolicyImage } from '../policy-image.ts';
import type { PolicyFile } from '../policy-schema.ts';
import { formatProblem } from '../problems.ts';
import { APPLICATION_OWN_FIRST, APPLICATIONS, FILE_KINDS } from '../vocabulary.ts';
import { type Answer, answer, applicationOf, type Event } from './oracle.ts';
import { completed, OWN_APPLICATIONS, randomEvent, randomPolicy } from './random-policy.ts';

/** Signatures of the applications that random policies have of their own. */
export const FILES: PolicyFiles = {
  readList: (path) => ({ path, error: 'is not there.' }),
  readSignatures: () => OWN_APPLICATIONS.map((name) => ({ path: `${name}.pat`, text: `# own\n${name}\n^hello\n` })),
};

export type PolicyCases = {
  readonly policy: PolicyFile;
  readonly compiled: CompiledPolicy;
  readonly events: readonly Event[];
};

export function randomCases(rng: Rng, eventsPerPolicy: number): PolicyCases {
  const policy = randomPolicy(rng);
  const { policy: compiled, problems } = compilePolicy('random.yaml', stringify(policy), FILES);
  const errors = problems.filter(({ severity }) => severity === 'error').map(formatProblem);
  assert.deepEqual(errors, [], stringify(policy));
  assert.ok(compiled !== undefined);
  const events = Array.from({ length: eventsPerPolicy }, () => randomEvent(rng)).map((event) =>
    below(rng, 3) === 0 ? completed(event, rng) : event,
  );
  return { policy, compiled, events };
}

export function encodeCases({ policy, compiled, events }: PolicyCases): Uint8Array {
  const image = writePolicyImage(compiled);
  const out = new Bytes();
  out.number(4, image.length);
  out.bytes(image);
  out.number(2, events.length);
  for (const event of events) {
    encodeEvent(out, event);
    encodeAnswer(out, answer(policy, event), compiled);
  }
  return out.finish();
}

function encodeEvent(out: Bytes, { flow, file, chat }: Event): void {
  out.number(1, file !== undefined ? 1 : chat !== undefined ? 2 : 0);
  for (const address of [flow.from, flow.to]) out.bytes(addressBytes(parseAddressNumber(address) ?? assert.fail()));
  out.number(2, flow.port);
  out.number(1, flow.protocol);
  const name = applicationOf(flow.application ?? 'unknown');
  const own = OWN_APPLICATIONS.indexOf(name);
  out.number(1, flow.application === undefined ? 0 : 1);
  out.number(2, own < 0 ? APPLICATIONS.indexOf(name) : APPLICATION_OWN_FIRST + own);
  out.number(1, flow.host === undefined ? 0 : 1);
  out.text(flow.host ?? '');
  out.number(8, flow.now * 1000);
  out.number(4, flow.utcOffsetSeconds);
  if (file !== undefined) {
    out.text(file.name);
    out.optional(8, file.size);
    out.number(8, file.seen);
    out.optional(1, file.type === undefined ? undefined : FILE_KINDS.indexOf(file.type.kind));
    out.text(file.type?.name ?? '');
    out.number(1, file.sha256 === undefined ? 0 : 1);
    out.bytes(Buffer.from(file.sha256 ?? '00'.repeat(32), 'hex'));
    out.number(1, file.sender === 'from' ? 0 : 1);
    out.number(1, file.final ? 1 : 0);
  }
  if (chat !== undefined) for (const text of [chat.from, chat.to, chat.text]) out.text(text);
}

function encodeAnswer(out: Bytes, answered: Answer, { limits }: CompiledPolicy): void {
  out.number(1, VERDICTS.indexOf(answered.action));
  out.number(1, answered.decided ? 1 : 0);
  out.number(4, answered.rule);
  out.optional(4, answered.mark);
  out.number(2, limits.findIndex(({ name }) => name === answered.limit) + 1);
  for (const flag of ['log', 'scan', 'store', 'dryRun'] as const) out.number(1, answered[flag] ? 1 : 0);
  out.number(4, answered.needs);
  out.number(4, answered.denyForMs);
}

/** Big-endian. */
class Bytes {
  readonly #parts: Uint8Array[] = [];

  /** A negative one as its two's complement. */
  number(size: 1 | 2 | 4 | 8, value: number): void {
    const whole = new DataView(new ArrayBuffer(8));
    whole.setBigInt64(0, BigInt(value));
    this.#parts.push(new Uint8Array(whole.buffer, 8 - size));
  }

  optional(size: 1 | 4 | 8, value: number | undefined): void {
    this.number(1, value === undefined ? 0 : 1);
    this.number(size, value ?? 0);
  }

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  text(text: string): void {
    const bytes = Buffer.from(text);
    this.number(2, bytes.length);
    this.bytes(bytes);
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}
