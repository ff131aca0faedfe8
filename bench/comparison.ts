/** Measures variants of a tunnel against each other: round by round every variant in turn, while the others are idle. */
import { chosen } from './benchmark.ts';
import { measureTcp, type TcpSample } from './measure/iperf3.ts';
import { type ProcessorTime, timed } from './measure/processor.ts';
import type { RateFound } from './measure/rate-search.ts';
import { measureRoundTrip, type RoundTripSample } from './measure/round-trip.ts';
import { measureUdp } from './measure/udp-rate.ts';
import { medianOf, medianRatio } from './statistics.ts';
import type { Variant } from './variants/variant.ts';

export const MEASURES = ['tcp1', 'tcp4', 'udp128', 'udp128gso', 'rttIdle', 'rttLoaded'] as const;
export type Measure = (typeof MEASURES)[number];

/** Of UDP payload. */
export const SMALL_BYTES = 128;
/** Datagrams in one UDP_SEGMENT send, where those are used. */
export const GSO_SEGMENTS = 64;
const TRIAL_SECONDS = 0.4;
const CONFIRM_SECONDS = 1;
const FIRST_RATE = 100_000;
/** TCP runs so long beside the pings under load, which take one second and begin while it omits its beginning. */
const LOAD_SECONDS = 1;

export type Sample = {
  readonly round: number;
  readonly variant: string;
  tcp1?: TcpSample & ProcessorTime;
  tcp4?: TcpSample & ProcessorTime;
  udp128?: RateFound;
  udp128gso?: RateFound;
  rttIdle?: RoundTripSample;
  rttLoaded?: RoundTripSample;
  /** Why a measure is missing. */
  readonly errors: Partial<Record<Measure, string>>;
};

export type Column = {
  readonly key: string;
  readonly heading: string;
  readonly of: (sample: Sample) => number | undefined;
};

const perGbit = (sample: Sample, field: keyof ProcessorTime): number | undefined =>
  sample.tcp1 === undefined ? undefined : sample.tcp1[field] / sample.tcp1.gbitsTotal;
const kilo = (found: RateFound | undefined): number | undefined =>
  found === undefined ? undefined : found.packetsPerSecond / 1000;

export const COLUMNS: readonly Column[] = [
  { key: 'tcp1Gbps', heading: 'TCP 1 stream, Gbit/s', of: ({ tcp1 }) => tcp1?.gbitsPerSecond },
  { key: 'tcp4Gbps', heading: 'TCP 4 streams, Gbit/s', of: ({ tcp4 }) => tcp4?.gbitsPerSecond },
  { key: 'udp128Kpps', heading: 'UDP 128 B, kpps', of: ({ udp128 }) => kilo(udp128) },
  { key: 'udp128GsoKpps', heading: 'UDP 128 B sent by UDP_SEGMENT, kpps', of: ({ udp128gso }) => kilo(udp128gso) },
  { key: 'rttIdleMs', heading: 'RTT idle, ms', of: ({ rttIdle }) => rttIdle?.medianMs },
  { key: 'rttIdleP99Ms', heading: 'p99', of: ({ rttIdle }) => rttIdle?.p99Ms },
  { key: 'rttLoadedMs', heading: 'RTT loaded, ms', of: ({ rttLoaded }) => rttLoaded?.medianMs },
  { key: 'rttLoadedP99Ms', heading: 'p99', of: ({ rttLoaded }) => rttLoaded?.p99Ms },
  { key: 'cpuPerGbit', heading: 'CPU s/Gbit, machine', of: (sample) => perGbit(sample, 'machineSeconds') },
  { key: 'daemonCpuPerGbit', heading: 'CPU s/Gbit, daemons', of: (sample) => perGbit(sample, 'daemonSeconds') },
];

export type ComparisonOptions = {
  readonly rounds: number;
  readonly seconds: number;
  readonly only: readonly string[];
  readonly measures?: readonly Measure[];
};

async function measureTimed(variant: Variant, streams: number, seconds: number): Promise<TcpSample & ProcessorTime> {
  const [sample, time] = await timed(variant.pids, () => measureTcp(variant, streams, seconds));
  return { ...sample, ...time };
}

function smallPackets(variant: Variant, segments: number, last: RateFound | undefined): Promise<RateFound> {
  const startRate = last === undefined || last.packetsPerSecond === 0 ? FIRST_RATE : last.packetsPerSecond;
  const search = { startRate, trialSeconds: TRIAL_SECONDS, confirmSeconds: CONFIRM_SECONDS };
  return measureUdp(variant, { bytes: SMALL_BYTES, segments }, search);
}

async function underLoad(variant: Variant): Promise<RoundTripSample> {
  const load = measureTcp(variant, 1, LOAD_SECONDS);
  const [pings] = await Promise.allSettled([measureRoundTrip(variant), load]);
  if (pings.status === 'rejected') throw pings.reason;
  await load;
  return pings.value;
}

type Runner = (sample: Sample, variant: Variant, seconds: number, last: Sample | undefined) => Promise<void>;

const RUNNERS: Readonly<Record<Measure, Runner>> = {
  async rttIdle(sample, variant) {
    sample.rttIdle = await measureRoundTrip(variant);
  },
  async rttLoaded(sample, variant) {
    sample.rttLoaded = await underLoad(variant);
  },
  async tcp1(sample, variant, seconds) {
    sample.tcp1 = await measureTimed(variant, 1, seconds);
  },
  async tcp4(sample, variant, seconds) {
    sample.tcp4 = await measureTimed(variant, 4, seconds);
  },
  async udp128(sample, variant, _, last) {
    sample.udp128 = await smallPackets(variant, 1, last?.udp128);
  },
  async udp128gso(sample, variant, _, last) {
    sample.udp128gso = await smallPackets(variant, GSO_SEGMENTS, last?.udp128gso);
  },
};

/** A measure that fails leaves the others. Each round begins with another variant. */
export async function compare(
  variants: readonly Variant[],
  { rounds, seconds, only, measures = MEASURES }: ComparisonOptions,
  say: (line: string) => void,
): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  const last = new Map<string, Sample>();
  for (let round = 1; round <= rounds; round++) {
    const first = (round - 1) % variants.length;
    for (const variant of [...variants.slice(first), ...variants.slice(0, first)]) {
      const sample: Sample = { round, variant: variant.name, errors: {} };
      for (const measure of chosen(measures, only)) {
        say(`round ${round} of ${rounds}: ${variant.name} ${measure}`);
        try {
          await RUNNERS[measure](sample, variant, seconds, last.get(variant.name));
        } catch (error) {
          sample.errors[measure] = (error as Error).message;
          say(`${variant.name} ${measure}: ${(error as Error).message}`);
        }
      }
      last.set(variant.name, sample);
      samples.push(sample);
    }
  }
  return samples;
}

/** A column of a variant, round by round. */
export function seriesOf(samples: readonly Sample[], variant: string, key: string): (number | undefined)[] {
  const column = COLUMNS.find((other) => other.key === key);
  if (column === undefined) throw new RangeError(`there is no column ${key}`);
  return samples
    .filter((sample) => sample.variant === variant)
    .sort((a, b) => a.round - b.round)
    .map((sample) => column.of(sample));
}

/** Variant by variant, the median of every column. */
export function mediansOf(
  samples: readonly Sample[],
  variants: readonly string[],
): Record<string, Record<string, number | null>> {
  return Object.fromEntries(
    variants.map((variant) => [
      variant,
      Object.fromEntries(COLUMNS.map(({ key }) => [key, medianOf(seriesOf(samples, variant, key)) ?? null])),
    ]),
  );
}

/** Of one column, of one variant to another; null where one of them is missing. */
export function ratioOf(samples: readonly Sample[], key: string, variant: string, to: string): number | null {
  return medianRatio(seriesOf(samples, variant, key), seriesOf(samples, to, key));
}
