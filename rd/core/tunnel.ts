/**
 * One tunnel as one end sees it.
 *
 *            tunnel.add                                con_req from the peer
 *                │                                               │
 *        ┌───────▼──────┐ con_resp, or the peer's con_req  ┌─────▼─────┐  association replaced  ┌──────┐
 *        │  setting-up  ├──────────────────────────────────►    up     ├────────────────────────►      │
 *        │ association, │                                  │ one end   ◄────────────────────────┤ lost │
 *        │ pair, con_req│  ┌───────────────────────────────┤ holds it  │  con_req or con_resp   │      │
 *        └──┬──▲────┬───┘  │ last hold released            └─▲───┬─────┘                        └──┬───┘
 *    failed │  │    │      │                         con_req │   │ peer silent or gone             │ not in time
 *           │  │    │ ┌────▼───────┐   released, or no answer│   │                                 │
 *           │  │    └─►  releasing ├─────────────────────────┼───┤                                 │
 *           │  └──────┤            ├─────────────────────────┘   │                                 │
 *           │ add     └────┬───────┘                             │                                 │
 *           ▼              ▼                                     ▼                                 ▼
 *         gone            gone                                 gone                              gone
 *
 * Whether an end holds the tunnel is a fact that it owns and tells the other: con_req says yes, release says no, each
 * repeated until answered. Its messages are numbered, so that the other end never goes back to an older one. A tunnel
 * lives while either end holds it; both come to know the same two facts, so both keep it or both let it go.
 *
 * No packet is to be lost where tunnels come and go, so an end takes packets earlier and longer than it sends them. The
 * end that was asked sends when the other one has it too (`ready`); the end that releases sends no more and takes what
 * comes until the other one has released.
 */
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import type { RdTunnel } from '../../overlay/messages/p2pd-rd.ts';
import { type ContactInfo, sameBytes } from './contact.ts';
import type { AssociationRef, LinkAddresses, NodeSetup, ProvenClaims } from './io.ts';
import { ASK_AGAIN_AFTER, ASK_AGAIN_MS } from './limits.ts';
import type { Security } from './security.ts';

export type Phase = 'setting-up' | 'up' | 'lost' | 'releasing';

/** A con_req or release that awaits its answer. */
export type Ask = {
  readonly kind: 'con_req' | 'release';
  readonly request: number;
  /** Whether it demands security. */
  readonly secure: boolean;
  /** The peer's latest request when this was first sent: tells whether an answer's news are stale. */
  readonly peerLatest: string;
  nextAt: Millis;
  intervalMs: number;
  /** Infinity once the peer has introduced itself: from then on its association tells whether it lives. */
  giveUpAt: Millis;
};

/** The certificate by which a peer proves what it is. */
export type Proof = {
  readonly serial: string;
  /** When it expires. */
  readonly until: Millis;
  /** When the end that holds the tunnel asks for the next one: nodes renew theirs earlier. */
  readonly askAt: Millis;
};

/** What the peer told of itself, proven by its certificate. */
export type FarEnd = {
  readonly record: NodeRecord;
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly p2pdPort: number;
  readonly groups: readonly string[];
  /** undefined for a node of this daemon. */
  readonly certificate: Proof | undefined;
};

export type Tunnel = {
  readonly peer: Id;
  readonly since: Millis;
  phase: Phase;
  hold: 'none' | 'neighbour' | 'answer';
  /** When an `answer` hold ends. */
  answerUntil: Millis | undefined;
  /** Held by an earlier life of the P2P daemon, and not asked for again yet. */
  stale: boolean;
  remoteHold: boolean;
  /** What the peer knows of our hold; undefined where it may know the one or the other. */
  confirmed: boolean | undefined;
  contact: ContactInfo;
  far: FarEnd | undefined;
  /** The data plane has it. */
  placed: boolean;
  /** The peer has its end too; what is sent arrives. */
  ready: boolean;
  /** Until it is ready: the request of the peer whose con_ack says so, and when it counts as ready without. */
  ackDue: { readonly request: number; readonly at: Millis } | undefined;
  association: AssociationRef | undefined;
  /** When the peer last spoke of it. */
  heardAt: Millis | undefined;
  /** Index of the link pair; null where the VI is unnumbered, undefined before there is one. */
  pair: number | null | undefined;
  /** Whether the pair is of our leases. */
  ours: boolean;
  link: LinkAddresses | null;
  /** As agreed with the peer, and it stays so until agreed anew, whatever becomes of the association. */
  security: Security | undefined;
  ask: Ask | undefined;
  /** Limit of the phase: of waiting for a pair (setting-up), of waiting for the peer (lost). */
  until: Millis | undefined;
};

export function createTunnel(peer: Id, contact: ContactInfo, now: Millis): Tunnel {
  return {
    peer,
    since: now,
    phase: 'setting-up',
    hold: 'none',
    answerUntil: undefined,
    stale: false,
    remoteHold: false,
    confirmed: false,
    contact,
    far: undefined,
    placed: false,
    ready: false,
    ackDue: undefined,
    association: undefined,
    heardAt: undefined,
    pair: undefined,
    ours: false,
    link: null,
    security: undefined,
    ask: undefined,
    until: undefined,
  };
}

export function proofOf({ certificate }: ProvenClaims, now: Millis): Proof | undefined {
  if (certificate === undefined) return undefined;
  return askingAgain({ serial: certificate.serial, until: after(now, certificate.msLeft), askAt: now }, now);
}

/** The same proof, asked for anew when most of what is left of its time is over. */
export function askingAgain(proof: Proof, now: Millis): Proof {
  return { ...proof, askAt: after(now, Math.max((proof.until - now) * ASK_AGAIN_AFTER, ASK_AGAIN_MS)) };
}

/** Whether packets go through it. */
export function carriesPackets(tunnel: Tunnel): boolean {
  return tunnel.phase === 'up' || tunnel.phase === 'lost';
}

/** As the P2P daemon sees it; undefined before it is up. */
export function describeTunnel(tunnel: Tunnel, setup: NodeSetup): RdTunnel | undefined {
  const { far, link, ready } = tunnel;
  if (far === undefined || !carriesPackets(tunnel)) return undefined;
  return {
    key: tunnel.peer,
    peer: far.record,
    local: { address: link?.local.ipv6 ?? setup.ipv6, port: setup.p2pdPort },
    remote: { address: link?.remote.ipv6 ?? far.ipv6, port: far.p2pdPort },
    held: tunnel.hold !== 'none',
    ready,
  };
}

/** Whether a P2P daemon need not be told of a change. */
export function sameFarEnd(a: FarEnd | undefined, b: FarEnd): boolean {
  if (a === undefined) return false;
  const isSameLife = a.record.incarnation === b.record.incarnation && a.p2pdPort === b.p2pdPort;
  return isSameLife && sameBytes(a.record.contact, b.record.contact);
}
