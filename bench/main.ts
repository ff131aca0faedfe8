/** `npm run bench -- NAME [--json FILE]`: runs one benchmark, prints its figures, and writes every sample to the file. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Benchmark } from './benchmark.ts';
import { idle } from './idle.ts';
import { qos } from './qos.ts';
import { ring } from './ring.ts';

const BENCHMARKS: readonly Benchmark[] = [idle, qos, ring];

const { values, positionals } = parseArgs({ options: { json: { type: 'string' } }, allowPositionals: true });
const benchmark = BENCHMARKS.find(({ name }) => name === positionals[0]);
if (benchmark === undefined) {
  console.error('Give the name of a benchmark, for example: npm run bench -- idle');
  for (const { name, about } of BENCHMARKS) console.error(`  ${name.padEnd(8)} ${about}`);
  process.exit(2);
}
if (process.getuid?.() !== 0) {
  console.error('The benchmarks make network namespaces, which takes root; run this as root.');
  process.exit(3);
}
const result = await benchmark.run((line) => console.error(line));
for (const { name, value, unit } of result.figures) console.log(`${name.padEnd(52)} ${value} ${unit}`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, undefined, 2)}\n`);
