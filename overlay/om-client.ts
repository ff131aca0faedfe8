/** A client of the overlay manager's API, for the resource daemon and the command line. */
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { fail } from './errors.ts';
import { ok, type Result } from './lib/result.ts';
import {
  AddressServer,
  API_PREFIX,
  ApiError,
  Bootstrap,
  CreatedInvitation,
  type CreateInvitation,
  type CreateVi,
  Health,
  type Heartbeat,
  HeartbeatAnswer,
  InvitationList,
  InvitationSummary,
  type JoinRequest,
  JoinResponse,
  NodeList,
  NodeSummary,
  RemovedNode,
  Renewed,
  RevocationAnswer,
  ViList,
  ViSummary,
} from './om-api.ts';
import {
  createTransport,
  fetchCa,
  type Identity,
  type Method,
  type OmEndpoint,
  type Transport,
} from './om-transport.ts';
import { REVOCATION_LIST_BYTES_MAX } from './revocation-list.ts';

export type OmClientOptions = OmEndpoint & {
  /** The CA certificate, or its SHA-256 (32 bytes) from an invitation: one of the two. */
  readonly caPem?: string;
  readonly caFingerprint?: Uint8Array;
  /** What a node got when it joined, and its key. */
  readonly clientCertificate?: Identity;
  /** The administrator's. */
  readonly token?: string;
  /** How long the server may be silent before its answer and in it, milliseconds. */
  readonly timeoutMs?: number;
};

const ANSWER_MS = 10_000;
/** The list with its line ends escaped, and what JSON puts around it. */
const REVOCATION_ANSWER_BYTES_MAX = REVOCATION_LIST_BYTES_MAX + 512 * 1024;

/**
 * Every method gives the server's answer, or its error; OM_UNREACHABLE if it does not answer, CA_MISMATCH if somebody
 * else does, BAD_MESSAGE for an answer that is none. A call never throws.
 */
export type OmClient = {
  /** The CA certificate, PEM; looked up by its fingerprint where only that was given. */
  caPem(): Promise<Result<string>>;
  health(): Promise<Result<Health>>;
  join(request: JoinRequest): Promise<Result<JoinResponse>>;

  // With the admin token.
  createVi(request: CreateVi): Promise<Result<ViSummary>>;
  listVis(): Promise<Result<ViList['vis']>>;
  showVi(vi: string): Promise<Result<ViSummary>>;
  /** CONFLICT while it has nodes, unless forced. */
  deleteVi(vi: string, force?: boolean): Promise<Result<void>>;
  listNodes(vi: string): Promise<Result<NodeList['nodes']>>;
  /** By name or id. It is told NODE_REMOVED when it next asks, and its certificates are revoked. */
  deleteNode(vi: string, node: string): Promise<Result<RemovedNode>>;
  createInvitation(vi: string, request: Partial<CreateInvitation>): Promise<Result<CreatedInvitation>>;
  listInvitations(vi: string): Promise<Result<InvitationList['invitations']>>;
  revokeInvitation(vi: string, id: string): Promise<Result<InvitationSummary>>;
  openApi(): Promise<Result<unknown>>;

  // With a node's certificate. NODE_REMOVED: the node has left or was removed; CERTIFICATE_REFUSED: expired or foreign.
  heartbeat(request: Heartbeat): Promise<Result<HeartbeatAnswer>>;
  revocations(): Promise<Result<RevocationAnswer>>;
  bootstrap(): Promise<Result<Bootstrap>>;
  nodes(): Promise<Result<NodeList['nodes']>>;
  self(): Promise<Result<NodeSummary>>;
  /** How the node reaches the address server with the certificate of this call. */
  addressServer(): Promise<Result<AddressServer>>;
  renew(): Promise<Result<Renewed>>;
  /** The node leaves the VI for good. */
  leave(): Promise<Result<void>>;

  /** Closes idle connections; later calls open new ones. */
  close(): void;
};

type Call = <T extends TSchema>(
  answer: T,
  method: Method,
  path: string,
  body?: unknown,
  answerBytesMax?: number,
) => Promise<Result<Static<T>>>;

export function createOmClient(options: OmClientOptions): OmClient {
  const connection = new Connection(options);
  const call: Call = async (answer, method, path, body, answerBytesMax) => {
    const transport = await connection.transport();
    if (!transport.ok) return transport;
    const result = await transport.value.send(method, `${API_PREFIX}${path}`, body, answerBytesMax);
    if (!result.ok) return result;
    return result.value.status < 300 ? checked(answer, result.value.body) : errorOf(result.value.body);
  };
  return {
    caPem: () => connection.caPem(),
    health: () => call(Health, 'GET', '/health'),
    join: (request) => call(JoinResponse, 'POST', '/join', request, REVOCATION_ANSWER_BYTES_MAX),
    ...administratorCalls(call),
    ...nodeCalls(call),
    close: () => connection.close(),
  };
}

type NodeCall = 'heartbeat' | 'revocations' | 'bootstrap' | 'nodes' | 'self' | 'addressServer' | 'renew' | 'leave';
type AdministratorCall = Exclude<keyof OmClient, NodeCall | 'caPem' | 'health' | 'join' | 'close'>;

const Nothing = Type.Undefined();

function administratorCalls(call: Call): Pick<OmClient, AdministratorCall> {
  const path = (vi: string, ...rest: string[]): string => ['/vis', vi, ...rest].map(encodeSegment).join('/');
  return {
    createVi: (request) => call(ViSummary, 'POST', '/vis', request),
    listVis: async () => mapped(await call(ViList, 'GET', '/vis'), ({ vis }) => vis),
    showVi: (vi) => call(ViSummary, 'GET', path(vi)),
    deleteVi: async (vi, force = false) => call(Nothing, 'DELETE', path(vi) + (force ? '?force=true' : '')),
    listNodes: async (vi) => mapped(await call(NodeList, 'GET', path(vi, 'nodes')), ({ nodes }) => nodes),
    deleteNode: (vi, node) => call(RemovedNode, 'DELETE', path(vi, 'nodes', node)),
    createInvitation: (vi, request) => call(CreatedInvitation, 'POST', path(vi, 'invitations'), request),
    listInvitations: async (vi) =>
      mapped(await call(InvitationList, 'GET', path(vi, 'invitations')), ({ invitations }) => invitations),
    revokeInvitation: (vi, id) => call(InvitationSummary, 'DELETE', path(vi, 'invitations', id)),
    openApi: () => call(Type.Unknown(), 'GET', '/openapi.json'),
  };
}

/** The first segment is the fixed one, with its slash. */
function encodeSegment(segment: string, index: number): string {
  return index === 0 ? segment : encodeURIComponent(segment);
}

function nodeCalls(call: Call): Pick<OmClient, NodeCall> {
  return {
    heartbeat: (request) => call(HeartbeatAnswer, 'POST', '/node/heartbeat', request),
    revocations: () => call(RevocationAnswer, 'GET', '/node/revocations', undefined, REVOCATION_ANSWER_BYTES_MAX),
    bootstrap: () => call(Bootstrap, 'GET', '/node/bootstrap'),
    nodes: async () => mapped(await call(NodeList, 'GET', '/node/nodes'), ({ nodes }) => nodes),
    self: () => call(NodeSummary, 'GET', '/node'),
    addressServer: () => call(AddressServer, 'GET', '/node/address-server'),
    renew: () => call(Renewed, 'POST', '/node/renew'),
    leave: () => call(Nothing, 'DELETE', '/node'),
  };
}

/** Finds the CA by its fingerprint before the first request, then keeps one transport. */
class Connection {
  readonly #options: OmClientOptions;
  readonly #timeoutMs: number;
  #caPem: string | undefined;
  #transport: Transport | undefined;

  constructor(options: OmClientOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? ANSWER_MS;
    this.#caPem = options.caPem;
  }

  async caPem(): Promise<Result<string>> {
    if (this.#caPem !== undefined) return ok(this.#caPem);
    const { caFingerprint } = this.#options;
    if (caFingerprint === undefined)
      throw new TypeError('an overlay manager is known by its CA or by the fingerprint of it');
    const fetched = await fetchCa(this.#options, caFingerprint, this.#timeoutMs);
    if (fetched.ok) this.#caPem = fetched.value;
    return fetched;
  }

  async transport(): Promise<Result<Transport>> {
    if (this.#transport !== undefined) return ok(this.#transport);
    const ca = await this.caPem();
    if (!ca.ok) return ca;
    const { host, port, clientCertificate, token } = this.#options;
    this.#transport ??= createTransport({
      host,
      port,
      caPem: ca.value,
      timeoutMs: this.#timeoutMs,
      ...(clientCertificate === undefined ? {} : { identity: clientCertificate }),
      ...(token === undefined ? {} : { token }),
    });
    return ok(this.#transport);
  }

  close(): void {
    this.#transport?.close();
    this.#transport = undefined;
  }
}

function checked<T extends TSchema>(schema: T, body: unknown): Result<Static<T>> {
  if (Value.Check(schema, body)) return ok<Static<T>>(body);
  const error = Value.Errors(schema, body).First();
  return fail(
    'BAD_MESSAGE',
    `The overlay manager’s answer is not understood (${error?.path || 'it'}: ${error?.message}); update the older of the two.`,
  );
}

function errorOf(body: unknown): Result<never> {
  return Value.Check(ApiError, body) ? fail(body.error.code, body.error.message) : fail('BAD_MESSAGE');
}

function mapped<T, U>(result: Result<T>, change: (value: T) => U): Result<U> {
  return result.ok ? ok(change(result.value)) : result;
}
