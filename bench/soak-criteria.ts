/** What has to hold in the soak, judged from what was observed. */
import type { DropReason } from '../native/index.ts';
import { type BaseLosses, totalOf } from './measure/base-losses.ts';

/** One end, over the whole run; packets are inner ones of the tunnel between the two. */
export type EndObserved = {
  readonly name: string;
  readonly packetsOut: number;
  readonly packetsIn: number;
  readonly drops: BaseLosses;
  readonly baseLosses: BaseLosses;
  /** Of the daemon, MB, at the end of every minute. */
  readonly residentMb: readonly number[];
};

export type Observed = {
  readonly ends: readonly [EndObserved, EndObserved];
  /** The tunnel went and came again, and its counters began anew. */
  readonly rebuilds: number;
  readonly roams: number;
  readonly probeStallSeconds: number;
  readonly throughputStallSeconds: number;
};

export type Criterion = {
  readonly name: string;
  readonly measured: string;
  readonly limit: string;
  /** Null: it could not be judged, which is not good enough either. */
  readonly holds: boolean | null;
};

export const STALL_SECONDS_MAX = 2;
/** A collector's heap breathes; what leaks grows beyond this in ten minutes at full speed. */
export const GROWTH_MB_MAX = 8;
/** Inner packets that one datagram of the base network's counters can stand for: a UDP_SEGMENT send counts once. */
export const SEGMENTS_PER_DATAGRAM = 64;

/**
 * Drops that happen after one end has counted a packet out and before the other has counted it in. The others are
 * before or behind the tunnel.
 */
export const REASONS_BETWEEN: readonly DropReason[] = [
  'datagramTruncated',
  'vxlanMalformed',
  'vniUnknown',
  'nodeUnknown',
  'tunnelUnknown',
  'sendBlocked',
  'sendTooBig',
  'sendUnreachable',
  'sendFailed',
  'controlQueueFull',
  'dtlsMalformed',
  'dtlsPeerUnknown',
  'dtlsRecordBad',
  'dtlsContentUnknown',
  'plaintextRefused',
  'keysMissing',
  'recordReplayed',
  'shaperFull',
  'shaperLost',
  'receiveOverflow',
  'offloadMalformed',
];
function droppedBetween({ drops }: EndObserved): number {
  return REASONS_BETWEEN.reduce((sum, reason) => sum + (drops[reason] ?? 0), 0);
}

function memoryCriterion({ name, residentMb }: EndObserved): Criterion {
  const [first, ...rest] = residentMb;
  const growth = first === undefined || rest.length === 0 ? null : Math.max(...rest) - first;
  return {
    name: `memory of ${name} is flat after the first minute`,
    measured: growth === null ? 'too short to say' : `${growth.toFixed(1)} MB more at most`,
    limit: `${GROWTH_MB_MAX} MB`,
    holds: growth === null ? null : growth <= GROWTH_MB_MAX,
  };
}

function stallCriterion(name: string, seconds: number): Criterion {
  return {
    name,
    measured: `${seconds.toFixed(2)} s`,
    limit: `${STALL_SECONDS_MAX} s`,
    holds: seconds <= STALL_SECONDS_MAX,
  };
}

/**
 * Packets that one end put into the tunnel and that the other did not take out of it are at most what both dropped on
 * the way for a reason and the base network lost; and none comes out that was not put in.
 */
function deliveryCriterion(from: EndObserved, to: EndObserved, rebuilds: number): Criterion {
  const lost = from.packetsOut - to.packetsIn;
  const dropped = droppedBetween(from) + droppedBetween(to);
  const below = totalOf(from.baseLosses) + totalOf(to.baseLosses);
  const sum = `${from.packetsOut} sent, ${to.packetsIn} delivered, ${lost} not`;
  return {
    name: `every packet from ${from.name} to ${to.name} is delivered or counted`,
    measured: rebuilds > 0 ? `the tunnel was made anew ${rebuilds} times: ${sum}` : sum,
    limit: `0 to ${dropped} dropped for a reason + ${below} datagrams lost below`,
    holds: rebuilds > 0 ? null : lost >= 0 && lost <= dropped + below * SEGMENTS_PER_DATAGRAM,
  };
}

export function judge({ ends, rebuilds, probeStallSeconds, throughputStallSeconds }: Observed): readonly Criterion[] {
  const [a, b] = ends;
  return [
    ...ends.map(memoryCriterion),
    stallCriterion('longest stall of the probe', probeStallSeconds),
    stallCriterion('longest time without throughput', throughputStallSeconds),
    deliveryCriterion(a, b, rebuilds),
    deliveryCriterion(b, a, rebuilds),
  ];
}
