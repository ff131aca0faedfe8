/** The variants of the receive path, with and without DTLS, and where the daemons' processor time goes. */
import { table } from '../cli/output.ts';
import { type Benchmark, type BenchmarkOptions, type BenchmarkResult, chosen } from './benchmark.ts';
import { COLORS, drawChart } from './chart.ts';
import { COLUMNS, compare, type Measure, mediansOf, type Sample } from './comparison.ts';
import { Lab } from './lab/lab.ts';
import { Product } from './lab/product.ts';
import { measureTcp } from './measure/iperf3.ts';
import { type FunctionShare, profile, sharesByObject } from './measure/profile.ts';
import { describeSetting, type Setting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { rounded } from './statistics.ts';
import { ours } from './variants/ours.ts';
import { type Missing, setUpAll, type Variant } from './variants/variant.ts';

/** `default` is what a daemon does that is told nothing: one of the others, so the two differ by the noise. */
const KINDS = ['default', 'direct', 'queue', 'aio', 'uring'] as const;
type Kind = (typeof KINDS)[number];
const KIND_TEXTS: Readonly<Record<Kind, string>> = {
  default: 'as the daemon starts',
  direct: 'one thread, synchronous write',
  queue: 'producer and consumer, synchronous writer',
  aio: 'POSIX AIO',
  uring: 'io_uring',
};
const CIPHER = 'aes-128-gcm';
const MEASURED: readonly Measure[] = ['tcp1', 'udp128', 'rttIdle'];
const COLUMN_KEYS: ReadonlySet<string> = new Set([
  'tcp1Gbps',
  'udp128Kpps',
  'rttIdleMs',
  'rttIdleP99Ms',
  'cpuPerGbit',
  'daemonCpuPerGbit',
]);
const DEVICE = 'eth0';
const ROUNDS = 3;
const SECONDS = 4;
const PROFILE_SECONDS = 3;
const FUNCTIONS = 15;
const OBJECTS = 4;

type Profile = {
  readonly variant: string;
  readonly end: 'sender' | 'receiver';
  /** Why there are no functions; null where there are. */
  readonly problem: string | null;
  readonly functions: readonly FunctionShare[];
  readonly objects: readonly (readonly [name: string, share: number])[];
};

type Measured = { readonly samples: Sample[]; readonly profiles: Profile[]; readonly missing: Missing[] };

async function profilesOf(lab: Lab, variant: Variant): Promise<Profile[]> {
  const load = measureTcp(variant, 1, PROFILE_SECONDS + 1);
  const profiles = await Promise.all(
    (['sender', 'receiver'] as const).map(async (end, i): Promise<Profile> => {
      try {
        const all = await profile(variant.pids[i] ?? 0, PROFILE_SECONDS, lab.directory);
        const functions = all.slice(0, FUNCTIONS);
        return { variant: variant.name, end, problem: null, functions, objects: sharesByObject(all) };
      } catch (error) {
        return { variant: variant.name, end, problem: (error as Error).message, functions: [], objects: [] };
      }
    }),
  );
  await load;
  return profiles;
}

/** One round of one kind: daemons of its own, which end with it, so that nothing else runs beside them. */
async function measureKind(
  kind: Kind,
  options: { readonly seconds: number; readonly only: readonly string[]; readonly isLast: boolean },
  say: (line: string) => void,
): Promise<Measured> {
  const lab = new Lab();
  try {
    const a = { namespace: await lab.addNamespace('a'), address: '10.200.0.1' };
    const b = { namespace: await lab.addNamespace('b'), address: '10.200.0.2' };
    await lab.cable(a, b, DEVICE);
    const product = await Product.start(lab, [a, b], kind === 'default' ? {} : { receive: kind });
    const ciphers = [null, CIPHER] as const;
    const sources = ciphers.map((cipher) => {
      const name = cipher === null ? kind : `${kind}-dtls`;
      return { name, setUp: () => ours(product, { name, cipher, device: DEVICE }) };
    });
    const { variants, missing } = await setUpAll(sources, say);
    const comparison = { rounds: 1, seconds: options.seconds, only: options.only, measures: MEASURED };
    const samples = [...(await compare(variants, comparison, say))];
    const profiles: Profile[] = [];
    for (const variant of options.isLast ? variants : []) {
      say(`profile of ${variant.name}`);
      profiles.push(...(await profilesOf(lab, variant)));
    }
    return { samples, profiles, missing: [...missing] };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    say(`${kind} is missing: ${error.message}`);
    return { samples: [], profiles: [], missing: [{ name: kind, reason: error.message }] };
  } finally {
    await lab.remove();
  }
}

async function measureAll(say: (line: string) => void, options: BenchmarkOptions): Promise<Measured> {
  const { rounds = ROUNDS, seconds = SECONDS, only } = options;
  const all: Measured = { samples: [], profiles: [], missing: [] };
  const kinds = chosen(KINDS, only);
  const refused = new Set<Kind>();
  for (let round = 1; round <= rounds; round++) {
    const first = (round - 1) % kinds.length;
    for (const kind of [...kinds.slice(first), ...kinds.slice(0, first)]) {
      if (refused.has(kind)) continue;
      say(`round ${round} of ${rounds}: ${kind}, ${KIND_TEXTS[kind]}`);
      const { samples, profiles, missing } = await measureKind(kind, { seconds, only, isLast: round === rounds }, say);
      all.samples.push(...samples.map((sample) => ({ ...sample, round })));
      all.profiles.push(...profiles);
      all.missing.push(...missing.filter(({ name }) => !all.missing.some((other) => other.name === name)));
      if (samples.length === 0) refused.add(kind);
    }
  }
  return all;
}

const METHOD = `Two namespaces on one veth pair, our daemons alone in them, started anew for each variant and round; measured as in
\`npm run bench -- tunnel\`: TCP by iperf3, the highest steady rate of 128-byte datagrams with at most 1 % loss, round trips by
ping, medians over the rounds. \`-dtls\` is with ${CIPHER}. Profiles: perf by the clock, during one TCP stream in the
last round, each daemon by itself; shares are of the samples of its process.`;

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

function profileSections(profiles: readonly Profile[]): string[] {
  return profiles.flatMap(({ variant, end, problem, functions, objects }) => [
    `### ${variant}, ${end}`,
    ...(problem === null
      ? [
          `${objects
            .slice(0, OBJECTS)
            .map(([name, share]) => `${name} ${percent(share)}`)
            .join(', ')}.`,
        ]
      : []),
    problem ??
      markdownTable(
        ['function', 'share', 'thread', 'in'],
        functions.map(({ name, share, thread, object }) => [`\`${name}\``, percent(share), thread, object]),
      ),
  ]);
}

function markdownOf(measured: Measured, rows: string[][], headings: readonly string[], setting: Setting): string {
  const rounds = Math.max(0, ...measured.samples.map(({ round }) => round));
  const sections = [
    '# Receive path',
    'Written by `npm run bench -- receive --results`.',
    describeSetting(setting),
    `Rounds: ${rounds}. ${METHOD}`,
    KINDS.map((kind) => `- \`${kind}\`: ${KIND_TEXTS[kind]}`).join('\n'),
    '![Throughput by variant](receive.svg)',
    markdownTable(headings, rows),
    ...measured.missing.map(({ name, reason }) => `Missing: ${name}. ${reason}`),
    '## Where the time goes',
    ...profileSections(measured.profiles),
  ];
  return `${sections.join('\n\n')}\n`;
}

async function run(say: (line: string) => void, options: BenchmarkOptions): Promise<BenchmarkResult & Measured> {
  const measured = await measureAll(say, options);
  const names = KINDS.flatMap((kind) => [kind, `${kind}-dtls`]);
  const variants = names.filter((name) => measured.samples.some(({ variant }) => variant === name));
  const medians = mediansOf(measured.samples, variants);
  const columns = COLUMNS.filter(({ key }) => COLUMN_KEYS.has(key));
  const rows = variants.map((name) => [name, ...columns.map(({ key }) => rounded(medians[name]?.[key]))]);
  const headings = ['variant', ...columns.map(({ heading }) => heading)];
  const svg = drawChart(
    'Receive path, medians',
    columns.slice(0, 2).map(({ key, heading }) => ({
      kind: 'bars' as const,
      title: heading,
      bars: variants.map((name) => {
        const value = medians[name]?.[key] ?? null;
        return { name, value: value === null ? null : Number(rounded(value)), color: COLORS.ours };
      }),
    })),
  );
  return {
    name: 'receive',
    figures: variants.flatMap((name) =>
      columns.flatMap(({ key }) => {
        const value = medians[name]?.[key] ?? null;
        return value === null ? [] : [{ name: `${name} ${key}`, value, unit: '' }];
      }),
    ),
    ...measured,
    table: table(['variant', ...columns.map(({ key }) => key)], rows),
    report: { markdown: markdownOf(measured, rows, headings, await settingOf(['iperf3', 'linux-perf'])), svg },
    failed: measured.samples.length === 0,
  };
}

export const receive: Benchmark = {
  name: 'receive',
  about: 'the variants of the receive path with DTLS on and off, and where the processor time goes',
  run,
};
