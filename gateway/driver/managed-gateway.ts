/** A gateway with a policy from a file, in force until another one is. */
import { dirname } from 'node:path';
import type { Gateway, GatewayRules, GatewayServices } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import type { GatewayFlows, GatewayStatistics, PolicyInForce } from '../../overlay/gateway-status.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { CompiledPolicy } from '../core/compiled-policy.ts';
import { writeReplacedSets } from '../core/policy-image.ts';
import { inForceNames, type Loaded, loadInForce, type Recording, servicesOf, type Whose } from './loaded-policy.ts';

export type OpenGateway<Statistics extends GatewayStatistics> = (
  services: GatewayServices,
  rules: GatewayRules,
) => Result<Gateway<Statistics>>;

export type Place = {
  /** Asked anew whenever it matters. */
  readonly whose: () => Whose;
  /** Packets are handed over before they are routed, whatever the first policy says. */
  readonly mayRedirectLater: boolean;
};
const NOWHERE: Place = { whose: () => 'router', mayRedirectLater: true };

export class ManagedGateway<Statistics extends GatewayStatistics = GatewayStatistics> {
  readonly #native: Gateway<Statistics>;
  readonly #path: string;
  readonly #recording: Recording;
  /** Those that were opened with it. */
  readonly #services: GatewayServices;
  /** Its first policy redirects. */
  readonly redirects: boolean;
  readonly #place: Place;
  #policy: CompiledPolicy;
  #warnings: readonly string[];
  /** What was given last for the sets that hold names. */
  #sets: Uint8Array;

  private constructor(native: Gateway<Statistics>, path: string, recording: Recording, loaded: Loaded, place: Place) {
    this.#native = native;
    this.redirects = loaded.redirects;
    this.#place = place;
    this.#path = path;
    this.#recording = recording;
    this.#services = this.#servicesOf(loaded);
    this.#policy = loaded.policy;
    this.#warnings = loaded.warnings;
    this.#sets = this.#setsInForce();
  }

  /** `path`: of the policy. What is wrong with it is said; then nothing is opened. */
  static open<Statistics extends GatewayStatistics>(
    path: string,
    recording: Recording,
    open: OpenGateway<Statistics>,
    place: Place = NOWHERE,
  ): Result<ManagedGateway<Statistics>> {
    const loaded = loadInForce(path, place.whose());
    if (!loaded.ok) return loaded;
    const { policy, rules } = loaded.value;
    const native = open(servicesOf(policy, dirname(path), recording), rules);
    return native.ok ? ok(new ManagedGateway(native.value, path, recording, loaded.value, place)) : native;
  }

  get inForce(): PolicyInForce {
    const { names, warnings } = inForceNames(this.#policy, this.#place.whose());
    const { rules, dryRun } = this.#policy;
    return { rules: rules.length, dryRun, names, warnings: [...this.#warnings, ...warnings] };
  }

  /** Whether the policy in force names nodes or groups. */
  get namesAnybody(): boolean {
    return this.#policy.names.length > 0;
  }

  /** Who bears which name may have changed. The addresses are exchanged where that makes a difference. */
  refresh(): Result<void> {
    const whose = this.#place.whose();
    if (whose === 'router' || !this.namesAnybody) return ok();
    const sets = this.#setsInForce();
    if (Buffer.compare(sets, this.#sets) === 0) return ok();
    const used = this.#native.useSets?.(sets) ?? ok();
    if (used.ok) this.#sets = sets;
    return used;
  }

  /** Reads the policy again. What is wrong with it is said, and the one in force stays. */
  reload(): Result<PolicyInForce> {
    const loaded = loadInForce(this.#path, this.#place.whose());
    if (!loaded.ok) return loaded;
    const { rules, redirects, warnings } = loaded.value;
    if (redirects && !this.redirects && !this.#place.mayRedirectLater) {
      return fail(
        'BAD_CONFIG',
        `${this.#path} redirects, and packets are not queued before they are routed; start the gateway again with it.`,
      );
    }
    const services = this.#servicesOf(loaded.value);
    const missing = missingOf(services, this.#services);
    if (missing !== undefined) {
      return fail(
        'BAD_CONFIG',
        `${this.#path} asks for ${missing}, without which the gateway was started; start it again with this policy.`,
      );
    }
    const used = this.#native.use(rules);
    if (!used.ok) return used;
    this.#policy = loaded.value.policy;
    this.#sets = this.#setsInForce();
    const isOther = JSON.stringify(services) !== JSON.stringify(this.#services);
    this.#warnings = isOther
      ? [...warnings, 'What it says of bounds, audit, stored files and the scanner holds from the next start on.']
      : warnings;
    return ok(this.inForce);
  }

  statistics(): Statistics {
    return this.#native.statistics();
  }

  flows(most: number): GatewayFlows {
    return this.#native.flows(most);
  }

  /** Returns when everything is recorded. */
  close(): void {
    this.#native.close();
  }

  #setsInForce(): Uint8Array {
    const whose = this.#place.whose();
    return whose === 'router' ? new Uint8Array() : writeReplacedSets(this.#policy, whose);
  }

  #servicesOf({ policy }: Loaded): GatewayServices {
    return servicesOf(policy, dirname(this.#path), this.#recording);
  }
}

const NAMES = { files: 'a place for files', scanner: 'a scanner' } as const;

/** What rules need and was not opened at the start: without it they would do something other than they say. */
function missingOf(wanted: GatewayServices, open: GatewayServices): string | undefined {
  for (const service of ['files', 'scanner'] as const) {
    if (wanted[service] !== undefined && open[service] === undefined) return NAMES[service];
  }
  return undefined;
}
