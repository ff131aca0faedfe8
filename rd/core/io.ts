/** What goes into the resource daemon's core and what comes out of it. */
import type { ErrorCode } from '../../overlay/errors.ts';
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import type { Result } from '../../overlay/lib/result.ts';
import type { RdRoute, RingReportMessage, ToP2pd, ToRd } from '../../overlay/messages/p2pd-rd.ts';
import type { RdMessage } from '../../overlay/messages/rd-rd.ts';
import type { CertificateClaims } from '../../overlay/om-api.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import type { Endpoint, Family } from './contact.ts';
import type { SecurePeers } from './secure-peers.ts';
import type { Security } from './security.ts';

/** A virtual node of this resource daemon, numbered by the driver; a number is not used again. */
export type NodeRef = number & { readonly __brand: 'NodeRef' };
/** A P2P daemon's connection, numbered by the driver. */
export type SessionRef = number & { readonly __brand: 'SessionRef' };
/** The data plane's handle of an association. */
export type AssociationRef = number & { readonly __brand: 'AssociationRef' };

/** Stands for the way from this daemon to itself: two of its nodes may be neighbours in one VI. */
export const SELF: AssociationRef = -1 as AssociationRef;

export type RdSetup = {
  /** Fingerprint of this daemon's key, as in contacts. */
  readonly key: string;
  /** Where the data plane reaches its own socket. */
  readonly self: Endpoint;
  /** Families of the base network that can be used, the preferred one first. */
  readonly families: readonly Family[];
};

export type NodeSetup = {
  readonly vi: ViConfig;
  readonly name: string;
  readonly id: Id;
  readonly ipv4: string;
  readonly ipv6: string;
  /** As in the certificate. */
  readonly groups: readonly string[];
  readonly securePeers: SecurePeers;
  readonly incarnation: number;
  /** Changes where base addresses or certificates do: see the input `node.update`. */
  readonly contact: Uint8Array;
  /** X.509, DER. */
  readonly certificate: Uint8Array;
  readonly p2pdPort: number;
  /** Link pairs leased in an earlier life, and the milliseconds left of their lease. */
  readonly pairs: readonly number[];
  readonly leaseMsLeft: number;
};

/** What a certificate in a control message says, checked against the VI's CA, its list and the association's key. */
export type CertificateCheck = Result<ProvenClaims>;
export type ProvenClaims = CertificateClaims & {
  /** Left out for nodes of this daemon. */
  readonly certificate?: { readonly serial: string; readonly msLeft: number };
};

export type Input =
  | { readonly kind: 'node.open'; readonly node: NodeRef; readonly setup: NodeSetup }
  | {
      readonly kind: 'node.update';
      readonly node: NodeRef;
      readonly contact: Uint8Array;
      readonly certificate: Uint8Array;
      readonly groups: readonly string[];
    }
  | { readonly kind: 'node.close'; readonly node: NodeRef }
  | { readonly kind: 'p2pd'; readonly node: NodeRef; readonly session: SessionRef; readonly message: ToRd }
  | { readonly kind: 'p2pd.closed'; readonly node: NodeRef; readonly session: SessionRef }
  | { readonly kind: 'p2pd.send'; readonly node: NodeRef; readonly message: ToP2pd }
  | {
      readonly kind: 'association.started';
      readonly endpoint: Endpoint;
      /** undefined: the data plane refused. */
      readonly association: AssociationRef | undefined;
    }
  | {
      readonly kind: 'association.up';
      readonly association: AssociationRef;
      readonly endpoint: Endpoint;
      readonly key: string;
    }
  /** The peer goes on from another address. */
  | { readonly kind: 'association.moved'; readonly association: AssociationRef; readonly endpoint: Endpoint }
  | { readonly kind: 'association.down'; readonly association: AssociationRef; readonly reason: AssociationDown }
  /** Answers `measure`; null: no answers, or too few. */
  | {
      readonly kind: 'measured';
      readonly association: AssociationRef;
      readonly rttMs: number | null;
      readonly bitsPerSecond: number | null;
    }
  | {
      readonly kind: 'control';
      readonly association: AssociationRef;
      readonly message: RdMessage;
      /** Of the certificate in con_req and con_resp; undefined for other messages. */
      readonly check: CertificateCheck | undefined;
    }
  /** Certificates of the node's VI that are not accepted any more, by their serial numbers; all of them each time. */
  | { readonly kind: 'revoked'; readonly node: NodeRef; readonly serials: ReadonlySet<string> }
  /** Answers `leases.request` and `leases.keep`; undefined: the overlay manager did not answer. */
  | {
      readonly kind: 'leases';
      readonly node: NodeRef;
      readonly request: string;
      readonly pairs: readonly number[] | undefined;
      readonly msLeft: number;
    }
  | {
      readonly kind: 'leases.kept';
      readonly node: NodeRef;
      readonly pairs: readonly number[] | undefined;
      readonly msLeft: number;
    }
  /** The data plane or the kernel would not make the tunnel. */
  | { readonly kind: 'tunnel.broken'; readonly node: NodeRef; readonly peer: Id }
  | { readonly kind: 'timer' };

export type AssociationDown = 'lost' | 'replaced' | 'timeout' | 'refused' | 'closed';

/** A tunnel as the data plane and the kernel shall have it. */
export type TunnelPlan = {
  readonly peer: Id;
  readonly association: AssociationRef;
  readonly endpoint: Endpoint;
  /** Addresses of the link; null where the VI is unnumbered. */
  readonly link: LinkAddresses | null;
  /** User data only inside that association. */
  readonly secure: boolean;
  /** Of `secure`, for the log. */
  readonly why: string;
};

export type LinkAddresses = {
  readonly local: { readonly ipv4: string; readonly ipv6: string };
  readonly remote: { readonly ipv4: string; readonly ipv6: string };
};

export type Hop =
  | { readonly kind: 'tunnel'; readonly peer: Id }
  /** `former`: of a range, the node whose it was before, if there is a tunnel to it. */
  | { readonly kind: 'local'; readonly former?: Id }
  | { readonly kind: 'unreachable' };

/** A forwarding image in which tunnels still go by the ids of their peers. */
export type Image = {
  readonly exact: ReadonlyMap<string, Hop>;
  readonly prefixes: readonly string[];
  readonly ranges: readonly { readonly until: Id; readonly hop: Hop }[];
};

export type Output =
  | { readonly kind: 'p2pd.send'; readonly session: SessionRef; readonly message: ToP2pd }
  /** Close the connection once what was sent is written. */
  | { readonly kind: 'p2pd.close'; readonly session: SessionRef }
  | { readonly kind: 'control.send'; readonly association: AssociationRef; readonly message: RdMessage }
  /** Answered by `association.started`. */
  | { readonly kind: 'associate'; readonly endpoint: Endpoint; readonly serverName: string }
  | { readonly kind: 'association.close'; readonly association: AssociationRef }
  /** Make the tunnel, or change it into this. */
  | { readonly kind: 'tunnel.set'; readonly node: NodeRef; readonly plan: TunnelPlan }
  | { readonly kind: 'tunnel.unset'; readonly node: NodeRef; readonly peer: Id }
  | { readonly kind: 'publish'; readonly node: NodeRef; readonly image: Image }
  | { readonly kind: 'leases.request'; readonly node: NodeRef; readonly request: string; readonly count: number }
  /** The pairs to keep; all others of this node go back. */
  | { readonly kind: 'leases.keep'; readonly node: NodeRef; readonly pairs: readonly number[] }
  /** The leased pairs have changed: remember them. */
  | {
      readonly kind: 'leases.changed';
      readonly node: NodeRef;
      readonly pairs: readonly number[];
      readonly msLeft: number;
    }
  | { readonly kind: 'bootstrap.get'; readonly node: NodeRef }
  | {
      /** Answered by `measured`, unless the association ends before. */
      readonly kind: 'measure';
      readonly association: AssociationRef;
      /** Beside the round-trip time the capacity. */
      readonly capacity: boolean;
    }
  | { readonly kind: 'ring'; readonly node: NodeRef; readonly report: RingReportMessage }
  | { readonly kind: 'lookup.answer'; readonly node: NodeRef; readonly answer: ToRd & { t: 'lookup.answer' } }
  /** A tunnel was ended because its peer's certificate is void. */
  | { readonly kind: 'tunnel.voided'; readonly node: NodeRef; readonly peer: Id; readonly code: ErrorCode }
  | { readonly kind: 'left'; readonly node: NodeRef }
  /** A peer whose certificate is fine was refused all the same: somebody should know. */
  | { readonly kind: 'complaint'; readonly node: NodeRef; readonly peer: Id; readonly code: ErrorCode }
  /** A peer introduced itself: worth remembering for the time when the overlay manager does not answer. */
  | { readonly kind: 'peer'; readonly node: NodeRef; readonly record: NodeRecord };

export type TunnelView = {
  readonly peer: Id;
  readonly name: string;
  readonly ipv4: string;
  /** As in the peer's certificate; empty, and null, before it has shown it. */
  readonly groups: readonly string[];
  readonly addresses: { readonly ipv4: string; readonly ipv6: string } | null;
  readonly state: 'setting-up' | 'up' | 'releasing';
  readonly association: AssociationRef | undefined;
  readonly endpoint: Endpoint | null;
  readonly local: string;
  readonly remote: string;
  /** null before it was agreed on, and in a VI without link addresses. */
  readonly link: LinkAddresses | null;
  /** null before it was agreed on. */
  readonly security: Security | null;
  readonly held: boolean;
  readonly heldByPeer: boolean;
  /** When it was asked for. */
  readonly since: number;
  readonly pair: number | null;
};

export type RouteView = { readonly generation: number; readonly routes: readonly RdRoute[] };
