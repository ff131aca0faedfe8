/** Forwarding at a transit node, as in figure 7 of the paper: packets a second and bits a second by packet size. */
import { table } from '../cli/output.ts';
import { type Benchmark, type BenchmarkOptions, type BenchmarkResult, chosen, type Report } from './benchmark.ts';
import { drawChart } from './chart.ts';
import {
  type Forwarder,
  kernelForwarder,
  type Row,
  rangeForwarders,
  type TransferSample,
  tcpForwarder,
  udpForwarder,
} from './forwarders.ts';
import { type Host, Lab, mustRun } from './lab/lab.ts';
import { timed } from './measure/processor.ts';
import type { RateFound, Trial } from './measure/rate-search.ts';
import { measureUdpPath, udpTrial } from './measure/udp-rate.ts';
import { describeSetting, type Setting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { medianOf, medianRatio, rounded } from './statistics.ts';

const SIZES = ['64', '128', '256', '512', '1024', '1400'] as const;
type Size = (typeof SIZES)[number];
const WAYS = ['kernel', 'range-ipv4', 'range-ipv6', 'udp', 'tcp'] as const;
type Way = (typeof WAYS)[number];
const WAY_TEXTS: Readonly<Record<Way, string>> = {
  kernel: 'kernel IP forwarding over VXLAN',
  'range-ipv4': 'range forwarding, IPv4',
  'range-ipv6': 'range forwarding, key-addressed IPv6',
  udp: 'UDP, application layer',
  tcp: 'TCP, application layer',
};
/** Of kernel IP forwarding; the only ratio that the paper's text gives a number for. */
const PAPER_RANGE_RATIO = 0.7;

const ROUNDS = 3;
const SECONDS = 0.4;
const CONFIRM_FACTOR = 2;
const FIRST_RATE = 200_000;

type Sample = {
  readonly round: number;
  readonly way: Way;
  readonly size: number;
  readonly paced?: RateFound;
  readonly saturated?: Trial;
  readonly transfers?: TransferSample;
  /** Of the whole machine, for each packet that arrived while the sender was as fast as it could. */
  readonly cpuMicroseconds: number;
};

function pacedOf({ paced, transfers }: Sample): number {
  if (paced !== undefined) return paced.packetsPerSecond;
  return transfers === undefined ? 0 : transfers.transfers / transfers.seconds;
}

function saturatedOf({ saturated, transfers }: Sample): number {
  if (saturated !== undefined) return saturated.received / saturated.seconds;
  return transfers === undefined ? 0 : transfers.transfers / transfers.seconds;
}

async function layRow(lab: Lab): Promise<Row> {
  const [a, transit, b] = await Promise.all(['a', 't', 'b'].map((name) => lab.addNamespace(name)));
  const at = (namespace: string | undefined, address: string): Host => ({ namespace: namespace ?? '', address });
  const row = {
    a: at(a, '10.210.1.1'),
    transitToA: at(transit, '10.210.1.2'),
    transitToB: at(transit, '10.210.2.2'),
    b: at(b, '10.210.2.1'),
  };
  await lab.cable(row.a, row.transitToA, 'left');
  await lab.cable(row.transitToB, row.b, 'right');
  // What arrives at T is taken up by another core than the sender's, as from a network card, and not within the
  // sender's own system call, as veth does otherwise.
  const mask = (1 << 1).toString(16);
  const enable = ['left', 'right'].map((device) => `echo ${mask} > /sys/class/net/${device}/queues/rx-0/rps_cpus`);
  await mustRun(row.transitToA.namespace, ['ip', 'netns', 'exec', transit ?? '', 'sh', '-c', enable.join(';')]);
  return row;
}

async function measureWay(forwarder: Forwarder, size: number, seconds: number, last: Sample | undefined) {
  const datagrams = forwarder.datagramsOf(size);
  const startRate = last?.paced?.packetsPerSecond || FIRST_RATE;
  const search = { startRate, trialSeconds: seconds, confirmSeconds: seconds * CONFIRM_FACTOR };
  const paced = await measureUdpPath(forwarder.path, datagrams, search);
  const [saturated, { machineSeconds }] = await timed([], () => udpTrial(forwarder.path, datagrams, 0, seconds));
  return { paced, saturated, cpuMicroseconds: (machineSeconds / saturated.received) * 1e6 };
}

async function measureAll(
  row: Row,
  { rounds = ROUNDS, seconds = SECONDS, only }: BenchmarkOptions,
  say: (line: string) => void,
): Promise<{ samples: readonly Sample[]; drops: Readonly<Record<string, number>> }> {
  const range = await rangeForwarders(row);
  const forwarders = {
    kernel: await kernelForwarder(row),
    'range-ipv4': range.ipv4,
    'range-ipv6': range.ipv6,
    udp: await udpForwarder(row),
  };
  const transfer = await tcpForwarder(row);
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const size of chosen(SIZES, only).map(Number)) {
      for (const way of chosen(WAYS, only)) {
        say(`round ${round} of ${rounds}: ${way}, ${size} bytes`);
        const same = { round, way, size };
        if (way === 'tcp') {
          const [transfers, { machineSeconds }] = await timed([], () => transfer(size, seconds * CONFIRM_FACTOR));
          samples.push({ ...same, transfers, cpuMicroseconds: (machineSeconds / transfers.transfers) * 1e6 });
        } else {
          const last = samples.findLast((sample) => sample.way === way && sample.size === size);
          samples.push({ ...same, ...(await measureWay(forwarders[way], size, seconds, last)) });
        }
      }
    }
  }
  const { drops } = await range.node.finish<{ drops: Record<string, number> }>();
  return { samples, drops };
}

const seriesOf = (samples: readonly Sample[], way: Way, size: number, of: (sample: Sample) => number): number[] =>
  samples.filter((sample) => sample.way === way && sample.size === size).map(of);

/** By size and way: figures, and ratios to kernel IP forwarding as medians of the ratios round by round. */
function tableRows(samples: readonly Sample[], sizes: readonly number[], ways: readonly Way[]): string[][] {
  return sizes.flatMap((size) =>
    ways.map((way) => {
      const series = (of: (sample: Sample) => number, which: Way = way) => seriesOf(samples, which, size, of);
      const kpps = (medianOf(series(pacedOf)) ?? 0) / 1000;
      return [
        String(size),
        WAY_TEXTS[way],
        rounded(kpps),
        rounded((kpps * size * 8) / 1e6),
        rounded(medianRatio(series(pacedOf), series(pacedOf, 'kernel'))),
        rounded((medianOf(series(saturatedOf)) ?? 0) / 1000),
        rounded(medianRatio(series(saturatedOf), series(saturatedOf, 'kernel'))),
        rounded(medianOf(series(({ cpuMicroseconds }) => cpuMicroseconds))),
        way.startsWith('range') ? PAPER_RANGE_RATIO.toFixed(2) : '-',
      ];
    }),
  );
}

type Ratio = { readonly paced: number | null; readonly saturated: number | null };

/** Of each way to kernel IP forwarding, by size. */
function ratiosOf(
  samples: readonly Sample[],
  sizes: readonly number[],
  ways: readonly Way[],
): Record<string, Record<string, Ratio>> {
  const ratio = (way: Way, size: number, of: (sample: Sample) => number): number | null =>
    medianRatio(seriesOf(samples, way, size, of), seriesOf(samples, 'kernel', size, of));
  const bySize = (way: Way): Record<string, Ratio> =>
    Object.fromEntries(
      sizes.map((size) => [size, { paced: ratio(way, size, pacedOf), saturated: ratio(way, size, saturatedOf) }]),
    );
  return Object.fromEntries(ways.map((way) => [way, bySize(way)]));
}

const HEADINGS = [
  'bytes',
  'forwarding',
  'kpps, loss ≤ 1 %',
  'Gbit/s',
  'of kernel IP',
  'kpps, saturated',
  'of kernel IP',
  'CPU µs/packet',
  'paper',
] as const;

const METHOD = `Three network namespaces in a row, A – T – B, on two veth pairs; A and B have no way to each other. A generator at A
sends ready-made packets (as the paper's did), a receiver at B counts; both are the same for all, so that what differs is T
alone. "bytes" is the size of the IP packet, inside the tunnel where there is one.

- Kernel IP forwarding: T's kernel takes packets out of one VXLAN tunnel, routes them, and puts them into another.
- Range forwarding: our data plane at T, driven without daemons so that the routes are exactly known (16 ranges); IPv4
  by the hash of the address, IPv6 by the key in the address. The same VXLAN packets in and out.
- UDP, application layer: a program at T that receives (\`recvmmsg\`) and sends on (\`sendmmsg\`); no tunnel.
- TCP, application layer: a connection from A to T and one from T to B for each transfer of one packet's bytes, four
  at a time.

"loss ≤ 1 %": highest steady rate delivered, found by bisection to 5 % and confirmed. "saturated": what arrives while the
sender sends as fast as it can. Packets that reach T are taken up by the second core (RPS), not within the sender's system
call; kernel forwarding then has that core for itself, and our data plane shares both with the sender and the receiver.
CPU is that of the whole machine, generator and receiver included, for each packet of the saturated run. Ratios are medians
of the ratios round by round. The paper (FreeBSD 5.3, two 2.4 GHz Xeons, gigabit Ethernet) gives in its text: range forwarding
0.70 of IP forwarding over tunnels; IP forwarding constant up to 600 bytes and limited by the link from there on, range
forwarding from 1000 bytes; UDP slightly falling with size; TCP far below, by the rate of new connections. Its other values are
in the figure only.`;

function reportOf(samples: readonly Sample[], rows: string[][], setting: Setting, drops: object): Report {
  const sizes = [...new Set(samples.map(({ size }) => size))];
  const ways = [...new Set(samples.map(({ way }) => way))];
  const lines = (of: (sample: Sample) => number, scale: (value: number, size: number) => number) =>
    ways.map((way) => ({
      name: WAY_TEXTS[way],
      values: sizes.map((size) => Number(rounded(scale(medianOf(seriesOf(samples, way, size, of)) ?? 0, size)))),
    }));
  const panel = { kind: 'lines' as const, x: sizes.map(String), xTitle: 'IP packet, bytes' };
  const svg = drawChart('Forwarding at a transit node, highest rate with at most 1 % loss', [
    { ...panel, title: 'Gbit/s', lines: lines(pacedOf, (value, size) => (value * size * 8) / 1e9) },
    { ...panel, title: 'kpps', lines: lines(pacedOf, (value) => value / 1000) },
  ]);
  const markdown = [
    '# Forwarding at a transit node',
    'Figure 7 of the paper. Written by `npm run bench -- forwarding --results`.',
    describeSetting(setting),
    `Rounds: ${Math.max(...samples.map(({ round }) => round))}. ${METHOD}`,
    '![Throughput by packet size](forwarding.svg)',
    markdownTable(HEADINGS, rows),
    `Our data plane dropped, in all trials together: \`${JSON.stringify(drops)}\`.`,
  ].join('\n\n');
  return { markdown: `${markdown}\n`, svg };
}

async function run(
  say: (line: string) => void,
  options: BenchmarkOptions,
): Promise<BenchmarkResult & { drops: object; ratios: object; paper: object }> {
  const lab = new Lab();
  try {
    say('setting up three namespaces in a row');
    const row = await layRow(lab);
    const { samples, drops } = await measureAll(row, options, say);
    const sizes = chosen(SIZES, options.only).map((size: Size) => Number(size));
    const ways = chosen(WAYS, options.only);
    const rows = tableRows(samples, sizes, ways);
    const figures = sizes.flatMap((size) =>
      ways.map((way) => ({
        name: `${way}, ${size} bytes`,
        value: medianOf(seriesOf(samples, way, size, pacedOf)) ?? 0,
        unit: 'packets/s',
      })),
    );
    const report = reportOf(samples, rows, await settingOf([]), drops);
    const ratios = ratiosOf(samples, sizes, ways);
    return {
      name: 'forwarding',
      figures,
      samples,
      ratios,
      paper: { range: PAPER_RANGE_RATIO },
      drops,
      table: table(HEADINGS, rows),
      report,
    };
  } finally {
    await lab.remove();
  }
}

export const forwarding: Benchmark = {
  name: 'forwarding',
  about: 'forwarding at a transit node: kernel IP, our ranges, UDP and TCP applications, by packet size',
  run,
};
