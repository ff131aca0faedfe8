/** The address server: leases and releases per second and their times, over UDP, TCP and TLS; as the paper measured it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { table } from '../cli/output.ts';
import type { AddressTransport } from '../overlay/vi.ts';
import { type Benchmark, type BenchmarkOptions, type BenchmarkResult, chosen, type Report } from './benchmark.ts';
import { COLORS, drawChart } from './chart.ts';
import { AddressServerLab } from './lab/address-server.ts';
import { toolPath } from './lab/tool.ts';
import { processSeconds } from './measure/processor.ts';
import { describeSetting, type Setting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { medianOf, rounded } from './statistics.ts';

const TRANSPORTS: readonly AddressTransport[] = ['udp', 'tcp', 'tls'];
/** Transactions per second that the paper gives in its text; the last one for SSL. */
const PAPER: Readonly<Record<AddressTransport, number>> = { udp: 67, tcp: 56, tls: 4.2 };
/** To be reached at 64 clients with one request each. */
const FLOORS: Readonly<Record<AddressTransport, number>> = { udp: 20_000, tcp: 20_000, tls: 10_000 };

/** How many nodes ask, and how many requests each has on the way at a time. */
type Load = { readonly clients: number; readonly inFlight: number };
const LOADS: readonly Load[] = [
  { clients: 1, inFlight: 1 },
  { clients: 64, inFlight: 1 },
  { clients: 64, inFlight: 8 },
];
const CLIENTS_MAX = 64;
/** What a resource daemon leases at once. */
const PAIRS = 16;
const ROUNDS = 3;
const SECONDS = 5;
const WARM_SECONDS = 1;

type Loaded = {
  readonly transactions: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly resent: number;
  readonly refused: number;
  readonly us: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
};

type Sample = Load & {
  readonly round: number;
  readonly transport: AddressTransport;
  readonly perSecond: number;
  readonly us: Loaded['us'];
  readonly resent: number;
  readonly refused: number;
  /** Of one core, in the measured time; the server's with its warming up. */
  readonly serverCores: number;
  readonly generatorCores: number;
  /** Pairs still on lease afterwards, when everything has been released. */
  readonly leased: number;
};

type Nodes = Readonly<Record<AddressTransport, string>>;

async function sampleOf(
  lab: AddressServerLab,
  nodes: Nodes,
  order: {
    readonly round: number;
    readonly transport: AddressTransport;
    readonly load: Load;
    readonly seconds: number;
  },
): Promise<Sample> {
  const { round, transport, load, seconds } = order;
  const { clients, inFlight } = load;
  const numbers = [clients, inFlight, PAIRS, WARM_SECONDS, seconds].map(String);
  const before = processSeconds([lab.pid]);
  const args = [transport, lab.endpoint, lab.caFile, nodes[transport], ...numbers];
  const { stdout } = await promisify(execFile)(toolPath('address_load'), args);
  const loaded = JSON.parse(stdout) as Loaded;
  return {
    round,
    transport,
    ...load,
    perSecond: loaded.transactions / loaded.seconds,
    us: loaded.us,
    resent: loaded.resent,
    refused: loaded.refused,
    serverCores: (processSeconds([lab.pid]) - before) / (loaded.seconds + WARM_SECONDS),
    generatorCores: loaded.cpuSeconds / loaded.seconds,
    leased: await lab.leased(transport),
  };
}

async function measureAll(
  lab: AddressServerLab,
  { rounds = ROUNDS, seconds = SECONDS, only }: BenchmarkOptions,
  say: (line: string) => void,
): Promise<Sample[]> {
  const nodes: Partial<Record<AddressTransport, string>> = {};
  const transports = chosen(TRANSPORTS, only);
  for (const transport of transports) {
    say(`${CLIENTS_MAX} nodes join the VI whose address server is asked by ${transport}`);
    nodes[transport] = await lab.addNodes(transport, CLIENTS_MAX);
  }
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const load of LOADS) {
      for (const transport of transports) {
        const sample = await sampleOf(lab, nodes as Nodes, { round, transport, load, seconds });
        samples.push(sample);
        say(`round ${round} of ${rounds}: ${nameOf(transport, load)}: ${rounded(sample.perSecond)} a second`);
      }
    }
  }
  return samples;
}

function nameOf(transport: AddressTransport, { clients, inFlight }: Load): string {
  return `${transport}, ${clients} client${clients === 1 ? '' : 's'}${inFlight === 1 ? '' : ` × ${inFlight}`}`;
}

type Row = Load & {
  readonly transport: AddressTransport;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly serverCores: number;
  readonly generatorCores: number;
};

/** Medians of the rounds. */
function rowsOf(samples: readonly Sample[]): Row[] {
  return LOADS.flatMap((load) =>
    TRANSPORTS.flatMap((transport): Row[] => {
      const { clients, inFlight } = load;
      const of = samples.filter(
        (sample) => sample.transport === transport && sample.clients === clients && sample.inFlight === inFlight,
      );
      const middle = (pick: (sample: Sample) => number): number => medianOf(of.map(pick)) ?? 0;
      if (of.length === 0) return [];
      return [
        {
          transport,
          ...load,
          perSecond: middle((sample) => sample.perSecond),
          p50: middle(({ us }) => us.p50),
          p99: middle(({ us }) => us.p99),
          p999: middle(({ us }) => us.p999),
          serverCores: middle((sample) => sample.serverCores),
          generatorCores: middle((sample) => sample.generatorCores),
        },
      ];
    }),
  );
}

const HEADINGS = [
  'by',
  'clients',
  'on the way',
  'transactions/s',
  'paper',
  'floor',
  'p50 µs',
  'p99 µs',
  'p99.9 µs',
  'server, cores',
  'generator, cores',
] as const;

function cellsOf({ transport, clients, inFlight, ...row }: Row): string[] {
  const isFloor = clients === CLIENTS_MAX && inFlight === 1;
  return [
    transport,
    String(clients),
    String(inFlight),
    String(Math.round(row.perSecond)),
    String(PAPER[transport]),
    isFloor ? String(FLOORS[transport]) : '-',
    rounded(row.p50),
    rounded(row.p99),
    rounded(row.p999),
    row.serverCores.toFixed(2),
    row.generatorCores.toFixed(2),
  ];
}

const METHOD = `One transaction is one lease of a block of ${PAIRS} link pairs, as a resource daemon asks for, or the release of
such a block; each client does the two in turn. "on the way": requests that a client has sent and that are not answered yet.
The server is \`p2pxbone om start\` as it is delivered, in one process, asked over sockets of the loopback; its limit for
one node is raised out of the way. Each answer was given after the transaction was on the disk (SQLite, write-ahead log,
\`synchronous = FULL\`): the requests that come in one turn of its event loop are one commit. Over UDP and TCP both ends make
and check a MAC for every message.

The generator (\`bench/tools/address_load.cpp\`) is one thread; where it takes clearly less than a core and the server about
one, the server is the limit. Rounds are interleaved, figures are medians of the rounds, percentiles those of single
transactions. The paper's prototype gave 67 (UDP), 56 (TCP) and 4.2 (SSL) messages a second on machines of 2004.`;

function reportOf(samples: readonly Sample[], rows: readonly Row[], setting: Setting): Report {
  const busiest = rows.filter(({ clients, inFlight }) => clients === CLIENTS_MAX && inFlight === 1);
  const bars = busiest.flatMap(({ transport, perSecond }) => [
    { name: transport, value: Math.round(perSecond), color: COLORS.ours },
    { name: `${transport}, paper`, value: PAPER[transport] },
  ]);
  const svg = drawChart('Address server', [
    { kind: 'bars', title: `Leases and releases per second, ${CLIENTS_MAX} clients, one request each`, bars },
  ]);
  const markdown = [
    '# Address server',
    'Written by `npm run bench -- address-server --results`.',
    describeSetting(setting),
    `Rounds: ${Math.max(...samples.map(({ round }) => round))}. ${METHOD}`,
    '![Transactions per second](address-server.svg)',
    markdownTable(HEADINGS, rows.map(cellsOf)),
    `Requests sent again: ${sum(samples, ({ resent }) => resent)}. Refused: ${sum(samples, ({ refused }) => refused)}.`,
  ].join('\n\n');
  return { markdown: `${markdown}\n`, svg };
}

function sum(samples: readonly Sample[], pick: (sample: Sample) => number): number {
  return samples.reduce((total, sample) => total + pick(sample), 0);
}

async function run(
  say: (line: string) => void,
  options: BenchmarkOptions,
): Promise<BenchmarkResult & { paper: object }> {
  const lab = new AddressServerLab();
  try {
    await lab.start();
    const samples = await measureAll(lab, options, say);
    const rows = rowsOf(samples);
    return {
      name: 'address-server',
      figures: rows.map((row) => ({ name: nameOf(row.transport, row), value: row.perSecond, unit: 'transactions/s' })),
      samples,
      paper: PAPER,
      table: table(HEADINGS, rows.map(cellsOf)),
      report: reportOf(samples, rows, await settingOf([])),
      // However fast the machine is: nothing is refused, and what was released is free.
      failed: samples.some(({ refused, leased }) => refused > 0 || leased > 0),
    };
  } finally {
    lab.remove();
  }
}

export const addressServer: Benchmark = {
  name: 'address-server',
  about: `leases and releases per second by udp, tcp and tls, at 1 and ${CLIENTS_MAX} clients`,
  run,
};
