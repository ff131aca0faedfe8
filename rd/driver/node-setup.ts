/** How the core is told of a virtual node: from its membership, and from where this base node can be reached now. */
import type { Id } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { encodeContact } from '../core/contact.ts';
import type { NodeSetup } from '../core/io.ts';
import { SecurePeers } from '../core/secure-peers.ts';
import type { Membership } from './files.ts';
import type { Host } from './host.ts';
import { pemToDer } from './identity.ts';

export function nodeSetup(id: Id, membership: Membership, host: Host): NodeSetup {
  const { vi, name, ipv4, ipv6, groups, incarnation, certificate, p2pdPort, pairs, leasedUntil } = membership;
  return {
    vi,
    name,
    id,
    ipv4,
    ipv6,
    groups,
    securePeers: new SecurePeers(host.config.securePeers),
    incarnation,
    contact: contactOf(id, host),
    certificate: pemToDer(certificate),
    p2pdPort,
    pairs,
    leaseMsLeft: Math.max(0, leasedUntil - systemClock.wall()),
  };
}

export function contactOf(id: Id, { identity, endpoints }: Host): Uint8Array {
  return encodeContact({ node: id, key: identity.fingerprint, endpoints: endpoints() });
}
