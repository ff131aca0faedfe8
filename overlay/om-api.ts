/**
 * The overlay manager's REST API, as schemas: the server validates and generates OpenAPI from them, the resource daemon
 * and the command line take their types. All under /api/v1, JSON, over HTTPS with the overlay manager's own CA.
 *
 * Who may call: `health` anybody; `join` who has an invitation's secret; `/node/…` a node, by the client certificate
 * that it got when joining; everything else the administrator, by `Authorization: Bearer TOKEN`.
 */
import { type Static, Type } from '@sinclair/typebox';
import {
  AddressText,
  CONTACT_BYTES_MAX,
  closed,
  ErrorCodeField,
  Groups,
  Incarnation,
  Name,
  Port,
  ViId,
} from './fields.ts';
import { REVOCATION_LIST_BYTES_MAX } from './revocation-list.ts';
import { AddressTransport, ViConfig, ViDefinition } from './vi.ts';

export const API_PREFIX = '/api/v1';

const HexId = Type.String({ pattern: '^[0-9a-f]{16}$', description: 'Identifier: 16 hexadecimal digits' });
const Base64 = Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$', maxLength: 256 });
const Pem = Type.String({ maxLength: 16_384 });
const Instant = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Milliseconds since 1970' });
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** Whole groups of four characters, so that 4 to 128 of them are 1 to CONTACT_BYTES_MAX bytes. */
export const ContactText = Type.String({
  pattern: '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
  minLength: 4,
  maxLength: (CONTACT_BYTES_MAX / 3) * 4,
  description: `base64 of 1 to ${CONTACT_BYTES_MAX} bytes`,
});

export const ApiError = closed({ error: closed({ code: ErrorCodeField, message: Type.String() }) });
export type ApiError = Static<typeof ApiError>;

export const Health = closed({ status: Type.Literal('ok'), version: Type.String() });
export type Health = Static<typeof Health>;

// POST /vis, GET /vis, GET /vis/:vi, DELETE /vis/:vi
export const CreateVi = closed({
  name: Name,
  definition: Type.Optional(Type.Partial(ViDefinition, { $id: 'ViInput' })),
});
export type CreateVi = Static<typeof CreateVi>;
export const ViSummary = closed({
  config: ViConfig,
  createdAt: Instant,
  nodes: Count,
  /** Nodes heard of within HEARD_OF_MS. */
  nodesUp: Count,
  /** Places of nodes that left or were removed, not given again while a certificate for them may be valid. */
  placesHeldBack: Count,
  linkPairsLeased: Count,
  linkPairsTotal: Count,
});
export type ViSummary = Static<typeof ViSummary>;

export const ViList = closed({ vis: Type.Array(ViSummary) });
export type ViList = Static<typeof ViList>;

// GET /vis/:vi/nodes, DELETE /vis/:vi/nodes/:node (name or id), GET /node/nodes (by nodes of the VI)
export const NodeSummary = closed({
  name: Name,
  id: HexId,
  ipv4: AddressText,
  ipv6: AddressText,
  groups: Groups,
  joinedAt: Instant,
  /** null: never since it joined. */
  heardAt: Type.Union([Instant, Type.Null()]),
  member: Type.Boolean({ description: 'Whether the node said that it is on the ring' }),
});
export type NodeSummary = Static<typeof NodeSummary>;
export const NodeList = closed({ nodes: Type.Array(NodeSummary) });
export type NodeList = Static<typeof NodeList>;
/** DELETE /vis/:vi/nodes/:node: how many certificates of the node were revoked, and by the list of which number. */
export const RemovedNode = closed({
  certificates: Count,
  revocations: Count,
  unlistedUntil: Type.Union([Instant, Type.Null()], {
    description: 'When the certificate of a node ends of which none is on record, so that it cannot be revoked',
  }),
});
export type RemovedNode = Static<typeof RemovedNode>;

// POST /vis/:vi/invitations, GET /vis/:vi/invitations, DELETE /vis/:vi/invitations/:id
export const CreateInvitation = closed({
  expiresSeconds: Type.Integer({ minimum: 1, maximum: 366 * 86_400, default: 3600 }),
  uses: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1 }),
  groups: Type.Optional(Groups),
});
export type CreateInvitation = Static<typeof CreateInvitation>;
export const InvitationSummary = closed({
  id: Type.String({ maxLength: 32 }),
  vi: Name,
  createdAt: Instant,
  expiresAt: Instant,
  usesLeft: Count,
  groups: Groups,
  state: Type.Union([Type.Literal('open'), Type.Literal('used'), Type.Literal('expired'), Type.Literal('revoked')]),
});
export type InvitationSummary = Static<typeof InvitationSummary>;
export const InvitationList = closed({ invitations: Type.Array(InvitationSummary) });
export type InvitationList = Static<typeof InvitationList>;
/** `text` is told once, here; the server keeps a hash of the secret. */
export const CreatedInvitation = closed({ invitation: InvitationSummary, text: Type.String() });
export type CreatedInvitation = Static<typeof CreatedInvitation>;

// GET /node/revocations
export const RevocationAnswer = closed({
  number: Count,
  list: Type.String({ maxLength: REVOCATION_LIST_BYTES_MAX, description: 'X.509 v2 revocation list of the CA, PEM' }),
});
export type RevocationAnswer = Static<typeof RevocationAnswer>;

// POST /join
export const JoinRequest = closed({
  vi: Name,
  /** base64 of the invitation's secret. */
  secret: Base64,
  name: Name,
  /** PKCS#10, PEM, signed by the key that the resource daemon made; only the key is taken from it. */
  csr: Pem,
  /** Subset of the invitation's groups; all of them where left out. */
  groups: Type.Optional(Groups),
});
export type JoinRequest = Static<typeof JoinRequest>;
export const JoinResponse = closed({
  vi: ViConfig,
  name: Name,
  id: HexId,
  ipv4: AddressText,
  ipv6: AddressText,
  groups: Groups,
  certificate: Pem,
  ca: Pem,
  returning: Type.Boolean({ description: 'Whether the VI had the node already: the same name and key' }),
  /** Null where nothing was ever revoked. */
  revocations: Type.Union([RevocationAnswer, Type.Null()]),
});
export type JoinResponse = Static<typeof JoinResponse>;

/**
 * The name in the overlay manager's own certificate, whatever its address is. Node certificates have no DNS name, so a
 * node cannot pass for the overlay manager although the same CA signed both.
 */
export const OM_SERVER_NAME = 'om.p2pxbone';

// POST /node/heartbeat, every HEARTBEAT_MS and whenever membership or contact changes. The period bounds how long nodes
// go on with one that was removed.
export const HEARTBEAT_MS = 8000;
/** A node not heard of for so long is taken for down. */
export const HEARD_OF_MS = 75_000;
export const Heartbeat = closed({
  incarnation: Incarnation,
  contact: ContactText,
  member: Type.Boolean(),
});
export type Heartbeat = Static<typeof Heartbeat>;
/**
 * `revocations`: who has a list of a lower number fetches the new one; 0: nothing was ever revoked. `directory` is another
 * number when nodes have joined, left or changed their groups: who goes by the list of the VI's nodes fetches it again.
 */
export const HeartbeatAnswer = closed({ revocations: Count, directory: Count });
export type HeartbeatAnswer = Static<typeof HeartbeatAnswer>;

// GET /node/bootstrap
/**
 * Up to 8 other nodes, members heard of recently first. `found` tells this node, and only this one for FOUNDER_MS, to
 * make a ring of one: given when no other node of the VI is a member heard of recently.
 */
export const FOUNDER_MS = 15_000;
export const Bootstrap = closed({
  nodes: Type.Array(closed({ id: HexId, incarnation: Incarnation, contact: ContactText }), { maxItems: 8 }),
  found: Type.Boolean(),
});
export type Bootstrap = Static<typeof Bootstrap>;

// GET /node/address-server. Link pairs are leased by the messages of messages/address.ts.
/** Pairs that one node may hold. */
export const LEASE_PAIRS_MAX = 4096;
export const LEASE_MS = 24 * 3_600_000;
/**
 * Where the address server is, on the overlay manager's host. `secret`: what the node's requests are sealed with, bound
 * to the certificate that this call was made with; null over TLS, which takes the certificate itself.
 */
export const AddressServer = closed({
  transport: AddressTransport,
  port: Port,
  secret: Type.Union([
    Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$', description: 'base64 of 32 bytes' }),
    Type.Null(),
  ]),
});
export type AddressServer = Static<typeof AddressServer>;

// POST /node/renew: a certificate for the same node and key; the last one again while it is fresh. DELETE /node: the node leaves the VI for good.
// Every call of a node that is not in the VI any more fails with NODE_REMOVED.
/** A node that was never on the ring and leaves within this time of joining gives its use back to the invitation. */
export const GIVE_BACK_MS = 600_000;
export const Renewed = closed({ certificate: Pem });
export type Renewed = Static<typeof Renewed>;

/** Claims that the CA writes into a node certificate, as one URI in its subjectAltName. */
export type CertificateClaims = {
  readonly vi: Static<typeof ViId>;
  readonly name: string;
  readonly id: string;
  readonly ipv4: string;
  readonly groups: readonly string[];
};

const CLAIMS_SCHEME = 'p2pxbone:';

/** p2pxbone:VI/ID/NAME/IPV4/GROUP,GROUP */
export function formatClaims(claims: CertificateClaims): string {
  return `${CLAIMS_SCHEME}${claims.vi}/${claims.id}/${claims.name}/${claims.ipv4}/${claims.groups.join(',')}`;
}

/** The inverse of formatClaims; undefined for any other URI. */
export function parseClaims(uri: string): CertificateClaims | undefined {
  if (!uri.startsWith(CLAIMS_SCHEME)) return undefined;
  const [vi, id, name, ipv4, groups, ...rest] = uri.slice(CLAIMS_SCHEME.length).split('/');
  if (vi === undefined || id === undefined || name === undefined || ipv4 === undefined || groups === undefined)
    return undefined;
  if (rest.length > 0 || !/^vi-[0-9a-f]{16}$/.test(vi) || !/^[0-9a-f]{16}$/.test(id)) return undefined;
  return { vi, id, name, ipv4, groups: groups === '' ? [] : groups.split(',') };
}
