/** Highest paced rate of datagrams between two hosts with hardly any loss, by the tools udp_send and udp_receive. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '../lab/lab.ts';
import { askTool, Listener } from '../lab/tool.ts';
import { type RateFound, type SearchOptions, searchRate, type Trial } from './rate-search.ts';

/** What is still on its way when the sender ends gets so long to arrive. */
const DRAIN_MS = 100;
export const STAMP_BYTES = 12;
const RECEIVE_PORT = 5301;

export type Datagrams = {
  /** What is sent; the stamp is written over its bytes from `stampOffset` on. */
  readonly template: Uint8Array;
  readonly stampOffset: number;
  /** At most so many datagrams in one UDP_SEGMENT send; 1: each datagram is a send of its own. */
  readonly segments: number;
};

export type UdpPath = {
  readonly from: Host;
  /** 0: any. */
  readonly fromPort: number;
  /** Where the sender sends to. */
  readonly target: { readonly address: string; readonly port: number };
  readonly to: Host;
  /** Where the receiver listens. */
  readonly toPort: number;
};

let runs = 0;

export async function udpTrial(path: UdpPath, datagrams: Datagrams, rate: number, seconds: number): Promise<Trial> {
  const run = String(++runs);
  const stamp = String(datagrams.stampOffset);
  const { from, to, target } = path;
  const receiver = await Listener.tool(to.namespace, 'udp_receive', [`${to.address}:${path.toPort}`, stamp, run]);
  try {
    const { sent, seconds: took } = await askTool<{ sent: number; seconds: number }>(from.namespace, 'udp_send', [
      `${from.address}:${path.fromPort}`,
      `${target.address}:${target.port}`,
      Buffer.from(datagrams.template).toString('hex'),
      stamp,
      run,
      String(Math.round(rate)),
      String(seconds),
      String(datagrams.segments),
    ]);
    await sleep(DRAIN_MS);
    const { received } = await receiver.finish<{ received: number }>();
    return { rate, sent, received, seconds: took };
  } finally {
    receiver.kill();
  }
}

export function measureUdpPath(path: UdpPath, datagrams: Datagrams, options: SearchOptions): Promise<RateFound> {
  return searchRate(options, (rate, seconds) => udpTrial(path, datagrams, rate, seconds));
}

/** Datagrams with `payloadBytes` of UDP payload, straight from one host to the other. */
export function measureUdp(
  { from, to }: { readonly from: Host; readonly to: Host },
  payload: { readonly bytes: number; readonly segments: number },
  options: SearchOptions,
): Promise<RateFound> {
  const path = { from, fromPort: 0, to, toPort: RECEIVE_PORT, target: { address: to.address, port: RECEIVE_PORT } };
  const datagrams = { template: new Uint8Array(payload.bytes), stampOffset: 0, segments: payload.segments };
  return measureUdpPath(path, datagrams, options);
}
