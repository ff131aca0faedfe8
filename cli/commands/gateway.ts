/** The management gateway: its policy is checked before it is used. */
import { formatProblem } from '../../gateway/core/problems.ts';
import { inForceNames } from '../../gateway/driver/loaded-policy.ts';
import { loadPolicy } from '../../gateway/driver/policy-files.ts';
import { EXIT, OverlayError } from '../../overlay/errors.ts';
import type { RdOptions } from '../command.ts';
import { print, printJson } from '../output.ts';
import { whoseBy, wordsOfNames } from './gateway-names.ts';

export async function check(file: string, options: RdOptions): Promise<void> {
  const whose = await whoseBy(options);
  const { policy, problems, unreadable } = loadPolicy(file, whose === 'router' ? 'router' : 'node');
  if (unreadable !== undefined) throw new OverlayError('BAD_CONFIG', `${file} ${unreadable}`);
  const isGood = policy !== undefined;
  if (!isGood) process.exitCode = EXIT.failed;
  const rules = policy?.rules.map(({ name, line, verdict }, i) => ({ number: i + 1, name, line, verdict })) ?? [];
  const meant = policy === undefined || whose === 'router' ? undefined : inForceNames(policy, whose);
  if (options.json) {
    return printJson({ file, ok: isGood, problems, rules, ...(meant === undefined ? {} : { names: meant.names }) });
  }
  for (const problem of problems) print(formatProblem(problem));
  for (const line of [...(meant?.warnings ?? []), ...wordsOfNames(meant?.names ?? [])]) print(line);
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const warnings = problems.length - errors;
  const warned = warnings === 0 ? '' : `, ${countOf(warnings, 'warning')}`;
  if (policy === undefined) return print(`${file}: ${countOf(errors, 'error')}${warned}; it cannot be used.`);
  const mode = policy.dryRun ? ', dry run' : '';
  print(`${file}: ${countOf(rules.length, 'rule')}, default ${policy.defaultVerdict}${mode}${warned}; it can be used.`);
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
