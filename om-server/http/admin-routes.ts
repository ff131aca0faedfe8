/** What the administrator may do: virtual Internets, their nodes, invitations. */
import { Type } from '@sinclair/typebox';
import { OverlayError } from '../../overlay/errors.ts';
import { Name } from '../../overlay/fields.ts';
import { formatInvitation } from '../../overlay/invitation.ts';
import {
  CreatedInvitation,
  CreateInvitation,
  CreateVi,
  InvitationList,
  InvitationSummary,
  NodeList,
  RemovedNode,
  ViList,
  ViSummary,
} from '../../overlay/om-api.ts';
import { parseViDefinition } from '../../overlay/vi.ts';
import { type Services, summaryOfNode, summaryOfVi } from '../services.ts';
import type { Node } from '../store/nodes.ts';
import type { Vi } from '../store/vis.ts';
import { answers, NoContent, valueOf } from './answers.ts';
import type { App } from './app.ts';
import { requireAdministrator } from './auth.ts';

const ViPath = Type.Object({ vi: Name });
const NodePath = Type.Object({ vi: Name, node: Type.String({ maxLength: 32, description: 'Name or id' }) });
const InvitationPath = Type.Object({ vi: Name, invitation: Type.String({ maxLength: 32 }) });
const Force = Type.Object({ force: Type.Boolean({ default: false, description: 'Delete it with its nodes' }) });

const REMOVAL =
  'From then on the overlay manager refuses the node with NODE_REMOVED, and the node takes itself down when it next ' +
  'asks. Its certificates are revoked: other nodes end their tunnels to it when they next ask. Until they would have ' +
  'expired, its address is given to no other node. A certificate of before revocations were kept is on record only ' +
  'if the node has been heard of since.';

export function administratorRoutes(scope: App, services: Services): void {
  scope.addHook('onRequest', requireAdministrator(services.token));
  viRoutes(scope, services);
  nodeListRoutes(scope, services);
  invitationRoutes(scope, services);
}

function described<T>(operationId: string, summary: string, rest: T) {
  return { operationId, summary, tags: ['administrator'], security: [{ administrator: [] }], ...rest };
}

function viNamed({ vis }: Services, name: string): Vi {
  const vi = vis.byName(name);
  if (vi === undefined) throw new OverlayError('NOT_FOUND', `There is no VI ${name}; \`p2pxbone vi list\` lists all.`);
  return vi;
}

function viRoutes(scope: App, services: Services): void {
  const { vis, nodes, leases, presences, clock, log } = services;
  scope.post(
    '/vis',
    { schema: described('createVi', 'Make a VI', { body: CreateVi, response: answers(ViSummary, 201) }) },
    (request, reply) => {
      const definition = valueOf(parseViDefinition(request.body.definition));
      const vi = valueOf(vis.create(request.body.name, definition, clock.wall()));
      log.info({ vi: vi.config.name, id: vi.config.id }, 'a VI was made');
      reply.code(201);
      return summaryOfVi(services, vi);
    },
  );
  scope.get('/vis', { schema: described('listVis', 'List the VIs', { response: answers(ViList) }) }, () => ({
    vis: vis.list().map((vi) => summaryOfVi(services, vi)),
  }));
  scope.get(
    '/vis/:vi',
    { schema: described('showVi', 'Show a VI', { params: ViPath, response: answers(ViSummary) }) },
    ({ params }) => summaryOfVi(services, viNamed(services, params.vi)),
  );
  const deletion = { params: ViPath, querystring: Force, response: answers(NoContent, 204) };
  scope.delete('/vis/:vi', { schema: described('deleteVi', 'Delete a VI', deletion) }, ({ params, query }, reply) => {
    const { id, name } = viNamed(services, params.vi).config;
    valueOf(vis.delete(id, query.force));
    for (const part of [nodes, leases, presences]) part.forgetVi(id);
    log.info({ vi: name, id, force: query.force }, 'a VI was deleted');
    reply.code(204);
    return null;
  });
}

function nodeListRoutes(scope: App, services: Services): void {
  const { departures, nodes, revocations, clock, log } = services;
  scope.get(
    '/vis/:vi/nodes',
    { schema: described('listNodes', 'List the nodes of a VI', { params: ViPath, response: answers(NodeList) }) },
    ({ params }) => {
      const vi = viNamed(services, params.vi);
      return { nodes: nodes.list(vi.config).map((node) => summaryOfNode(services, node)) };
    },
  );
  const deletion = { params: NodePath, response: answers(RemovedNode) };
  scope.delete(
    '/vis/:vi/nodes/:node',
    { schema: described('deleteNode', 'Remove a node', { description: REMOVAL, ...deletion }) },
    ({ params }) => {
      const node = nodeCalled(services, viNamed(services, params.vi), params.node);
      const removal = valueOf(departures.remove(node, clock.wall()));
      log.info({ vi: params.vi, node: node.name, id: node.id, ...removal }, 'a node was removed');
      return { ...removal, revocations: revocations.number };
    },
  );
}

function nodeCalled({ nodes }: Services, vi: Vi, text: string): Node {
  const node = nodes.byName(vi.config, text) ?? nodes.byId(vi.config, text);
  if (node === undefined)
    throw new OverlayError('NOT_FOUND', `The VI ${vi.config.name} has no node of this name or id.`);
  return node;
}

function invitationRoutes(scope: App, services: Services): void {
  const { invitations, authority, advertised, clock, log } = services;
  const creation = { params: ViPath, body: CreateInvitation, response: answers(CreatedInvitation, 201) };
  scope.post(
    '/vis/:vi/invitations',
    { schema: described('createInvitation', 'Invite nodes; the text is told only once', creation) },
    ({ params, body }, reply) => {
      const vi = viNamed(services, params.vi);
      const order = { ...body, groups: body.groups ?? [] };
      const { invitation, secret } = valueOf(invitations.create(vi, order, clock.wall()));
      const expires = Math.floor(invitation.expiresAt / 1000);
      const known = { caFingerprint: authority.fingerprint, vi: vi.config.name, secret, expires };
      log.info({ vi: params.vi, invitation: invitation.id, uses: body.uses }, 'an invitation was made');
      reply.code(201);
      return { invitation, text: formatInvitation({ ...advertised(), ...known }) };
    },
  );
  scope.get(
    '/vis/:vi/invitations',
    { schema: described('listInvitations', 'List invitations', { params: ViPath, response: answers(InvitationList) }) },
    ({ params }) => ({ invitations: invitations.list(viNamed(services, params.vi), clock.wall()) }),
  );
  const revocation = { params: InvitationPath, response: answers(InvitationSummary) };
  scope.delete(
    '/vis/:vi/invitations/:invitation',
    { schema: described('revokeInvitation', 'Revoke an invitation', revocation) },
    ({ params }) => {
      const revoked = valueOf(invitations.revoke(viNamed(services, params.vi), params.invitation, clock.wall()));
      log.info({ vi: params.vi, invitation: revoked.id }, 'an invitation was revoked');
      return revoked;
    },
  );
}
