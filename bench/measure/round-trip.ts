/** Round-trip times by ping: answered by the far kernel, so what is measured is the way there and back. */
import { run, within } from '../../cli/demo/namespaces.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { median, quantile } from '../statistics.ts';
import type { Variant } from '../variants/variant.ts';

const COUNT = 500;
const INTERVAL_SECONDS = 0.002;
const WAIT_SECONDS = 1;

export type RoundTripSample = {
  readonly sent: number;
  readonly received: number;
  readonly medianMs: number;
  readonly p99Ms: number;
};

/** Round-trip times in the output of ping, milliseconds. */
export function parsePing(text: string): readonly number[] {
  return [...text.matchAll(/ time=([\d.]+) ms/g)].map(([, ms]) => Number(ms));
}

export async function measureRoundTrip({ from, to }: Variant, count: number = COUNT): Promise<RoundTripSample> {
  const options = ['-n', '-c', String(count), '-i', String(INTERVAL_SECONDS), '-W', String(WAIT_SECONDS)];
  const { stdout } = await run(within(from.namespace, ['ping', ...options, '-I', from.address, to.address]));
  const times = parsePing(stdout);
  if (times.length === 0) throw new OverlayError('SYSTEM', `No ping to ${to.address} was answered.`);
  return { sent: count, received: times.length, medianMs: median(times), p99Ms: quantile(times, 0.99) };
}
