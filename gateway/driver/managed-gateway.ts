/** A gateway with a policy from a file, in force until another one is. */
import { dirname } from 'node:path';
import type { Gateway, GatewayRules, GatewayServices } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import type { GatewayFlows, GatewayStatistics, PolicyInForce } from '../../overlay/gateway-status.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { type Loaded, loadInForce, type Recording, servicesOf } from './loaded-policy.ts';

export type OpenGateway<Statistics extends GatewayStatistics> = (
  services: GatewayServices,
  rules: GatewayRules,
) => Result<Gateway<Statistics>>;

export class ManagedGateway<Statistics extends GatewayStatistics = GatewayStatistics> {
  readonly #native: Gateway<Statistics>;
  readonly #path: string;
  readonly #recording: Recording;
  readonly #services: string;
  /** Its first policy redirects. */
  readonly redirects: boolean;
  readonly #mayRedirectLater: boolean;
  #inForce: PolicyInForce;

  private constructor(
    native: Gateway<Statistics>,
    path: string,
    recording: Recording,
    loaded: Loaded,
    mayRedirectLater: boolean,
  ) {
    this.#native = native;
    this.redirects = loaded.redirects;
    this.#mayRedirectLater = mayRedirectLater;
    this.#path = path;
    this.#recording = recording;
    this.#services = JSON.stringify(this.#servicesOf(loaded));
    this.#inForce = loaded.inForce;
  }

  /**
   * `path`: of the policy. What is wrong with it is said; then nothing is opened. `mayRedirectLater`: packets are handed over
   * before they are routed, whatever the first policy says.
   */
  static open<Statistics extends GatewayStatistics>(
    path: string,
    recording: Recording,
    open: OpenGateway<Statistics>,
    mayRedirectLater = true,
  ): Result<ManagedGateway<Statistics>> {
    const loaded = loadInForce(path);
    if (!loaded.ok) return loaded;
    const { policy, rules } = loaded.value;
    const native = open(servicesOf(policy, dirname(path), recording), rules);
    return native.ok ? ok(new ManagedGateway(native.value, path, recording, loaded.value, mayRedirectLater)) : native;
  }

  get inForce(): PolicyInForce {
    return this.#inForce;
  }

  /** Reads the policy again. What is wrong with it is said, and the one in force stays. */
  reload(): Result<PolicyInForce> {
    const loaded = loadInForce(this.#path);
    if (!loaded.ok) return loaded;
    const { rules, redirects, inForce } = loaded.value;
    if (redirects && !this.redirects && !this.#mayRedirectLater) {
      return fail(
        'BAD_CONFIG',
        `${this.#path} redirects, and packets are not queued before they are routed; start the gateway again with it.`,
      );
    }
    const used = this.#native.use(rules);
    if (!used.ok) return used;
    const isOther = JSON.stringify(this.#servicesOf(loaded.value)) !== this.#services;
    const warnings = isOther
      ? [...inForce.warnings, 'What it says of audit, stored files and the scanner holds from the next start on.']
      : inForce.warnings;
    this.#inForce = { ...inForce, warnings };
    return ok(this.#inForce);
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

  #servicesOf({ policy }: Loaded): GatewayServices {
    return servicesOf(policy, dirname(this.#path), this.#recording);
  }
}
