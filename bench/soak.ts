/** Ten minutes at full speed: four flows in DTLS whose keys change often, one end that moves every minute. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../cli/demo/machine.ts';
import { ip, run as runCommand, within } from '../cli/demo/namespaces.ts';
import { table } from '../cli/output.ts';
import { OverlayError } from '../overlay/errors.ts';
import { systemClock } from '../overlay/lib/clock.ts';
import type { Benchmark, BenchmarkOptions, BenchmarkResult } from './benchmark.ts';
import { type Host, Lab, mustRun } from './lab/lab.ts';
import { Product, tunnelsOf } from './lab/product.ts';
import { type BaseLosses, baseLosses, increase } from './measure/base-losses.ts';
import { intervalBytes, parseIperf3, runIperf3, type TcpSample } from './measure/iperf3.ts';
import { residentMegabytes } from './measure/processor.ts';
import { longestGap, longestSilence, parseAnswerTimes } from './measure/stalls.ts';
import { describeSetting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { type Criterion, type EndObserved, judge, type Observed } from './soak-criteria.ts';
import { rounded } from './statistics.ts';
import { ours } from './variants/ours.ts';
import type { Variant } from './variants/variant.ts';

const MINUTES = 10;
const REKEY_SECONDS = 20;
const CIPHER = 'aes-128-gcm';
const FLOWS = 4;
const PROBE_SECONDS = 0.02;
const INTERVAL_SECONDS = 0.1;
const WATCH_MS = 5000;
/** After the flows, so that nothing is on its way when the counters are read. */
const QUIET_MS = 3000;
const DEVICE = 'eth0';
const VI = 'soak';
const OVERALL = ['packetsOut', 'packetsIn'] as const;

type Counted = { readonly packetsOut: number; readonly packetsIn: number; readonly ageMs: number };

async function countersOf(machine: Machine): Promise<Counted> {
  const [tunnel] = await tunnelsOf(machine, VI);
  return tunnel ?? { packetsOut: 0, packetsIn: 0, ageMs: 0 };
}

/** Everything that is compared between beginning and end. */
type Snapshot = { readonly counted: Counted; readonly drops: BaseLosses; readonly losses: BaseLosses };

async function snapshot(machine: Machine): Promise<Snapshot> {
  const counted = await countersOf(machine);
  const { drops } = await machine.status();
  return { counted, drops, losses: await baseLosses(machine.namespace, DEVICE) };
}

/** Gives the host its next address on the cable and takes the one before away. */
async function roam(host: Host, round: number): Promise<void> {
  const addressOf = (index: number): string => (index === 0 ? host.address : `10.200.0.${100 + (index % 100)}`);
  await ip(host.namespace, [
    `addr add ${addressOf(round)}/24 dev ${DEVICE}`,
    `addr del ${addressOf(round - 1)}/24 dev ${DEVICE}`,
  ]);
}

type Watched = { readonly residentMb: number[][]; rebuilds: number; roams: number };

/** While the flows run: memory at every full minute, tunnels that began anew, and the moves. */
async function watch(
  machines: readonly Machine[],
  pids: readonly number[],
  mover: Host,
  minutes: number,
  say: (line: string) => void,
): Promise<Watched> {
  const watched: Watched = { residentMb: pids.map(() => []), rebuilds: 0, roams: 0 };
  const started = systemClock.now();
  const passed = (): number => systemClock.now() - started;
  let youngest = 0;
  for (let minute = 1; minute <= minutes; minute++) {
    while (passed() < minute * 60_000) {
      await sleep(Math.min(WATCH_MS, Math.max(0, minute * 60_000 - passed())));
      const { ageMs } = await countersOf(machines[0] as Machine);
      if (ageMs < youngest) watched.rebuilds++;
      youngest = ageMs;
    }
    for (const [i, pid] of pids.entries()) watched.residentMb[i]?.push(residentMegabytes(pid));
    const memory = watched.residentMb.map((values) => `${rounded(values.at(-1))} MB`).join(' and ');
    say(`minute ${minute} of ${minutes}: ${memory}, ${watched.rebuilds} tunnels made anew`);
    if (minute < minutes) await roam(mover, ++watched.roams);
  }
  return watched;
}

async function probe(variant: Variant, seconds: number): Promise<number> {
  const count = String(Math.floor(seconds / PROBE_SECONDS));
  const options = ['-n', '-D', '-i', String(PROBE_SECONDS), '-c', count, '-W', '1'];
  const { stdout } = await runCommand(within(variant.from.namespace, ['ping', ...options, variant.to.address]));
  return longestGap(parseAnswerTimes(stdout));
}

function endObserved(machine: Machine, before: Snapshot, after: Snapshot, residentMb: readonly number[]): EndObserved {
  const [packetsOut, packetsIn] = OVERALL.map((field) => after.counted[field] - before.counted[field]);
  return {
    name: machine.name,
    packetsOut: packetsOut ?? 0,
    packetsIn: packetsIn ?? 0,
    drops: increase(before.drops, after.drops),
    baseLosses: increase(before.losses, after.losses),
    residentMb,
  };
}

async function soakFor(
  product: Product,
  variant: Variant,
  mover: Host,
  minutes: number,
  say: (line: string) => void,
): Promise<{ readonly observed: Observed; readonly tcp: TcpSample | { readonly problem: string } }> {
  const { machines } = product;
  const [one, two] = machines;
  if (one === undefined || two === undefined) throw new OverlayError('INTERNAL', 'The soak has two machines.');
  const before = [await snapshot(one), await snapshot(two)] as const;
  const seconds = minutes * 60;
  const options = { streams: FLOWS, seconds, args: ['-i', String(INTERVAL_SECONDS)] };
  const [flows, stall, watched] = await Promise.all([
    runIperf3(variant, options),
    probe(variant, seconds),
    watch(machines, variant.pids, mover, minutes, say),
  ]);
  await sleep(QUIET_MS);
  const after = [await snapshot(one), await snapshot(two)] as const;
  const { rebuilds, roams, residentMb } = watched;
  const observed: Observed = {
    ends: [
      endObserved(one, before[0], after[0], residentMb[0] ?? []),
      endObserved(two, before[1], after[1], residentMb[1] ?? []),
    ],
    rebuilds: rebuilds + (after[0].counted.ageMs < before[0].counted.ageMs && rebuilds === 0 ? 1 : 0),
    roams,
    probeStallSeconds: stall,
    throughputStallSeconds: longestSilence(intervalBytes(flows), INTERVAL_SECONDS),
  };
  let tcp: TcpSample | { problem: string };
  try {
    tcp = parseIperf3(flows);
  } catch (error) {
    tcp = { problem: (error as Error).message };
  }
  return { observed, tcp };
}

const VERDICTS = new Map<boolean | null, string>([
  [true, 'yes'],
  [false, 'NO'],
  [null, 'not judged'],
]);

function rowsOf(criteria: readonly Criterion[]): string[][] {
  return criteria.map(({ name, measured, limit, holds }) => [name, measured, limit, VERDICTS.get(holds) ?? '']);
}

async function run(
  say: (line: string) => void,
  options: BenchmarkOptions,
): Promise<BenchmarkResult & { observed: Observed }> {
  const { minutes = MINUTES, only } = options;
  // For a look at the rest where there is no DTLS.
  const cipher = only.includes('plain') ? null : CIPHER;
  const lab = new Lab();
  try {
    const a = { namespace: await lab.addNamespace('a'), address: '10.200.0.1' };
    const b = { namespace: await lab.addNamespace('b'), address: '10.200.0.2' };
    await lab.cable(a, b, DEVICE);
    // Otherwise the kernel takes an interface's newer addresses away with the oldest.
    await mustRun(b.namespace, ['sh', '-c', `echo 1 > /proc/sys/net/ipv4/conf/${DEVICE}/promote_secondaries`]);
    say('setting up two nodes');
    const product = await Product.start(lab, [a, b]);
    const more = { rekeySeconds: REKEY_SECONDS };
    const variant = await ours(product, { name: VI, cipher, device: DEVICE, more });
    say(`${FLOWS} flows for ${minutes} minutes`);
    const { observed, tcp } = await soakFor(product, variant, b, minutes, say);
    const flowsEnded: Criterion = {
      name: `${FLOWS} TCP flows last to the end`,
      measured: 'problem' in tcp ? tcp.problem : `${rounded(tcp.gbitsPerSecond)} Gbit/s`,
      limit: '-',
      holds: !('problem' in tcp),
    };
    const criteria = [flowsEnded, ...judge(observed)];
    const headings = ['criterion', 'measured', 'limit', 'holds'];
    const what = `${FLOWS} TCP flows at full speed for ${minutes} minutes, ${cipher ?? 'plain'}, new keys every ${REKEY_SECONDS} s, ${observed.roams} moves to a new address.`;
    const markdown = [
      '# Soak',
      'Written by `npm run bench -- soak --results`.',
      describeSetting(await settingOf(['iperf3'])),
      what,
      markdownTable(headings, rowsOf(criteria)),
      ...observed.ends.map((end) => `Observed at ${end.name}: \`${JSON.stringify(end)}\`.`),
    ].join('\n\n');
    return {
      name: 'soak',
      figures: [],
      samples: { observed, tcp, criteria },
      observed,
      table: `${what}\n${table(headings, rowsOf(criteria))}`,
      report: { markdown: `${markdown}\n` },
      failed: criteria.some(({ holds }) => holds !== true),
    };
  } finally {
    await lab.remove();
  }
}

export const soak: Benchmark = {
  name: 'soak',
  about:
    'four flows for ten minutes, with new keys and moving ends: memory, stalls, and that every packet is accounted for',
  run,
};
