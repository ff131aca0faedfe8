/** From the text of a policy to what runs: checked, and with all names resolved. */
import { compileBounds } from './bounds.ts';
import type { Compilation, PolicyFiles, Scope } from './compilation.ts';
import type { CompiledPolicy, ServiceSettings } from './compiled-policy.ts';
import { warnOfUnreachable } from './feasibility.ts';
import { type Path, PolicyDocument } from './policy-document.ts';
import { EVENTS, type PolicyFile } from './policy-schema.ts';
import { type Problem, Problems, quoted } from './problems.ts';
import { parseSize, parseTime } from './quantities.ts';
import { Rules } from './rules.ts';
import { CONDITION_ACTIONS, CONDITIONS } from './vocabulary.ts';

export type Compiled = {
  /** In the order of the files' lines. */
  readonly problems: readonly Problem[];
  /** Undefined if one of them is an error. */
  readonly policy?: CompiledPolicy;
};

const DENY_FOR_MS = 600_000;
const SCAN = { socket: '/run/clamav/clamd.ctl', objectMax: 25e6, archiveMax: 100e6, connections: 4, timeoutMs: 30_000 };
const AUDIT = { rotate: 100e6, keep: 10, filesMax: 10e9 };

/** `file` is the policy's name in messages. */
export function compilePolicy(file: string, text: string, files: PolicyFiles, scope: Scope = 'router'): Compiled {
  const problems = new Problems();
  const document = new PolicyDocument(file, text);
  const policy = document.read(problems);
  const compiled = policy === undefined ? undefined : compile({ document, policy, problems, files, scope });
  const list = problems.list.toSorted((a, b) => (a.file === b.file ? a.line - b.line || a.column - b.column : 0));
  return compiled === undefined || problems.failed ? { problems: list } : { problems: list, policy: compiled };
}

function compile(compilation: Compilation): CompiledPolicy {
  const { policy } = compilation;
  const denyForMs = timeOf(compilation, policy.connectionCache?.denyFor, ['connectionCache', 'denyFor'], DENY_FOR_MS);
  const rules = new Rules(compilation, denyForMs);
  const compiledRules = (policy.rules ?? []).map((rule, index) => rules.compile(rule, index));
  rules.sets.checkAll();
  rules.patterns.checkAll();
  rules.hashes.checkAll();
  if (!compilation.problems.failed) warnOfUnreachable(compilation, compiledRules);
  const conditions = Object.entries(policy.conditions ?? {}) as [string, (typeof CONDITION_ACTIONS)[number]][];
  return {
    dryRun: policy.mode === 'dry-run',
    fastPass: policy.fastPass ?? true,
    defaultVerdict: policy.default ?? 'accept',
    denyForMs,
    conditions: conditions.map(([name, action]) => ({
      condition: CONDITIONS.indexOf(name),
      action: CONDITION_ACTIONS.indexOf(action),
    })),
    ownApplications: rules.applications.own,
    addressSets: rules.sets.table,
    names: rules.sets.used,
    times: rules.times.table,
    groups: rules.patterns.counts,
    expressions: rules.patterns.expressions,
    hashLists: rules.hashes.table,
    limits: rules.limits.table,
    rules: compiledRules,
    services: servicesOf(compilation, policy),
  };
}

function servicesOf(compilation: Compilation, { scan = {}, audit, signatures = [] }: PolicyFile): ServiceSettings {
  const size = (text: string | undefined, path: Path, otherwise: number) => sizeOf(compilation, text, path, otherwise);
  const settings: ServiceSettings = {
    signatures,
    bounds: compileBounds(compilation),
    scan: {
      socket: scan.socket ?? SCAN.socket,
      objectMax: size(scan.objectMax, ['scan', 'objectMax'], SCAN.objectMax),
      archiveMax: size(scan.archiveMax, ['scan', 'archiveMax'], SCAN.archiveMax),
      connections: scan.connections ?? SCAN.connections,
      timeoutMs: timeOf(compilation, scan.timeout, ['scan', 'timeout'], SCAN.timeoutMs),
    },
  };
  if (audit === undefined) return settings;
  const { directory, rotate, keep = AUDIT.keep, events = EVENTS, files } = audit;
  const stored = files && {
    files: { directory: files.directory, max: size(files.max, ['audit', 'files', 'max'], AUDIT.filesMax) },
  };
  return {
    ...settings,
    audit: { directory, rotate: size(rotate, ['audit', 'rotate'], AUDIT.rotate), keep, events, ...stored },
  };
}

function sizeOf({ document, problems }: Compilation, text: string | undefined, path: Path, otherwise: number): number {
  const size = text === undefined ? otherwise : parseSize(text);
  if (size !== undefined && size > 0) return size;
  problems.error(document.place(path), `${quoted(text ?? '')} is no size; write it as '100 MB'.`);
  return otherwise;
}

function timeOf({ document, problems }: Compilation, text: string | undefined, path: Path, otherwise: number): number {
  const time = text === undefined ? otherwise : parseTime(text);
  if (time !== undefined) return time;
  problems.error(document.place(path), `${quoted(text ?? '')} is no time up to 30 days; write it as 90s, 10m or 8h.`);
  return otherwise;
}
