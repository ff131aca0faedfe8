/** What operators see of the daemon and its nodes. */
import type { Id } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { NodeStatus, TunnelSecurity, TunnelStatus } from '../../overlay/messages/control.ts';
import type { Cipher } from '../../overlay/vi.ts';
import type { TunnelView } from '../core/io.ts';
import type { Engine } from './engine.ts';
import type { HostedNode } from './hosted-node.ts';
import type { Readings } from './readings.ts';

/** Inner Ethernet and VXLAN headers, bytes. */
const ENCAPSULATION_BYTES = 14 + 8;
/** What a record adds to its content: header, explicit nonce where the cipher has one, tag (RFC 5288, RFC 7905). */
const RECORD_BYTES: Readonly<Record<Cipher, number>> = {
  'aes-128-gcm': 13 + 8 + 16,
  'aes-256-gcm': 13 + 8 + 16,
  'chacha20-poly1305': 13 + 16,
};
const UNKNOWN_IPV4 = '0.0.0.0';

export function nodeStatus(node: HostedNode, engine: Engine, readings: Readings): NodeStatus {
  const up = engine.tunnels(node.ref).filter((tunnel) => tunnel.state === 'up');
  const { vi, name, incarnation, ipv4, ipv6, groups, netns } = node.membership;
  const { phase, predecessor, successors, fingers } = node.report;
  return {
    vi,
    name,
    id: node.id,
    incarnation,
    ipv4,
    ipv6,
    groups,
    netns,
    interface: node.attachment?.interface ?? '',
    phase,
    predecessor,
    successors,
    fingers,
    p2pdPid: node.p2pd.pid ?? null,
    p2pdRestarts: node.p2pd.restarts,
    generation: engine.routes(node.ref).generation,
    tunnels: up.length,
    security: up.flatMap((view) => {
      const security = securityOf(view, readings);
      return security === null ? [] : [{ peer: view.peer, peerName: view.name, ...security }];
    }),
    problem: node.problem,
    certificateExpiresAt: node.om.certificateExpiresAt,
    revocations: node.revocations,
    leasedPairs: engine.pairs(node.ref).length,
  };
}

/** Of which node an answer speaks. */
export function aboutNode({ id, membership }: HostedNode): { vi: string; id: Id; netns: string | null } {
  return { vi: membership.vi.name, id, netns: membership.netns };
}

export function tunnelStatuses(node: HostedNode, engine: Engine, readings: Readings): TunnelStatus[] {
  if (!node.isReady) return [];
  return engine.tunnels(node.ref).map((view) => {
    const row = node.plane.countersOf(view.peer, readings);
    return {
      peer: view.peer,
      peerName: view.name,
      peerIpv4: view.ipv4 || UNKNOWN_IPV4,
      state: view.state,
      endpoint: view.endpoint,
      local: view.local,
      remote: view.remote || UNKNOWN_IPV4,
      security: securityOf(view, readings),
      held: view.held,
      heldByPeer: view.heldByPeer,
      uses: usesOf(node, view),
      rttMs: engine.rttMs(view.association, readings),
      mtu: mtuOf(node, view, engine, readings),
      shape: node.shapes.of(view.peer),
      packetsIn: Number(row?.packetsIn ?? 0n),
      packetsOut: Number(row?.packetsOut ?? 0n),
      bytesIn: Number(row?.bytesIn ?? 0n),
      bytesOut: Number(row?.bytesOut ?? 0n),
      ageMs: Math.max(0, Math.round(systemClock.now() - view.since)),
    };
  });
}

function usesOf({ report }: HostedNode, { peer }: TunnelView): string[] {
  const uses: string[] = [];
  if (report.successors.includes(peer)) uses.push('successor');
  if (report.predecessor === peer) uses.push('predecessor');
  if (report.fingers.some((finger) => finger.node === peer)) uses.push('finger');
  return uses;
}

/** Cipher and keys are those of the association; a plain tunnel does not use them. */
function securityOf({ security, association }: TunnelView, readings: Readings): TunnelSecurity | null {
  if (security === null) return null;
  const keys = security.secure ? readings.association(association) : undefined;
  const keysAgeMs = typeof keys?.keysAgeMs === 'number' ? Math.max(0, Math.round(keys.keysAgeMs)) : null;
  return { ...security, cipher: keys?.cipher ?? null, keysAgeMs, rekeys: keys?.rekeys ?? 0 };
}

function mtuOf(node: HostedNode, { association, security }: TunnelView, engine: Engine, readings: Readings): number {
  const { mtu } = node.membership.vi.definition;
  const payload = association === undefined ? undefined : engine.payloadBytesMax(association);
  if (payload === undefined) return mtu;
  const cipher = security?.secure === true ? readings.association(association)?.cipher : undefined;
  const record = cipher === undefined || cipher === null ? 0 : RECORD_BYTES[cipher];
  return Math.min(mtu, payload - record - ENCAPSULATION_BYTES);
}
