/** TCP throughput by iperf3. */
import { run, within } from '../../cli/demo/namespaces.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { Listener } from '../lab/tool.ts';
import type { Variant } from '../variants/variant.ts';

const PORT = 5201;
/** Seconds at the beginning that do not count, while the windows open. */
const OMIT_SECONDS = 1;
const GIVE_UP_SECONDS = 10;

export type TcpSample = {
  /** As received, without the omitted beginning. */
  readonly gbitsPerSecond: number;
  readonly retransmits: number;
  /** Of the whole run, the omitted beginning included. */
  readonly gbitsTotal: number;
};

type Summary = { readonly bits_per_second: number; readonly bytes: number; readonly retransmits?: number };
type Output = {
  readonly error?: string;
  readonly intervals?: readonly { readonly sum: { readonly bytes: number } }[];
  readonly end?: { readonly sum_received?: Summary; readonly sum_sent?: Summary };
};

/** What `iperf3 --json` of a client says. */
export function parseIperf3(text: string): TcpSample {
  const { error, intervals, end } = JSON.parse(text) as Output;
  if (error !== undefined) throw new OverlayError('SYSTEM', `iperf3: ${error}.`);
  if (end?.sum_received === undefined || intervals === undefined) {
    throw new OverlayError('SYSTEM', 'iperf3 gave no summary.');
  }
  return {
    gbitsPerSecond: end.sum_received.bits_per_second / 1e9,
    retransmits: end.sum_sent?.retransmits ?? 0,
    gbitsTotal: (intervals.reduce((sum, interval) => sum + interval.sum.bytes, 0) * 8) / 1e9,
  };
}

/** Bytes of every interval, all streams together, the omitted ones included. */
export function intervalBytes(text: string): readonly number[] {
  return ((JSON.parse(text) as Output).intervals ?? []).map(({ sum }) => sum.bytes);
}

/** The JSON of a client in `from` that sends to a server in `to`, started for this run. */
export async function runIperf3(
  { from, to }: Pick<Variant, 'from' | 'to'>,
  options: { readonly streams: number; readonly seconds: number; readonly args?: readonly string[] },
): Promise<string> {
  const { streams, seconds, args = [] } = options;
  const where = ['-p', String(PORT)];
  const server = await Listener.start(
    to.namespace,
    ['iperf3', '--server', '--one-off', '--forceflush', '-B', to.address, ...where],
    'Server listening',
  );
  try {
    const client = ['iperf3', '--json', '-c', to.address, '-B', from.address, ...where];
    const load = ['-P', String(streams), '-t', String(seconds), '-O', String(OMIT_SECONDS), ...args];
    const limit = ['timeout', String(Math.ceil(seconds + OMIT_SECONDS + GIVE_UP_SECONDS))];
    const { code, stdout, stderr } = await run(within(from.namespace, [...limit, ...client, ...load]));
    if (stdout === '') throw new OverlayError('SYSTEM', `iperf3 ended with ${code}: ${stderr.trim()}.`);
    return stdout;
  } finally {
    server.kill();
  }
}

export async function measureTcp(variant: Variant, streams: number, seconds: number): Promise<TcpSample> {
  return parseIperf3(await runIperf3(variant, { streams, seconds }));
}
