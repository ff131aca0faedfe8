/** `npm run sim -- …`: the ring under faults, in virtual time. */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { Progress } from '../../cli/progress.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { mergeMs } from './merge.ts';
import { NODES_MAX, type Plan, parsePlan } from './plan.ts';
import { CALM_S, type PlanOptions, randomPlan, START_S } from './random-plan.ts';
import { type Outcome, runPlan } from './run.ts';
import { shrunk } from './shrink.ts';
import { Summary } from './summary.ts';
import { sweep } from './sweep.ts';

const SHRINK_RUNS = 400;
const SEED_MAX = 0xffff_ffff;

type Options = {
  readonly seed?: number;
  readonly seeds?: { readonly from: number; readonly to: number };
  readonly plan?: string;
  readonly nodes?: number;
  readonly minutes: number;
  readonly calm: number;
  readonly jobs: number;
  readonly output: string;
  readonly shrink: boolean;
  readonly json: boolean;
  readonly merge: boolean;
};

const MERGE_SEEDS = 10;
const MERGE_NODES = [8, 16, 32, 64, 128];
const MERGE_APART_S = [10, 60, 300];

const EXAMPLES = `
Examples:
  npm run sim -- --seed 8123                     one life of a ring, the same each time
  npm run sim -- --seeds 1..300                  many, on all processors
  npm run sim -- --seeds 1..100 --nodes 200 --minutes 10
  npm run sim -- --seeds 1..20000 --minutes 3.5 --calm 45     the same faults as in five minutes, and a shorter rest
  npm run sim -- --plan sim-failure-8123.json    what a failure left behind, again
`;

const program = new Command('npm run sim --')
  .description(
    'Runs the cores of both daemons in virtual time under faults drawn from a seed, and watches what must hold. ' +
      'A failure is made small and written to a file.',
  )
  .option('--seed <number>', 'one run, with this seed', integerUpTo(SEED_MAX))
  .option('--seeds <from..to>', 'all seeds from the one to the other', seedsOf)
  .option('--plan <file>', 'the plan in this file, as a failure or p2pxbone bugreport --scenario wrote it')
  .option('--merge', 'how long a ring that broke in two takes to become one again, by size and time apart', false)
  .option('--nodes <number>', 'size of the ring at first; drawn from 5 to 64 if absent', integerUpTo(NODES_MAX))
  .option('--minutes <number>', 'virtual minutes', minutesOf, 5)
  .option(
    '--calm <seconds>',
    'of these, virtual seconds at the end in which nothing befalls the ring',
    integerUpTo(3600),
    CALM_S,
  )
  .option('--jobs <number>', 'threads of a sweep', integerUpTo(256), availableParallelism())
  .option('--output <directory>', 'where failures are written', '.')
  .option('--no-shrink', 'leave the plan of a failure as it is')
  .option('--json', 'one line of JSON for each run, and nothing else on standard output', false)
  .addHelpText('after', EXAMPLES);

async function main(): Promise<void> {
  const options = program.parse().opts<Options>();
  const planOptions = { minutes: options.minutes, nodes: options.nodes, calmS: options.calm };
  if (options.minutes * 60 <= START_S + options.calm) {
    program.error(
      `The first ${START_S} s and the calm of ${options.calm} s leave no time for faults: give more --minutes or less --calm.`,
    );
  }
  if (options.merge) return merges(options);
  if (options.plan !== undefined) return one(readPlan(options.plan), options);
  if (options.seeds !== undefined) return many(options.seeds, planOptions, options);
  return one(randomPlan(options.seed ?? 1, planOptions), options);
}

function one(plan: Plan, options: Options): void {
  const outcome = runPlan(plan);
  tell(outcome, options);
  if (options.json) return;
  print(`trace ${outcome.hash}, ${outcome.events} events`);
  if (outcome.failure !== undefined) report(plan, outcome, options);
}

/** A line for each size and time apart: seconds until there is one ring again. */
function merges({ nodes, json }: Options): void {
  const progress = new Progress(json);
  for (const count of nodes === undefined ? MERGE_NODES : [nodes]) {
    for (const apart of MERGE_APART_S) {
      const seconds: number[] = [];
      for (let seed = 1; seed <= MERGE_SEEDS; seed++) {
        progress.step('merging rings', `${count} nodes, ${apart} s apart, seed ${seed}`);
        seconds.push(mergeMs(count, apart * 1000, seed) / 1000);
      }
      seconds.sort((a, b) => a - b);
      const [median, longest] = [seconds[seconds.length >> 1] ?? 0, seconds.at(-1) ?? 0];
      if (json) print(JSON.stringify({ nodes: count, apart, seconds }));
      else
        progress.note(
          `${count} nodes, ${apart} s apart: median ${median.toFixed(1)} s, longest ${longest.toFixed(1)} s`,
        );
    }
  }
  progress.end();
}

async function many(seeds: { from: number; to: number }, plan: PlanOptions, options: Options): Promise<void> {
  const progress = new Progress(options.json);
  const summary = new Summary();
  const started = systemClock.now();
  const total = seeds.to - seeds.from + 1;
  const failed: Outcome[] = [];
  await sweep({
    ...seeds,
    plan,
    workers: options.jobs,
    ended: (outcome) => {
      summary.add(outcome);
      if (options.json) print(JSON.stringify(outcome));
      if (outcome.failure !== undefined) {
        failed.push(outcome);
        process.exitCode = 1;
        progress.note(`seed ${outcome.seed}: ${outcome.failure.what.split('\n')[0]}`);
      }
      progress.step('seeds', `${bar(summary.count / total)} ${summary.count} of ${total}, ${failed.length} failed`);
    },
  });
  progress.end();
  if (options.json) return;
  print(summary.text((systemClock.now() - started) / 1000));
  const first = failed.toSorted((a, b) => a.seed - b.seed)[0];
  if (first !== undefined) report(randomPlan(first.seed, plan), first, options);
}

function tell(outcome: Outcome, { json }: Options): void {
  if (outcome.failure !== undefined) process.exitCode = 1;
  if (json) return print(JSON.stringify(outcome));
  const { seed, failure, idealMs, lookups, findings } = outcome;
  print(
    failure === undefined
      ? `seed ${seed}: ideal ${Math.round(idealMs ?? 0)} ms after the last step; ${lookups.right} of ${lookups.asked} ` +
          `lookups named the right owner; the proof's invariants did not hold at ${findings.broken} of ${findings.looks} moments`
      : `seed ${seed}: at ${failure.atMs} ms: ${failure.what}`,
  );
}

/** Makes the failure small, and leaves it in a file. */
function report(plan: Plan, outcome: Outcome, options: Options): void {
  const { failure } = outcome;
  if (failure === undefined) return;
  const small = options.shrink ? shrink(plan, failure.what, options) : plan;
  const path = `${options.output}/sim-failure-${plan.seed}.json`;
  writeFileSync(path, `${JSON.stringify(small, undefined, 1)}\n`);
  print(`seed ${plan.seed}: first broken: ${failure.what}`);
  print(`what is left of its plan (${small.steps.length} of ${plan.steps.length} steps):`);
  for (const step of small.steps) print(`  ${JSON.stringify(step)}`);
  print(`again: npm run sim -- --plan ${path}`);
}

function shrink(plan: Plan, what: string, { json }: Options): Plan {
  const progress = new Progress(json);
  let runs = 0;
  const kind = kindOf(what);
  const small = shrunk(
    plan,
    (candidate) => {
      progress.step('making it smaller', `${++runs} runs, ${candidate.steps.length} steps`);
      const { failure } = runPlan(candidate);
      return failure !== undefined && kindOf(failure.what) === kind;
    },
    SHRINK_RUNS,
  );
  progress.end();
  return small;
}

/** The same fault tells other numbers each time. */
function kindOf(what: string): string {
  return (what.split('\n')[0] ?? '').replaceAll(/[0-9a-f]{6,16}|\d+/g, '#').slice(0, 40);
}

function bar(part: number): string {
  const width = 24;
  const done = Math.round(part * width);
  return '█'.repeat(done) + '░'.repeat(width - done);
}

function readPlan(path: string): Plan {
  const plan = attempt(() => parsePlan(JSON.parse(readFileSync(path, 'utf8'))));
  if (plan instanceof Error || !plan.ok) return program.error(`${path}: ${plan.message}`);
  return plan.value;
}

function attempt<T>(task: () => T): T | Error {
  try {
    return task();
  } catch (error) {
    return error as Error;
  }
}

function integerUpTo(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0 || value > most) {
      throw new InvalidArgumentError(`Give a whole number up to ${most}.`);
    }
    return value;
  };
}

function minutesOf(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1440)) throw new InvalidArgumentError('Give a number of minutes up to 1440.');
  return value;
}

function seedsOf(text: string): { from: number; to: number } {
  const [from, to] = (/^(\d+)\.\.(\d+)$/.exec(text) ?? []).slice(1).map(Number);
  if (from === undefined || to === undefined || from > to || to > SEED_MAX) {
    throw new InvalidArgumentError('Give two numbers, the lower one first, as in 1..300.');
  }
  return { from, to };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

await main();
