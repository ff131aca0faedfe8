/** A policy from a file as a gateway takes it: rules, and the services that it asks for. */
import { isAbsolute, join, resolve } from 'node:path';
import type { GatewayRules, GatewayServices } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import type { PolicyInForce } from '../../overlay/gateway-status.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { CompiledPolicy } from '../core/compiled-policy.ts';
import { writePolicyImage } from '../core/policy-image.ts';
import { formatProblem, type Problem } from '../core/problems.ts';
import { loadPolicy, ownSignatures, signatureTexts } from './policy-files.ts';

/** The policy in that file, ready to be asked or put into force; its first mistakes otherwise. */
export function rulesFrom(path: string): Result<GatewayRules> {
  const loaded = loadInForce(path);
  return loaded.ok ? ok(loaded.value.rules) : loaded;
}

export type Loaded = {
  readonly policy: CompiledPolicy;
  readonly rules: GatewayRules;
  readonly redirects: boolean;
  readonly inForce: PolicyInForce;
};

export function loadInForce(path: string): Result<Loaded> {
  const { policy, problems, unreadable } = loadPolicy(path);
  if (unreadable !== undefined) return fail('BAD_CONFIG', `${path} ${unreadable}`);
  if (policy === undefined) return fail('BAD_CONFIG', wordsOf(problems));
  const redirects = policy.rules.some(({ verdict }) => verdict === 'redirect');
  const { objectMax, archiveMax } = policy.services.scan;
  const signatures = [...signatureTexts(path, policy), ...ownSignatures()];
  const rules = { policy: writePolicyImage(policy), signatures, objectMax, archiveMax };
  const warnings = problems.map((problem) => formatProblem(problem));
  return ok({ policy, rules, redirects, inForce: { rules: policy.rules.length, dryRun: policy.dryRun, warnings } });
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
  const { scan, audit } = policy.services;
  const { host, folder = '' } = recording;
  const placed = (path: string): string => join(isAbsolute(path) ? path : join(resolve(directory), path), folder);
  const scans = policy.rules.some((rule) => rule.scan);
  const stores = policy.rules.some((rule) => rule.store);
  return {
    host,
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
