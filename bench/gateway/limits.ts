/** How exactly a gateway limits bandwidth: more is sent than may pass, by one sender, and by two that share a limit. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { probe } from '../lab/probe.ts';
import { addressOf, type Design, type End } from './network.ts';
import { startNode } from './nodes.ts';
import { newHome, type Place } from './throughput.ts';

export const RATES_MBIT = [1, 10, 100, 300] as const;
/** Of what passes, all senders together. */
const OVERLOAD = 1.5;
const HEADER_BYTES = 28;
const PACKET_BYTES = 1400;
/** A burst and the queue are a small part of what passes in that time. */
const secondsFor = (mbit: number): number => (mbit < 10 ? 10 : 4);
const IDLE_MS = 1500;
/** Each to a server of its own. */
const SENDERS: readonly (readonly [End, End])[] = [
  ['c1', 's1'],
  ['c2', 's2'],
];

export type LimitSample = {
  readonly round: number;
  readonly design: Design;
  readonly senders: number;
  readonly mbit: number;
  /** Of whole IP packets, all senders together. */
  readonly measuredMbit: number;
};

export async function measureLimit(
  place: Place,
  round: number,
  design: Design,
  senders: number,
  mbit: number,
): Promise<LimitSample> {
  const policy = join(newHome(place), 'policy.yaml');
  const rules = 'rules: [{name: limited, when: {protocol: udp}, do: {limit: all}}]';
  writeFileSync(policy, `policy: p2pxbone gateway, format 1\nlimits: {all: {rate: ${mbit} Mbit/s}}\n${rules}\n`);
  const node = await startNode(place.network, design, { policy });
  try {
    const perSecond = (mbit * 1e6 * OVERLOAD) / 8 / PACKET_BYTES / senders;
    const samples = await Promise.all(
      SENDERS.slice(0, senders).map(([from, to]) =>
        probe({
          fromNamespace: place.network.at(from),
          toNamespace: place.network.at(to),
          address: addressOf(to, design),
          payloadBytes: PACKET_BYTES - HEADER_BYTES,
          perSecond,
          seconds: secondsFor(mbit),
          idleMs: IDLE_MS,
        }),
      ),
    );
    const measuredMbit = samples.reduce(
      (sum, { windowPackets, windowSeconds }) => sum + (windowPackets * PACKET_BYTES * 8) / windowSeconds / 1e6,
      0,
    );
    return { round, design, senders, mbit, measuredMbit };
  } finally {
    await node.stop();
  }
}
