/**
 * `npm run bench -- NAME`: runs one benchmark and prints its figures. --json FILE writes every sample, --results a
 * table and a chart into docs/results.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { table } from '../cli/output.ts';
import { addressServer } from './address-server.ts';
import type { Benchmark, BenchmarkOptions, BenchmarkResult } from './benchmark.ts';
import { churn } from './churn.ts';
import { figure5 } from './figure5.ts';
import { figure6 } from './figure6.ts';
import { forwarding } from './forwarding.ts';
import { gateway } from './gateway.ts';
import { idle } from './idle.ts';
import { removeLabs } from './lab/lab.ts';
import { scheduleAlike, scheduleAsBefore } from './lab/scheduling.ts';
import { proximity } from './proximity.ts';
import { proximityLive } from './proximity-live.ts';
import { qos } from './qos.ts';
import { receive } from './receive.ts';
import { ring } from './ring.ts';
import { scale } from './scale.ts';
import { soak } from './soak.ts';
import { rounded } from './statistics.ts';
import { tunnel } from './tunnel.ts';

const BENCHMARKS: readonly Benchmark[] = [
  tunnel,
  forwarding,
  receive,
  soak,
  qos,
  ring,
  idle,
  proximity,
  proximityLive,
  addressServer,
  figure5,
  figure6,
  scale,
  churn,
  gateway,
];
const RESULTS = fileURLToPath(new URL('../docs/results/', import.meta.url));

const USAGE = `npm run bench -- NAME [options], as root

${BENCHMARKS.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`).join('\n')}

  --json FILE    every sample, as JSON
  --results      a table and a chart into docs/results
  --rounds N     measured in turn so often; the figures are medians
  --seconds N    length of one measurement
  --minutes N    of a soak
  --only A,B     these variants or measurements only

Example: npm run bench -- tunnel --only veth,vxlan,plain --rounds 3 --json out.json`;

function wrongUse(message: string): never {
  console.error(`${message}\n\n${USAGE}`);
  process.exit(2);
}

function positive(name: string, text: string | undefined): Record<string, number> {
  if (text === undefined) return {};
  const value = Number(text);
  if (!(value > 0)) wrongUse(`--${name} takes a number above 0.`);
  return { [name]: value };
}

function print(result: BenchmarkResult): void {
  if (result.table !== undefined) console.log(result.table);
  else
    console.log(
      table(
        ['', '', ''],
        result.figures.map(({ name, value, unit }) => [name, rounded(value), unit]),
      ),
    );
}

function writeReport(name: string, { markdown, svg }: NonNullable<BenchmarkResult['report']>): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}${name}.md`, markdown);
  if (svg !== undefined) writeFileSync(`${RESULTS}${name}.svg`, svg);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        help: { type: 'boolean', default: false },
        json: { type: 'string' },
        results: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        minutes: { type: 'string' },
        only: { type: 'string', default: '' },
      },
      allowPositionals: true,
    });
  } catch (error) {
    return wrongUse((error as Error).message);
  }
}

const { values, positionals } = readArguments();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const benchmark =
  BENCHMARKS.find(({ name }) => name === positionals[0]) ??
  wrongUse('Give the name of a benchmark, for example: npm run bench -- tunnel');
const options: BenchmarkOptions = {
  ...positive('rounds', values.rounds),
  ...positive('seconds', values.seconds),
  ...positive('minutes', values.minutes),
  only: values.only.split(',').filter(Boolean),
};
if (process.getuid?.() !== 0) {
  console.error('The benchmarks make network namespaces, which takes root; run this as root.');
  process.exit(3);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void removeLabs().finally(() => process.exit(130)));
}
// A reader of the figures that goes away, as `head` does, must not leave namespaces behind.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
process.on('exit', scheduleAsBefore);
scheduleAlike();
const result = await benchmark.run((line) => console.error(line), options);
print(result);
const { report, table: _, ...json } = result;
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(json, undefined, 2)}\n`);
if (values.results && report !== undefined) writeReport(result.name, report);
process.exit(result.failed === true ? 1 : 0);
