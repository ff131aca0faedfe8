/** What a node may do, for itself only. */
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import {
  AddressServer,
  Bootstrap,
  Heartbeat,
  HeartbeatAnswer,
  NodeList,
  NodeSummary,
  Renewed,
  RevocationAnswer,
} from '../../overlay/om-api.ts';
import { type Services, summaryOfNode } from '../services.ts';
import { answers, NoContent, valueOf } from './answers.ts';
import type { App } from './app.ts';
import { NodeGuard } from './auth.ts';

export function nodeRoutes(scope: App, services: Services): void {
  const guard = new NodeGuard(services);
  scope.addHook('onRequest', guard.hook);
  selfRoutes(scope, services, guard);
  ringRoutes(scope, services, guard);
  addressServerRoutes(scope, services, guard);
}

function described<T>(operationId: string, summary: string, rest: T) {
  return { operationId, summary, tags: ['node'], security: [{ node: [] }], ...rest };
}

function selfRoutes(scope: App, services: Services, guard: NodeGuard): void {
  const { authority, certificates, clock, database, departures, log, nodes } = services;
  scope.get('/node', { schema: described('self', 'This node', { response: answers(NodeSummary) }) }, (request) =>
    summaryOfNode(services, guard.caller(request).node),
  );
  scope.post(
    '/node/renew',
    {
      schema: described(
        'renew',
        'A certificate for the same key: a new one, or again the last one while more than half of its life is left',
        { response: answers(Renewed) },
      ),
    },
    async (request) => {
      const { vi, node } = guard.caller(request);
      const fresh = certificates.fresh(node.key, clock.wall());
      if (fresh !== undefined) return { certificate: fresh.pem };
      const { id, name, ipv4, ipv6, groups, publicKey } = node;
      const claims = { vi: vi.config.id, name, id, ipv4, groups };
      const order = { claims, ipv6, publicKey, days: vi.config.definition.certificateDays };
      const certificate = valueOf(await authority.issue(order, clock.wall()));
      const issued = database.transaction((): Result<string> => {
        if (!nodes.certified(node.key, certificate.expiresAt)) return fail('NODE_REMOVED');
        return ok(certificates.issued(node.key, certificate, clock.wall()).pem);
      });
      log.info({ vi: vi.config.name, node: name }, 'a certificate was renewed');
      return { certificate: valueOf(issued) };
    },
  );
  scope.delete(
    '/node',
    { schema: described('leave', 'Leave the VI for good', { response: answers(NoContent, 204) }) },
    (request, reply) => {
      const { vi, node } = guard.caller(request);
      departures.leave(node, clock.wall());
      log.info({ vi: vi.config.name, node: node.name, id: node.id }, 'a node left');
      reply.code(204);
      return null;
    },
  );
}

function ringRoutes(scope: App, services: Services, guard: NodeGuard): void {
  const { clock, nodes, presences, revocations } = services;
  const beat = { body: Heartbeat, response: answers(HeartbeatAnswer) };
  scope.post(
    '/node/heartbeat',
    { schema: described('heartbeat', 'The node is up, and this is its contact', beat) },
    (request) => {
      const { vi, node } = guard.caller(request);
      presences.heartbeat(node, request.body, clock.wall());
      return { revocations: revocations.number, directory: nodes.directoryNumber(vi.config.id) };
    },
  );
  const list = { response: answers(RevocationAnswer) };
  scope.get(
    '/node/revocations',
    { schema: described('revocations', 'The certificates of this CA that are revoked', list) },
    () => revocations.current(),
  );
  scope.get(
    '/node/bootstrap',
    { schema: described('bootstrap', 'Nodes through which to enter the ring', { response: answers(Bootstrap) }) },
    (request) => presences.bootstrap(guard.caller(request).node, clock.wall()),
  );
  scope.get(
    '/node/nodes',
    { schema: described('nodes', 'The nodes of the VI', { response: answers(NodeList) }) },
    (request) => {
      const { vi } = guard.caller(request);
      return { nodes: nodes.list(vi.config).map((node) => summaryOfNode(services, node)) };
    },
  );
}

function addressServerRoutes(scope: App, services: Services, guard: NodeGuard): void {
  const place = { response: answers(AddressServer) };
  scope.get(
    '/node/address-server',
    { schema: described('addressServer', 'Where link pairs are leased, and the secret to ask with', place) },
    (request) => {
      const { vi, serial } = guard.caller(request);
      const { transport } = vi.config.definition.addressServer;
      const { port, secrets } = services.addresses;
      return {
        transport,
        port,
        secret: transport === 'tls' ? null : Buffer.from(secrets.of(serial)).toString('base64'),
      };
    },
  );
}
