/** A policy from a file as a gateway takes it: rules, and the services that it asks for. */
import { isAbsolute, join, resolve } from 'node:path';
import type { GatewayRules, GatewayServices } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import { BEARERS_TOLD_MAX, type MeantBy, NAMES_TOLD_MAX } from '../../overlay/gateway-status.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { Scope } from '../core/compilation.ts';
import type { CompiledPolicy } from '../core/compiled-policy.ts';
import { bearersOf, type Directory, STRANGERS } from '../core/names.ts';
import { writePolicyImage } from '../core/policy-image.ts';
import { formatProblem, type Problem, quoted } from '../core/problems.ts';
import { loadPolicy, ownSignatures, signatureTexts } from './policy-files.ts';

/** Who can be named in a policy. `isListed`: the overlay manager has told of all nodes, if not lately. */
export type Acquaintances = Directory & { readonly isListed: boolean };

/** A router has no acquaintances. */
export type Whose = 'router' | Acquaintances;

export type Loaded = {
  readonly policy: CompiledPolicy;
  readonly rules: GatewayRules;
  readonly redirects: boolean;
  /** Of what the policy's text says. */
  readonly warnings: readonly string[];
};

/** The policy in that file, ready to be asked or put into force; its first mistakes otherwise. */
export function loadInForce(path: string, whose: Whose): Result<Loaded> {
  const read = readPolicy(path, whose === 'router' ? 'router' : 'node');
  if (!read.ok) return read;
  const { policy, warnings } = read.value;
  if (whose !== 'router' && policy.names.length > 0 && !whose.isListed) {
    return fail(
      'NOT_READY',
      `${path} names nodes or groups, and the overlay manager has not told yet who is in the virtual Internet; see that it answers.`,
    );
  }
  const directory = whose === 'router' ? undefined : whose;
  const redirects = policy.rules.some(({ verdict }) => verdict === 'redirect');
  const { objectMax, archiveMax } = policy.services.scan;
  const signatures = [...signatureTexts(path, policy), ...ownSignatures()];
  const rules = { policy: writePolicyImage(policy, directory), signatures, objectMax, archiveMax };
  return ok({ policy, rules, redirects, warnings });
}

/** Whether it could be put into force, as far as can be said without knowing who is in the virtual Internet. */
export function checkForNodes(path: string): Result<void> {
  const read = readPolicy(path, 'node');
  return read.ok ? ok() : read;
}

function readPolicy(path: string, scope: Scope): Result<{ policy: CompiledPolicy; warnings: string[] }> {
  const { policy, problems, unreadable } = loadPolicy(path, scope);
  if (unreadable !== undefined) return fail('BAD_CONFIG', `${path} ${unreadable}`);
  if (policy === undefined) return fail('BAD_CONFIG', wordsOf(problems));
  return ok({ policy, warnings: problems.map((problem) => formatProblem(problem)) });
}

/** Whom the policy's names mean now. Names that nobody bears are worth a warning. */
export function inForceNames(
  { names }: CompiledPolicy,
  whose: Whose,
): { readonly names: MeantBy[]; readonly warnings: string[] } {
  if (whose === 'router') return { names: [], warnings: [] };
  const meant = names.map(({ name, place }) => ({ name, place, bearers: bearersOf(name, whose) }));
  const nobody = meant.filter(({ name, bearers }) => name !== STRANGERS && bearers.length === 0);
  return {
    names: meant.slice(0, NAMES_TOLD_MAX).map(({ name, bearers }) => ({
      name,
      nodes: bearers.slice(0, BEARERS_TOLD_MAX).map((bearer) => bearer.name),
      count: bearers.length,
    })),
    warnings: nobody.slice(0, NAMES_TOLD_MAX).map(({ name, place }) => {
      const message = `Nobody in the virtual Internet is ${quoted(name)} now: as long as that is so, it matches nothing.`;
      return formatProblem({ ...place, severity: 'warning', message });
    }),
  };
}

/** The first mistakes; `p2pxbone gateway check` shows all. */
function wordsOf(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const more = errors.length > 3 ? [`and ${errors.length - 3} more; p2pxbone gateway check shows all.`] : [];
  return [...errors.slice(0, 3).map((problem) => formatProblem(problem)), ...more].join('\n');
}

/** `host`: the name under which a gateway records. `folder`: of its own, in the directories that the policy names. */
export type Recording = { readonly host: string; readonly folder?: string };

/** `directory`: of the policy. */
export function servicesOf(policy: CompiledPolicy, directory: string, recording: Recording): GatewayServices {
  const { bounds, scan, audit } = policy.services;
  const { host, folder = '' } = recording;
  const placed = (path: string): string => join(isAbsolute(path) ? path : join(resolve(directory), path), folder);
  const scans = policy.rules.some((rule) => rule.scan);
  const stores = policy.rules.some((rule) => rule.store);
  return {
    host,
    bounds,
    ...(audit === undefined
      ? {}
      : {
          audit: {
            directory: placed(audit.directory),
            rotateBytes: audit.rotate,
            keep: audit.keep,
            events: audit.events,
          },
        }),
    ...(audit?.files === undefined || !stores
      ? {}
      : { files: { directory: placed(audit.files.directory), bytesMax: audit.files.max } }),
    ...(scans ? { scanner: { address: scan.socket, connections: scan.connections, timeoutMs: scan.timeoutMs } } : {}),
  };
}
