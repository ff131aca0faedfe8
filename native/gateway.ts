/** Management gateways: what they are given, and that of a router, which is handed packets by the firewall (NFQUEUE). */
import { fail } from '../overlay/errors.ts';
import type { GatewayFlows, GatewayStatistics } from '../overlay/gateway-status.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import { explain, loadAddon, type NativeQueueGateway } from './addon.ts';
import { parseAddress } from './addresses.ts';

/** What decides: a policy's image as gateway/core writes it, and what goes with it. */
export type GatewayRules = {
  readonly policy: Uint8Array;
  /** Files in l7-filter's format, those believed first in front. */
  readonly signatures: readonly { readonly file: string; readonly text: string }[];
  /** Bytes up to which a file, or an archive, is scanned whole. */
  readonly objectMax: number;
  readonly archiveMax: number;
};

export type GatewayServices = {
  /** The name under which it records. */
  readonly host: string;
  /** Counts, bytes and milliseconds, by the names of gateway/core/bounds.ts. What is absent is as native/gateway/limits.h says. */
  readonly bounds: Readonly<Record<string, number>>;
  readonly audit?: {
    readonly directory: string;
    readonly rotateBytes: number;
    readonly keep: number;
    readonly events: readonly string[];
  };
  readonly files?: { readonly directory: string; readonly bytesMax: number };
  /** Absent: nothing can be scanned, and what is to be is a condition. */
  readonly scanner?: { readonly address: string; readonly connections: number; readonly timeoutMs: number };
};

export type QueueOptions = {
  /** Of NFQUEUE, 0 to 65535. */
  readonly queue: number;
  /** Packets that wait for a verdict, those included that are held. */
  readonly packetsMax: number;
  /** When so many wait, further packets go on unseen. Otherwise they are dropped. */
  readonly failOpen: boolean;
};

/** What runs by rules that can be exchanged, whoever hands it packets. */
export interface Gateway<Statistics extends GatewayStatistics = GatewayStatistics> {
  /** Other rules from now on; no packet and no flow is lost. What is wrong with them is said, and nothing changes. */
  use(rules: GatewayRules): Result<void>;
  /**
   * Other addresses in sets of the rules in force, as gateway/core writes them. Flows go on as they were decided. A router's
   * has none that could change.
   */
  useSets?(sets: Uint8Array): Result<void>;
  /** Counters since the start. */
  statistics(): Statistics;
  /** Those with the most bytes; at most GATEWAY_FLOWS_MAX. */
  flows(most: number): GatewayFlows;
  /** Returns when everything is recorded. */
  close(): void;
}

export type QueueStatistics = GatewayStatistics & {
  readonly queue: Readonly<Record<'packets' | 'overruns' | 'unknown' | 'cut' | 'unsent', number>>;
};
export type QueueGateway = Gateway<QueueStatistics>;

/** About a flow, and a file or a message in it. What is absent is not known yet. */
export type PolicyQuestion = {
  /** Who begins the flow. */
  readonly from: string;
  readonly to: string;
  readonly fromPort?: number;
  readonly toPort?: number;
  /** Its number in IP. */
  readonly protocol: number;
  readonly application?: string;
  readonly host?: string;
  readonly at: Date;
  readonly file?: {
    readonly name?: string;
    readonly size?: number;
    /** The first kilobyte or more. */
    readonly beginning?: Uint8Array;
    readonly sha256?: Uint8Array;
    /** Sent by who began the flow, rather than by the other end. */
    readonly fromInitiator?: boolean;
  };
  readonly chat?: { readonly from?: string; readonly to?: string; readonly text: string };
};

export type PolicyAnswer = {
  readonly action: 'accept' | 'drop' | 'reject' | 'redirect';
  /** Nothing that is not known yet can change it. */
  readonly decided: boolean;
  /** The rule's name, its number from 1 on and its line; `default`, 0 and 0 if none matches. */
  readonly rule: string;
  readonly number: number;
  readonly line: number;
  readonly mark?: number;
  readonly limit?: string;
  /** With `redirect`. Port 0: that which was called. */
  readonly redirect?: { readonly address: string; readonly port: number };
  readonly log: boolean;
  readonly scan: boolean;
  readonly store: boolean;
  readonly dryRun: boolean;
  readonly denyForMs: number;
  /** What it still depends on. */
  readonly needs: readonly string[];
};

/** What a policy would say. */
export function explainPolicy(rules: GatewayRules, question: PolicyQuestion): Result<PolicyAnswer> {
  const { at, ...rest } = question;
  const from = parseAddress(question.from);
  if (!from.ok) return from;
  const to = parseAddress(question.to);
  if (!to.ok) return to;
  const addon = loadAddon();
  if (!addon.ok) return addon;
  const time = { now: at.getTime(), utcOffsetSeconds: -60 * at.getTimezoneOffset() };
  try {
    return ok(addon.value.explainPolicy(rules, { ...rest, ...time, from: from.value.bytes, to: to.value.bytes }));
  } catch (error) {
    return failureOf(error, 'ask the policy');
  }
}

/** Needs the right to manage networks. The queue is served by one process. */
export function openQueueGateway(
  options: QueueOptions,
  services: GatewayServices,
  rules: GatewayRules,
): Result<QueueGateway> {
  const { queue, packetsMax } = options;
  if (!Number.isInteger(queue) || queue < 0 || queue > 65_535) {
    return fail('BAD_ARGUMENT', 'A queue has a number from 0 to 65535.');
  }
  if (!Number.isInteger(packetsMax) || packetsMax < 1 || packetsMax > 1_000_000) {
    return fail('BAD_ARGUMENT', 'A queue takes from 1 to 1000000 packets.');
  }
  const addon = loadAddon();
  if (!addon.ok) return addon;
  try {
    return ok(new RouterGateway(new addon.value.QueueGateway({ ...options, ...services }, rules)));
  } catch (error) {
    return failureOf(error, `serve queue ${queue}`);
  }
}

class RouterGateway implements QueueGateway {
  readonly #native: NativeQueueGateway;

  constructor(native: NativeQueueGateway) {
    this.#native = native;
  }

  use(rules: GatewayRules): Result<void> {
    try {
      this.#native.use(rules);
      return ok();
    } catch (error) {
      return failureOf(error, 'put the policy into force');
    }
  }

  statistics(): QueueStatistics {
    const all = JSON.parse(this.#native.statistics()) as GatewayStatistics;
    return { queue: JSON.parse(this.#native.queueStatistics()) as QueueStatistics['queue'], ...all };
  }

  flows(most: number): GatewayFlows {
    return JSON.parse(this.#native.flows(most)) as GatewayFlows;
  }

  close(): void {
    this.#native.close();
  }
}

/** Words what the addon threw. `action` completes "Could not …". */
export function failureOf(error: unknown, action: string): Result<never> {
  const { message, errno } = error as Error & { errno?: number };
  if (errno !== undefined) return explain({ error: 'system', errno, text: message }, action);
  return fail('BAD_CONFIG', `Could not ${action}: ${message}.`);
}
