/** The gateway of an ordinary Linux router: a policy from a file, in force until another one is. */
import { dirname, isAbsolute, join, resolve } from 'node:path';
import {
  type GatewayFlow,
  type GatewayRules,
  type GatewayServices,
  type GatewayStatistics,
  openQueueGateway,
  type QueueGateway,
} from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { CompiledPolicy } from '../core/compiled-policy.ts';
import { writePolicyImage } from '../core/policy-image.ts';
import { formatProblem, type Problem } from '../core/problems.ts';
import { loadPolicy, ownSignatures, signatureTexts } from './policy-files.ts';

export type RouterOptions = {
  readonly queue: number;
  readonly packetsMax: number;
  readonly failOpen: boolean;
  readonly policy: string;
  /** The name under which it records. */
  readonly host: string;
};

export type InForce = { readonly rules: number; readonly dryRun: boolean; readonly warnings: readonly string[] };

export class Router {
  readonly #native: QueueGateway;
  readonly #path: string;
  readonly #services: string;
  /** Its first policy redirects, so that packets are to be queued before they are routed. */
  readonly redirects: boolean;
  #inForce: InForce;

  private constructor(native: QueueGateway, path: string, services: string, { redirects, inForce }: Loaded) {
    this.#native = native;
    this.#path = path;
    this.#services = services;
    this.redirects = redirects;
    this.#inForce = inForce;
  }

  static open(options: RouterOptions): Result<Router> {
    const { policy: path, host } = options;
    const loaded = load(path);
    if (!loaded.ok) return loaded;
    const { policy, rules } = loaded.value;
    const services = servicesOf(policy, dirname(path), host);
    const native = openQueueGateway(options, services, rules);
    if (!native.ok) return native;
    return ok(new Router(native.value, path, JSON.stringify(services), loaded.value));
  }

  get inForce(): InForce {
    return this.#inForce;
  }

  /** Reads the policy again. What is wrong with it is said, and the one in force stays. */
  reload(): Result<InForce> {
    const loaded = load(this.#path);
    if (!loaded.ok) return loaded;
    const { policy, rules, redirects, inForce } = loaded.value;
    if (redirects && !this.redirects) {
      return fail(
        'BAD_CONFIG',
        `${this.#path} redirects, and packets are not queued before they are routed; start the gateway again with it.`,
      );
    }
    const used = this.#native.use(rules);
    if (!used.ok) return used;
    const { host } = JSON.parse(this.#services) as GatewayServices;
    const isOther = JSON.stringify(servicesOf(policy, dirname(this.#path), host)) !== this.#services;
    const warnings = isOther
      ? [...inForce.warnings, 'What it says of audit, stored files and the scanner holds from the next start on.']
      : inForce.warnings;
    this.#inForce = { ...inForce, warnings };
    return ok(this.#inForce);
  }

  statistics(): GatewayStatistics {
    return this.#native.statistics();
  }

  flows(most: number): { readonly total: number; readonly flows: readonly GatewayFlow[] } {
    return this.#native.flows(most);
  }

  /** Returns when everything is recorded. */
  close(): void {
    this.#native.close();
  }
}

/** The policy in that file, ready to be asked or put into force; its first mistakes otherwise. */
export function rulesFrom(path: string): Result<GatewayRules> {
  const loaded = load(path);
  return loaded.ok ? ok(loaded.value.rules) : loaded;
}

type Loaded = {
  readonly policy: CompiledPolicy;
  readonly rules: GatewayRules;
  readonly redirects: boolean;
  readonly inForce: InForce;
};

function load(path: string): Result<Loaded> {
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

function servicesOf(policy: CompiledPolicy, directory: string, host: string): GatewayServices {
  const { scan, audit } = policy.services;
  const placed = (path: string): string => (isAbsolute(path) ? path : join(resolve(directory), path));
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
