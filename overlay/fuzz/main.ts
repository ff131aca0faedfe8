/**
 * Fuzzes the decoders written in JavaScript: `node overlay/fuzz/main.ts [--seconds 60] [--seed 1] [--target NAME]`.
 * A failure prints the input in hexadecimal and ends with status 1.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '../lib/clock.ts';
import { fuzz } from './fuzz.ts';
import { TARGETS } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string' },
  },
});
const targets = TARGETS.filter((target) => values.target === undefined || target.name === values.target);
if (targets.length === 0) {
  process.stderr.write(
    `There is no target '${values.target}'; choose from ${TARGETS.map((t) => t.name).join(', ')}.\n`,
  );
  process.exit(2);
}
for (const target of targets) {
  const end = systemClock.now() + Number(values.seconds) * 1000;
  const outcome = fuzz(target, Number(values.seed), () => systemClock.now() < end);
  process.stdout.write(
    `${target.name}: ${outcome.runs} inputs, ${outcome.paths} paths, ${outcome.failure ? 'FAILED' : 'no failure'}\n`,
  );
  if (outcome.failure) {
    process.stdout.write(`  input ${Buffer.from(outcome.failure.input).toString('hex')}\n  ${outcome.failure.error}\n`);
    process.exitCode = 1;
  }
}
