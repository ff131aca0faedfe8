/** Our tunnels against the bare cable, the kernel's VXLAN and other programs, between two namespaces on one cable. */
import { table } from '../cli/output.ts';
import type { Benchmark, BenchmarkOptions, BenchmarkResult, Report } from './benchmark.ts';
import { chosen } from './benchmark.ts';
import { COLORS, drawChart } from './chart.ts';
import { COLUMNS, compare, mediansOf, ratioOf, type Sample } from './comparison.ts';
import { type Host, Lab } from './lab/lab.ts';
import { Product } from './lab/product.ts';
import { describeSetting, type Setting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { rounded } from './statistics.ts';
import { kernelVxlan, rawVeth } from './variants/kernel.ts';
import { nebula } from './variants/nebula.ts';
import { CIPHERS, ours } from './variants/ours.ts';
import { tinc } from './variants/tinc.ts';
import { type Missing, setUpAll, type Variant, type VariantSource } from './variants/variant.ts';
import { wireguardGo } from './variants/wireguard-go.ts';

const DEVICE = 'eth0';
const ROUNDS = 3;
const SECONDS = 4;
const PACKAGES = ['iperf3', 'wireguard-go', 'nebula', 'tinc'] as const;

/** What the ratios have to reach; `atMost`: stay under. */
const RATIOS = [
  { key: 'plainTcp1VsVxlan', column: 'tcp1Gbps', of: 'plain', to: 'vxlan', floor: 0.75, atMost: false },
  { key: 'dtlsTcp1VsVxlan', column: 'tcp1Gbps', of: 'dtls-aes-128-gcm', to: 'vxlan', floor: 0.48, atMost: false },
  {
    key: 'dtlsTcp1VsWireguardGo',
    column: 'tcp1Gbps',
    of: 'dtls-aes-128-gcm',
    to: 'wireguard-go',
    floor: 10,
    atMost: false,
  },
  { key: 'plainUdp128VsVxlan', column: 'udp128Kpps', of: 'plain', to: 'vxlan', floor: 1.5, atMost: false },
  { key: 'dtlsUdp128VsVxlan', column: 'udp128Kpps', of: 'dtls-aes-128-gcm', to: 'vxlan', floor: 1, atMost: false },
  { key: 'rttPlainVsWireguardGo', column: 'rttIdleMs', of: 'plain', to: 'wireguard-go', floor: 0.6, atMost: true },
] as const;

export type TunnelResult = BenchmarkResult & {
  readonly ratios: Readonly<Record<string, number | null>>;
  readonly medians: Readonly<Record<string, Readonly<Record<string, number | null>>>>;
  readonly missing: readonly Missing[];
  readonly setting: Setting;
};

function sourcesOf(lab: Lab, a: Host, b: Host): readonly VariantSource[] {
  // A pair of resource daemons for each: two daemons have one association, and thereby one cipher for all their VIs.
  let first: Promise<Product> | undefined;
  const our = (name: string, cipher: (typeof CIPHERS)[number] | null): VariantSource => ({
    name,
    async setUp() {
      const hosts = [a, b] as const;
      const product = await (first === undefined
        ? (first = Product.start(lab, hosts))
        : first.then((one) => one.beside(lab, hosts)));
      return ours(product, { name, cipher, device: DEVICE });
    },
  });
  return [
    { name: 'veth', setUp: () => rawVeth(a, b, DEVICE) },
    { name: 'vxlan', setUp: () => kernelVxlan(a, b, DEVICE) },
    { name: 'wireguard-go', setUp: () => wireguardGo(lab, a, b) },
    { name: 'nebula', setUp: () => nebula(lab, a, b) },
    { name: 'tinc', setUp: () => tinc(lab, a, b) },
    our('plain', null),
    ...CIPHERS.map((cipher) => our(`dtls-${cipher}`, cipher)),
  ];
}

function ratiosOf(samples: readonly Sample[]): Record<string, number | null> {
  return Object.fromEntries(RATIOS.map(({ key, column, of, to }) => [key, ratioOf(samples, column, of, to)]));
}

function verdict(value: number | null, { floor, atMost }: (typeof RATIOS)[number]): string {
  if (value === null) return 'missing';
  return (atMost ? value <= floor : value >= floor) ? 'yes' : 'no';
}

type Tables = { readonly main: string[][]; readonly ratios: string[][] };
const RATIO_HEADINGS = ['ratio', 'of', 'measured', 'floor', 'reached'] as const;

function tablesOf(
  variants: readonly Variant[],
  medians: TunnelResult['medians'],
  ratios: TunnelResult['ratios'],
): Tables {
  return {
    main: variants.map(({ name, mtu }) => [
      name,
      String(mtu),
      ...COLUMNS.map(({ key }) => rounded(medians[name]?.[key])),
    ]),
    ratios: RATIOS.map((ratio) => {
      const value = ratios[ratio.key] ?? null;
      const floor = `${ratio.atMost ? 'at most' : 'at least'} ${ratio.floor}`;
      return [ratio.key, `${ratio.of} to ${ratio.to}`, rounded(value), floor, verdict(value, ratio)];
    }),
  };
}

const METHOD = `Two network namespaces on one veth pair (MTU 1500, IPv4). All variants are set up at once and idle while another is
measured; every round measures each once, beginning with another one; the table has medians over the rounds. A ratio is
the median of the ratios round by round, so that a slow spell of the machine touches both of its sides.

- TCP: iperf3, as received, without its first second. MTU is that of the tunnel's interface, each program's default.
- UDP 128 B: datagrams of 128 bytes of UDP payload, each sent by itself (\`sendmmsg\`, batches of what has come due in
  50 µs); the highest steady rate of which at most 1 % is lost, found by bisection to 5 % and confirmed by a
  longer run; a try that loses a little more is repeated once.
  The other column is the same with up to 64 datagrams in one UDP_SEGMENT send.
- RTT: 500 pings, one every 2 ms; loaded: beside one TCP stream.
- CPU: seconds of all cores, and of the daemons at both ends, for each Gbit of the single TCP stream; the load generator's
  share is in the former.`;

function reportOf(
  variants: readonly Variant[],
  tables: Tables,
  { medians, missing, setting }: Pick<TunnelResult, 'medians' | 'missing' | 'setting'>,
  rounds: number,
): Report {
  const bars = (key: string) =>
    variants.map(({ name }) => {
      const value = medians[name]?.[key] ?? null;
      const color = name === 'plain' || name.startsWith('dtls-') ? COLORS.ours : COLORS.others;
      return { name, value: value === null ? null : Number(rounded(value)), color };
    });
  const panels = ['tcp1Gbps', 'tcp4Gbps', 'udp128Kpps', 'rttIdleMs'].map((key) => ({
    kind: 'bars' as const,
    title: COLUMNS.find((column) => column.key === key)?.heading ?? key,
    bars: bars(key),
  }));
  const markdown = [
    '# Tunnels compared',
    'Written by `npm run bench -- tunnel --results`.',
    describeSetting(setting),
    `${rounds} rounds. ${METHOD}`,
    '![Throughput, small packets and round-trip times](tunnel.svg)',
    markdownTable(['variant', 'MTU', ...COLUMNS.map(({ heading }) => heading)], tables.main),
    markdownTable(RATIO_HEADINGS, tables.ratios),
    ...missing.map(({ name, reason }) => `Missing: ${name}. ${reason}`),
  ].join('\n\n');
  return { markdown: `${markdown}\n`, svg: drawChart('Tunnels between two namespaces, medians', panels) };
}

async function run(say: (line: string) => void, options: BenchmarkOptions): Promise<TunnelResult> {
  const { rounds = ROUNDS, seconds = SECONDS, only } = options;
  const lab = new Lab();
  try {
    const a = { namespace: await lab.addNamespace('a'), address: '10.200.0.1' };
    const b = { namespace: await lab.addNamespace('b'), address: '10.200.0.2' };
    await lab.cable(a, b, DEVICE);
    const sources = sourcesOf(lab, a, b);
    const wanted = chosen(
      sources.map(({ name }) => name),
      only,
    );
    const { variants, missing } = await setUpAll(
      sources.filter(({ name }) => wanted.includes(name)),
      say,
    );
    const samples = await compare(variants, { rounds, seconds, only }, say);
    const medians = mediansOf(
      samples,
      variants.map(({ name }) => name),
    );
    const ratios = ratiosOf(samples);
    const tables = tablesOf(variants, medians, ratios);
    const setting = await settingOf(PACKAGES);
    const headings = ['variant', 'MTU', ...COLUMNS.map(({ key }) => key)];
    return {
      name: 'tunnel',
      figures: RATIOS.flatMap(({ key }) => {
        const value = ratios[key] ?? null;
        return value === null ? [] : [{ name: key, value, unit: '' }];
      }),
      ratios,
      medians,
      missing,
      setting,
      samples,
      table: `${table(headings, tables.main)}\n\n${table(RATIO_HEADINGS, tables.ratios)}`,
      report: reportOf(variants, tables, { medians, missing, setting }, rounds),
    };
  } finally {
    await lab.remove();
  }
}

export const tunnel: Benchmark = {
  name: 'tunnel',
  about: 'our tunnels against kernel VXLAN, wireguard-go, nebula and tinc: throughput, small packets, round trips, CPU',
  run,
};
