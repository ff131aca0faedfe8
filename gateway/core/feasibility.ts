/** Rules that ask for what cannot be: more than a protocol lets anybody see, or facts that come too late. */
import type { NamedApplication } from './applications.ts';
import { type Compilation } from './compilation.ts';
import type { CompiledRule } from './compiled-policy.ts';
import type { Path } from './policy-document.ts';
import type { Rule } from './policy-schema.ts';
import { quoted } from './problems.ts';
import { APPLICATIONS, CHATTING, FILELESS, functionsOf, HOSTED } from './vocabulary.ts';

export type RuleInPlace = {
  readonly rule: Rule;
  /** Undefined where the rule names none. */
  readonly applications: readonly NamedApplication[] | undefined;
  readonly compiled: CompiledRule;
  readonly path: Path;
};

type Function = { readonly asked: boolean; readonly can: (application: string) => boolean; readonly what: string };

export function checkFeasible(compilation: Compilation, place: RuleInPlace): void {
  const { document, problems, policy } = compilation;
  const { rule, compiled, path } = place;
  const error = (field: string, message: string): void => problems.error(document.place([...path, field]), message);
  const { file, chat } = rule.when ?? {};
  if (file !== undefined && chat !== undefined) {
    error('when', 'A message is not sent with a file; make one rule for chat and one for file.');
  }
  const denies = compiled.verdict === 'drop' || compiled.verdict === 'reject';
  if (denies && (compiled.scan || compiled.store)) {
    error(
      'do',
      `What is to be ${compiled.verdict === 'drop' ? 'dropped' : 'rejected'} cannot be scanned or stored; take one of them out.`,
    );
  }
  if (denies && (compiled.limit !== 0 || compiled.mark !== undefined)) {
    error('do', 'What does not go on has no limit and no mark; take them out.');
  }
  if (chat !== undefined && (compiled.scan || compiled.store)) {
    error('do', 'Messages are neither scanned nor stored; give log to record them.');
  }
  if (compiled.store && policy.audit?.files === undefined) {
    error('do', 'store needs a place; add audit: {directory: …, files: {directory: …}}.');
  }
  if (compiled.log && policy.audit === undefined) {
    problems.warn(document.place([...path, 'do']), 'log has no effect without audit: {directory: …}; add it.');
  }
  if (compiled.verdict === 'redirect') checkRedirect(place, error);
  checkApplications(place, (message) => error('when', message));
}

function checkRedirect({ rule, compiled }: RuleInPlace, error: (field: string, message: string) => void): void {
  const when = rule.when ?? {};
  const late = (['application', 'host', 'file', 'chat'] as const).find((field) => when[field] !== undefined);
  if (late !== undefined) {
    error(
      'when',
      `A redirect has to begin with the first packet, and ${late} is known later; use from, to, between, port, protocol or time.`,
    );
  }
  const protocols = compiled.conditions.find((condition) => condition.kind === 'protocol')?.numbers ?? [];
  const hasPorts =
    when.port !== undefined || (protocols.length > 0 && protocols.every((number) => number === 6 || number === 17));
  if (compiled.redirect !== undefined && compiled.redirect.port !== 0 && !hasPorts) {
    error('when', 'Only TCP and UDP have ports to redirect to; add protocol: tcp, or a port.');
  }
}

function checkApplications({ rule, applications, compiled }: RuleInPlace, error: (message: string) => void): void {
  const { file, chat, host } = rule.when ?? {};
  const functions: readonly Function[] = [
    { asked: compiled.scan, can: seesContent, what: 'its files cannot be scanned' },
    { asked: compiled.store, can: seesContent, what: 'its files cannot be stored' },
    {
      asked: file?.type !== undefined || file?.sha256 !== undefined,
      can: seesContent,
      what: 'the content of its files, and so type and sha256, is not seen',
    },
    { asked: file !== undefined, can: seesFiles, what: 'its files are not seen' },
    { asked: chat !== undefined, can: (name) => CHATTING.includes(name), what: 'no messages of it are seen' },
    { asked: host !== undefined, can: (name) => HOSTED.includes(name), what: 'it names no host' },
  ];
  for (const { name } of applications ?? []) {
    const wrong = functions.find(({ asked, can }) => asked && !can(name));
    if (wrong === undefined) continue;
    const able = APPLICATIONS.filter((other) => wrong.can(other));
    error(
      `${quoted(name)} can be blocked and limited, but ${wrong.what}; that is so for ${able.join(', ')}. Take it out, or make a rule of its own for it.`,
    );
  }
}

function seesContent(application: string): boolean {
  return functionsOf(application).scan;
}

function seesFiles(application: string): boolean {
  return functionsOf(application).filter && !FILELESS.includes(application);
}

/** More conditions than this are not looked through for every subset. */
const SUBSET_CONDITIONS_MAX = 10;

/** Rules that never match, because all that they ask for is asked for by one before them. */
export function warnOfUnreachable({ document, problems }: Compilation, rules: readonly CompiledRule[]): void {
  const first = new Map<string, CompiledRule>();
  for (const [index, rule] of rules.entries()) {
    const keys = rule.conditions.map((condition) => JSON.stringify(condition)).sort();
    const before = keys.length <= SUBSET_CONDITIONS_MAX ? subsets(keys).map((subset) => first.get(subset)) : [];
    const shadow = before.find((other) => other !== undefined);
    if (shadow !== undefined) {
      const advice = 'put the more particular rule first';
      problems.warn(
        document.place(['rules', index]),
        `${quoted(rule.name)} never matches, because ${quoted(shadow.name)} in line ${shadow.line} matches before; ${advice}.`,
      );
    }
    const key = keys.join('\n');
    if (!first.has(key)) first.set(key, rule);
  }
}

function subsets(keys: readonly string[]): string[] {
  return Array.from({ length: 2 ** keys.length }, (_, mask) => keys.filter((_key, i) => (mask >> i) & 1).join('\n'));
}
