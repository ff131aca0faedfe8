/** What the request handlers work with. */
import type { Clock } from '../overlay/lib/clock.ts';
import type { Log } from '../overlay/lib/log.ts';
import type { NodeSummary, ViSummary } from '../overlay/om-api.ts';
import type { OmEndpoint } from '../overlay/om-transport.ts';
import type { AddressServer } from './addresses/server.ts';
import type { Attempts } from './attempts.ts';
import type { Authority } from './ca.ts';
import type { Departures } from './departures.ts';
import type { Joins } from './joins.ts';
import type { Presences } from './presence.ts';
import type { Refusals } from './refusals.ts';
import type { Revocations } from './revocations.ts';
import type { Certificates } from './store/certificates.ts';
import type { Database } from './store/database.ts';
import type { Invitations } from './store/invitations.ts';
import type { Leases } from './store/leases.ts';
import type { Node, Nodes } from './store/nodes.ts';
import type { Vi, Vis } from './store/vis.ts';

export type Services = {
  readonly authority: Authority;
  readonly database: Database;
  readonly vis: Vis;
  readonly invitations: Invitations;
  readonly nodes: Nodes;
  readonly leases: Leases;
  readonly addresses: AddressServer;
  readonly presences: Presences;
  readonly joins: Joins;
  readonly departures: Departures;
  readonly certificates: Certificates;
  readonly revocations: Revocations;
  readonly attempts: Attempts;
  readonly refusals: Refusals;
  readonly clock: Clock;
  readonly log: Log;
  /** The administrator's. A secret. */
  readonly token: string;
  readonly version: string;
  /** What invitations name; known once the server listens. */
  readonly advertised: () => OmEndpoint;
};

export function summaryOfVi({ nodes, presences, leases, clock }: Services, { config, createdAt }: Vi): ViSummary {
  const nodesUp = presences.countUp(config.id, clock.wall());
  const places = { nodes: nodes.count(config.id), nodesUp, placesHeldBack: nodes.countHeldPlaces(config.id) };
  return { config, createdAt, ...places, ...leases.usage(config) };
}

export function summaryOfNode({ presences }: Services, node: Node): NodeSummary {
  const { name, id, ipv4, ipv6, groups, joinedAt } = node;
  return { name, id, ipv4, ipv6, groups: [...groups], joinedAt, ...presences.of(node) };
}
