/** How exactly a tunnel is shaped, measured from outside: between programs at both ends, by numbered UDP datagrams. */
import type { Machine } from '../cli/demo/machine.ts';
import { World } from '../cli/demo/world.ts';
import type { NodeStatus } from '../overlay/messages/control.ts';
import type { Benchmark, Figure } from './benchmark.ts';
import { probe, type Sample } from './lab/probe.ts';
import { describeSetting, settingOf } from './report/machine.ts';
import { markdownTable } from './report/markdown.ts';
import { median } from './statistics.ts';

const VI = 'qos';
const ROUNDS = 3;
/** IPv4 and UDP. */
const HEADER_BYTES = 28;
const MTU = 1380;
/** What is offered to a rate limit, in parts of it. */
const OVERLOAD = 1.3;
/** Of the rate: where the sender is held up for less, the limit is still what is measured. */
const QUEUE_SECONDS = 0.4;
const RATES_MBIT = [1, 10, 100, 1000] as const;
const DELAYS_MS = [1, 5, 20, 100] as const;
const LOSSES_PERCENT = [0.1, 1, 10] as const;
const REORDERS_PERCENT = [5, 25] as const;
/** Packets further apart than twice the jitter, so that keeping their order changes nothing. */
const JITTER = { delayMs: 20, jitterMs: 5, perSecond: 90, seconds: 12 } as const;

type Ends = { readonly from: Machine; readonly to: Machine; readonly peer: NodeStatus };
type Measured = {
  readonly what: string;
  readonly asked: number;
  readonly measured: number;
  readonly unit: string;
  /** Of what was asked, percent; of delays, milliseconds. */
  readonly error: number;
  readonly errorUnit: string;
  readonly samples: readonly Sample[];
};

/** The ring's own messages are part of what is limited; here they are rare. */
const DEFINITION = { timers: { stabiliseMs: 60_000, fixFingersMs: 600_000 } } as const;

async function shape({ from, peer }: Ends, words: readonly string[]): Promise<void> {
  const verb = words.length === 0 ? ['clear', '--all'] : ['set', peer.name, '--out', ...words];
  await from.mustCommand(['qos', ...verb, '--run', from.run]);
}

function send(ends: Ends, inner: number, perSecond: number, seconds: number): Promise<Sample> {
  return probe({
    fromNamespace: ends.from.namespace,
    toNamespace: ends.to.namespace,
    address: ends.peer.ipv4,
    payloadBytes: inner - HEADER_BYTES,
    perSecond,
    seconds,
    idleMs: 700,
  });
}

/** Bits per second of inner IP packets. */
function rateOf({ windowBytes, windowPackets, windowSeconds }: Sample): number {
  return ((windowBytes + windowPackets * HEADER_BYTES) * 8) / windowSeconds;
}

function relative(what: string, unit: string, asked: number, values: readonly number[], samples: Sample[]): Measured {
  const measured = median(values);
  return { what, asked, measured, unit, error: (measured / asked - 1) * 100, errorUnit: '%', samples };
}

async function measureRate(ends: Ends, mbit: number): Promise<Measured> {
  const queue = `${Math.round((mbit * 1e6 * QUEUE_SECONDS) / 8)}B`;
  await shape(ends, ['--rate', `${mbit}mbit`, '--queue', queue]);
  const perSecond = (mbit * 1e6 * OVERLOAD) / 8 / MTU;
  const samples: Sample[] = [];
  for (let round = 0; round < ROUNDS; round++) samples.push(await send(ends, MTU, perSecond, mbit < 10 ? 10 : 4));
  const values = samples.map((sample) => rateOf(sample) / 1e6);
  return relative(`rate ${mbit}mbit`, 'mbit', mbit, values, samples);
}

async function measureDelay(ends: Ends, ms: number): Promise<Measured> {
  const samples: Sample[] = [];
  const added: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await shape(ends, []);
    const without = await send(ends, 128, 200, 2);
    await shape(ends, ['--delay', `${ms}ms`]);
    const delayed = await send(ends, 128, 200, 2);
    samples.push(without, delayed);
    added.push(delayed.ms.median - without.ms.median);
  }
  const measured = median(added);
  return { what: `delay ${ms}ms`, asked: ms, measured, unit: 'ms', error: measured - ms, errorUnit: 'ms', samples };
}

async function measureJitter(ends: Ends): Promise<Measured> {
  const { delayMs, jitterMs, perSecond, seconds } = JITTER;
  await shape(ends, ['--delay', `${delayMs}ms`, '--jitter', `${jitterMs}ms`]);
  const sample = await send(ends, 128, perSecond, seconds);
  // Nine tenths of an even distribution lie between these; single packets that the machine held up do not count.
  const measured = (sample.ms.p95 - sample.ms.p05) / 1.8;
  const what = `jitter ${jitterMs}ms of ${delayMs}ms`;
  return {
    what,
    asked: jitterMs,
    measured,
    unit: 'ms',
    error: measured - jitterMs,
    errorUnit: 'ms',
    samples: [sample],
  };
}

async function measureLoss(ends: Ends, percent: number): Promise<Measured> {
  await shape(ends, []);
  const without = await send(ends, 128, 5000, 4);
  await shape(ends, ['--loss', `${percent}%`]);
  const sample = await send(ends, 128, 5000, 20);
  const share = (1 - sample.received / sample.sent - (1 - without.received / without.sent)) * 100;
  return relative(`loss ${percent}%`, '%', percent, [share], [without, sample]);
}

async function measureReordering(ends: Ends, percent: number): Promise<Measured> {
  await shape(ends, ['--delay', '40ms', '--reorder', `${percent}%`]);
  const sample = await send(ends, 128, 1000, 10);
  const share = (sample.underHalfOfMedian / sample.received) * 100;
  return relative(`reorder ${percent}%`, '%', percent, [share], [sample]);
}

async function measureAll(ends: Ends, say: (line: string) => void): Promise<Measured[]> {
  const all: Measured[] = [];
  const tell = async (task: Promise<Measured>): Promise<void> => {
    const one = await task;
    all.push(one);
    say(
      `${one.what.padEnd(20)} measured ${one.measured.toFixed(3)} ${one.unit}, error ${one.error.toFixed(3)} ${one.errorUnit}`,
    );
  };
  for (const mbit of RATES_MBIT) await tell(measureRate(ends, mbit));
  for (const ms of DELAYS_MS) await tell(measureDelay(ends, ms));
  await tell(measureJitter(ends));
  for (const percent of LOSSES_PERCENT) await tell(measureLoss(ends, percent));
  for (const percent of REORDERS_PERCENT) await tell(measureReordering(ends, percent));
  await shape(ends, []);
  return all;
}

async function run(say: (line: string) => void): Promise<Measured[]> {
  const world = new World({ kind: 'pxb', underlay: 'ipv4' });
  try {
    await world.create();
    const [from, to] = (await world.addMachines(2)) as [Machine, Machine];
    await world.startOm();
    await world.createVi(VI, DEFINITION);
    const invitation = await world.invite(VI, ['--uses', '2']);
    await from.mustJoin(invitation);
    const peer = await to.mustJoin(invitation);
    await world.untilIdeal();
    return await measureAll({ from, to, peer }, say);
  } finally {
    await world.remove();
  }
}

async function reportOf(measured: readonly Measured[]): Promise<string> {
  const rows = measured.map(({ what, measured: value, unit, error, errorUnit }) => [
    what,
    `${value.toFixed(3)} ${unit}`,
    `${error.toFixed(3)} ${errorUnit}`,
  ]);
  return `# Quality of service of a tunnel

Written by \`npm run bench -- qos --results\`.

${describeSetting(await settingOf([]))}

Measured from outside, by programs at both ends of a tunnel between two real nodes that send and receive numbered UDP datagrams.
Rates and delays are medians of ${ROUNDS}; a delay is what the shape adds to the way without one. A rate counts inner IP
packets. Loss and reordering are drawn for each packet, so a share of some thousand packets is off by chance.

${markdownTable(['asked for', 'measured', 'error'], rows)}
`;
}

export const qos: Benchmark = {
  name: 'qos',
  about: 'how exactly rate, delay, jitter, loss and reordering of a tunnel are what was asked for',
  async run(say) {
    const measured = await run(say);
    const figures = measured.flatMap(({ what, measured: value, unit, error, errorUnit }): Figure[] => [
      { name: `${what}: measured`, value: Number(value.toFixed(4)), unit },
      { name: `${what}: error`, value: Number(error.toFixed(4)), unit: errorUnit },
    ]);
    return { name: 'qos', figures, samples: measured, report: { markdown: await reportOf(measured) } };
  },
};
