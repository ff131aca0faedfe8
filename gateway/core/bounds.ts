/** How much a gateway keeps, and for how long: what a policy may say of it, and what holds if it says nothing. */
import type { Compilation } from './compilation.ts';
import { parseSize, parseTime } from './quantities.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MB = 1e6;
const GB = 1e9;

type Kind = 'count' | 'size' | 'time';
type Bound = {
  readonly kind: Kind;
  readonly least: number;
  readonly most: number;
  /** That of native/gateway/limits.h; a test compares the two. */
  readonly otherwise: number;
  readonly about: string;
};

const bound =
  (kind: Kind) =>
  (least: number, otherwise: number, most: number, about: string): Bound => ({ kind, least, most, otherwise, about });
const count = bound('count');
const size = bound('size');
const time = bound('time');

const BLOCK = 2048;

/** Counts, bytes and milliseconds. */
export const BOUNDS = {
  flows: count(64, 131_072, 4_194_304, 'Flows at a time; some 450 bytes each, and more while they are inspected.'),
  halfOpenFlows: count(64, 524_288, 16_777_216, 'TCP handshakes at a time; 32 bytes each.'),
  deniedConnections: count(64, 16_384, 1_048_576, 'Connections that are remembered as denied.'),
  redirects: count(16, 16_384, 1_048_576, 'Connections that are redirected; some 300 bytes each.'),
  limitInstances: count(16, 16_384, 1_048_576, 'Flows, addresses and so on with a limit each; beyond, they share one.'),
  answersPerSecond: count(0, 1000, 1_000_000, 'RSTs and ICMP errors to senders that may be forged.'),
  heldPackets: count(64, 32_768, 4_194_304, 'Packets that wait, for whatever reason.'),
  heldMemory: size(MB, 32_768 * BLOCK, 64 * GB, 'Of packets that wait; each takes at least 2,048 bytes.'),
  heldPerFlow: size(BLOCK, 2048 * BLOCK, 64 * GB, 'Of it, for one flow that waits for its verdict.'),
  heldByLimits: size(BLOCK, 16_384 * BLOCK, 64 * GB, 'Of it, for limits of bandwidth.'),
  heldFragments: size(BLOCK, 4096 * BLOCK, 64 * GB, 'Of it, for fragments of unfinished datagrams.'),
  fragmentedDatagrams: count(16, 1024, 65_536, 'Unfinished datagrams at a time.'),
  streamMemory: size(MB, 65_536 * BLOCK, 64 * GB, 'Of TCP data that are kept: not acknowledged, or before a gap.'),
  streamPerDirection: size(BLOCK, 2048 * BLOCK, 4 * GB, 'Of it, for one direction of a connection.'),
  piecesPerDirection: count(1, 128, 65_536, 'Pieces of a direction beyond the first that is missing.'),
  waitingPerDirection: count(1, 1024, 65_536, 'Packets of a direction that wait for what is missing before them.'),
  keptMemory: size(MB, 134_217_728, 64 * GB, 'Of what is collected for classification, parsers and records.'),
  gapTimeout: time(SECOND, 30 * SECOND, 10 * MINUTE, 'What is missing of a stream has so long to come.'),
  fragmentTimeout: time(SECOND, 30 * SECOND, 10 * MINUTE, 'What is missing of a datagram has so long to come.'),
  halfOpenTimeout: time(SECOND, 30 * SECOND, 10 * MINUTE, 'Of a TCP handshake.'),
  establishedTimeout: time(MINUTE, 7_440 * SECOND, 30 * DAY, 'Of a TCP connection that is silent.'),
  datagramTimeout: time(SECOND, 120 * SECOND, 30 * DAY, 'Of a flow of UDP and others that is silent.'),
} as const satisfies Readonly<Record<string, Bound>>;

export type BoundName = keyof typeof BOUNDS;
export type Bounds = Readonly<Record<BoundName, number>>;

export const BOUND_NAMES = Object.keys(BOUNDS) as BoundName[];

/** What each is if the policy says nothing. */
export const USUAL_BOUNDS: Bounds = Object.fromEntries(
  BOUND_NAMES.map((name) => [name, BOUNDS[name].otherwise]),
) as Record<BoundName, number>;

type Unit = readonly [string, number];
const SIZES: readonly Unit[] = [
  ['GB', GB],
  ['MB', MB],
  ['kB', 1e3],
  ['B', 1],
];
const TIMES: readonly Unit[] = [
  ['d', DAY],
  ['h', HOUR],
  ['m', MINUTE],
  ['s', SECOND],
];

/** As a policy writes it; sizes in three digits. */
export function boundText(kind: Kind, value: number): string {
  if (kind === 'count') return String(value);
  if (kind === 'size') {
    const [unit, factor] = SIZES.find((one) => value >= one[1]) ?? ['B', 1];
    return `${Number((value / factor).toPrecision(3))} ${unit}`;
  }
  const [unit, factor] = TIMES.find((one) => value % one[1] === 0) ?? ['ms', 1];
  return `${value / factor}${unit}`;
}

const PARSED: Readonly<Record<Kind, (text: string) => number | undefined>> = {
  count: Number,
  size: parseSize,
  time: parseTime,
};

export function compileBounds({ policy, document, problems }: Compilation): Bounds {
  const compiled: Record<BoundName, number> = { ...USUAL_BOUNDS };
  for (const [name, written] of Object.entries(policy.bounds ?? {}) as [BoundName, number | string][]) {
    const { kind, least, most } = BOUNDS[name];
    const value = PARSED[kind](String(written));
    if (value !== undefined && value >= least && value <= most) {
      compiled[name] = value;
      continue;
    }
    const range = `from ${boundText(kind, least)} to ${boundText(kind, most)}`;
    problems.error(document.place(['bounds', name]), `bounds.${name}: give a ${kind} ${range}.`);
  }
  return compiled;
}
