/** The compiled addon: loading it, and the shape of what it exports. Nothing outside native/ imports this. */
import { createRequire } from 'node:module';
import { getSystemErrorMessage } from 'node:util';
import { type ErrorCode, fail } from '../overlay/errors.ts';
import { type Failure, ok, type Result } from '../overlay/lib/result.ts';
import type { Counters } from './api.ts';
import type { GatewayRules, GatewayServices, PolicyAnswer, PolicyQuestion, QueueOptions } from './gateway.ts';

/** An address as 16 bytes, IPv4 in its mapped form. */
export type NativeEndpoint = { readonly ip: Uint8Array; readonly port: number };

/** Addresses of 16 bytes each, their lengths in the 128-bit form, 4 or 6 for each. */
export type FlatPrefixes = readonly [addresses: Uint8Array, lengths: Uint8Array, families: Uint8Array];

export type NativeFailure = { readonly error: NativeError; readonly errno: number; readonly text: string };

export type NativeError =
  | 'system'
  | 'alreadyBound'
  | 'notBound'
  | 'nodeUnknown'
  | 'tunnelUnknown'
  | 'gatewayUnknown'
  | 'associationUnusable'
  | 'credentialBad'
  | 'credentialMissing'
  | 'limitReached'
  | 'conflict'
  | 'imageBad'
  | 'imageMissing';

export type NativeCounters = {
  readonly drops: BigUint64Array;
  readonly tunnels: Counters['tunnels'];
  readonly nodes: Counters['nodes'];
  readonly associations: readonly (Omit<Counters['associations'][number], 'peer'> & {
    readonly peer: NativeEndpoint;
  })[];
};

export interface NativePlane {
  bind(ip: Uint8Array, port: number): NativeEndpoint | NativeFailure;
  setCredential(
    name: string,
    certificatePem: string,
    keyPem: string,
    caPem: string,
    ciphers: Uint8Array,
    rekeySeconds: number,
    crlPem: string,
  ): undefined | NativeFailure;
  removeCredential(name: string): void;
  openNode(
    tapName: string,
    mtu: number,
    id: bigint,
    viId: string,
    vni: number,
    mac: Uint8Array,
    ipv4: Uint8Array,
    ipv6: Uint8Array,
    ...sources: [...FlatPrefixes, ...FlatPrefixes]
  ): number | NativeFailure;
  closeNode(node: number): void;
  /** Association 0: plain. */
  addTunnel(
    node: number,
    ip: Uint8Array,
    port: number,
    peerMac: Uint8Array,
    association: number,
  ): number | NativeFailure;
  updateTunnel(tunnel: number, payloadBytesMax: number, ...peer: [] | [Uint8Array, number]): undefined | NativeFailure;
  secureTunnel(tunnel: number, association: number): undefined | NativeFailure;
  /** Each shape as the numbers of LinkShape in their order, 0 for what is absent. */
  shapeTunnel(tunnel: number, out: Float64Array, inwards: Float64Array): undefined | NativeFailure;
  removeTunnel(tunnel: number): void;
  publish(
    node: number,
    generation: number,
    exact: Uint8Array,
    exactHops: Float64Array,
    prefixes: FlatPrefixes[0],
    prefixBits: FlatPrefixes[1],
    prefixFamilies: FlatPrefixes[2],
    prefixHops: Float64Array,
    untils: BigUint64Array,
    rangeHops: Float64Array,
  ): undefined | NativeFailure;
  lookup(node: number, address: Uint8Array): number | NativeFailure;
  /** Throws an Error whose message is the reason where settings or rules are wrong; so does the next. */
  setGateway(
    node: number,
    daemonPort: number,
    settings: GatewayServices,
    rules: GatewayRules,
  ): undefined | NativeFailure;
  useGatewayRules(node: number, rules: GatewayRules): undefined | NativeFailure;
  /** Sets as gateway/core writes them. */
  useGatewaySets(node: number, sets: Uint8Array): undefined | NativeFailure;
  removeGateway(node: number): void;
  /** Texts of JSON. */
  gatewayStatistics(node: number): string | NativeFailure;
  gatewayFlows(node: number, most: number): string | NativeFailure;
  associate(ip: Uint8Array, port: number, serverName: string): number | NativeFailure;
  send(association: number, message: Uint8Array): undefined | NativeFailure;
  /** Capacity: 1 to estimate it too. */
  measure(association: number, capacity: 0 | 1): undefined | NativeFailure;
  closeAssociation(association: number): void;
  drain(): readonly { readonly type: string; readonly peer?: NativeEndpoint }[];
  counters(): NativeCounters;
  close(): void;
}

/** As PolicyQuestion; addresses in 16 bytes, times in milliseconds. */
export type NativePolicyQuestion = Omit<PolicyQuestion, 'from' | 'to' | 'at'> & {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly now: number;
  readonly utcOffsetSeconds: number;
};

/** Throws an Error whose message is the reason; with `errno` where the system refused. */
export interface NativeQueueGateway {
  use(rules: GatewayRules): void;
  /** Texts of JSON. */
  queueStatistics(): string;
  statistics(): string;
  flows(most: number): string;
  close(): void;
}

export type Addon = {
  /** Throws an Error whose message is the reason. */
  explainPolicy(rules: GatewayRules, question: NativePolicyQuestion): PolicyAnswer;
  readonly QueueGateway: new (settings: QueueOptions & GatewayServices, rules: GatewayRules) => NativeQueueGateway;
  readonly Plane: new (
    keepAliveMs: number,
    silenceMs: number,
    receivePath: number,
    seed: bigint,
    doorbell: () => void,
  ) => NativePlane;
  peerCredentials(fd: number): { readonly pid: number; readonly uid: number; readonly gid: number } | NativeFailure;
};

const ADDON = './build/p2pxbone.node';

/** The addon, built by CMake; Node keeps it after the first time. */
export function loadAddon(): Result<Addon> {
  try {
    return ok(createRequire(import.meta.url)(ADDON) as Addon);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    return fail('SYSTEM', `The native part could not be loaded; build it with \`npm run setup\`. ${cause}`);
  }
}

export function isNativeFailure(value: unknown): value is NativeFailure {
  return typeof value === 'object' && value !== null && 'error' in value;
}

const SENTENCES: Readonly<Record<Exclude<NativeError, 'system'>, readonly [ErrorCode, string]>> = {
  alreadyBound: ['CONFLICT', 'The data plane has its port already; it is bound once.'],
  notBound: ['NOT_READY', 'The data plane has no port yet; bind it first.'],
  nodeUnknown: ['NOT_FOUND', 'There is no such node in the data plane; it has been closed.'],
  tunnelUnknown: ['NOT_FOUND', 'There is no such tunnel in the data plane; it has been removed.'],
  gatewayUnknown: ['NOT_FOUND', 'The node has no gateway; name a policy for it in the configuration.'],
  associationUnusable: ['NOT_FOUND', 'The association is not up; wait for it, or associate again.'],
  credentialBad: ['CERTIFICATE_REFUSED', 'The certificate, its key and its issuer do not go together.'],
  credentialMissing: ['LIMIT_REACHED', 'Too many associations; close some.'],
  limitReached: ['LIMIT_REACHED', 'The data plane is full; remove nodes or tunnels.'],
  conflict: ['CONFLICT', 'Another one in the data plane has the same addresses; remove that first.'],
  imageBad: ['BAD_ARGUMENT', 'A forwarding table names an address or a prefix twice, or is too large.'],
  imageMissing: ['NOT_READY', 'No forwarding table has been published for the node yet.'],
};

const NOT_PERMITTED_ERRNOS: ReadonlySet<number> = new Set([1, 13]);
/** EBUSY, EEXIST, EADDRINUSE. */
const CONFLICT_ERRNOS: ReadonlySet<number> = new Set([16, 17, 98]);

/** Words a native failure. `action` completes "Could not …". */
export function explain(failure: NativeFailure, action: string): Failure {
  if (failure.error !== 'system') {
    const [code, sentence] = SENTENCES[failure.error];
    return fail(code, failure.text === '' ? sentence : `${sentence} ${failure.text}`);
  }
  const reason = getSystemErrorMessage(-failure.errno) ?? `error ${failure.errno}`;
  if (NOT_PERMITTED_ERRNOS.has(failure.errno)) {
    return fail('NOT_PERMITTED', `Could not ${action}: ${reason}; run it as root.`);
  }
  return fail(CONFLICT_ERRNOS.has(failure.errno) ? 'CONFLICT' : 'SYSTEM', `Could not ${action}: ${reason}.`);
}
