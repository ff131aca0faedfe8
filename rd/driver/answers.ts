/** Answers to the questions of the command line. */
import { idAddress, parseCidr } from '../../overlay/addresses.ts';
import { wayToChoose } from '../../overlay/choice.ts';
import { fail } from '../../overlay/errors.ts';
import { formatId, type Id, parseId } from '../../overlay/id.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { FromControl, RdStatus, ToControl } from '../../overlay/messages/control.ts';
import type { NodeSummary } from '../../overlay/om-api.ts';
import type { Engine } from './engine.ts';
import { reloadGateways, showGateways, showNames } from './gateway-answers.ts';
import type { HostedNode } from './hosted-node.ts';
import type { Members } from './members.ts';
import { clearQos, setQos, showQos } from './qos.ts';
import type { Readings } from './readings.ts';
import { aboutNode, nodeStatus, tunnelStatuses } from './status.ts';

export type ControlContext = {
  readonly members: Members;
  readonly engine: Engine;
  readonly readings: () => Readings;
  readonly status: () => RdStatus;
};

type KnownNode = (FromControl & { t: 'found' })['owner'];

export async function answerControl(
  question: ToControl,
  progress: (step: string) => void,
  context: ControlContext,
): Promise<Result<FromControl>> {
  const { members, engine } = context;
  switch (question.t) {
    case 'status':
      return ok({ t: 'status', ...context.status() });
    case 'join': {
      const { t: _, ...order } = question;
      const joined = await members.join(order, progress);
      return joined.ok ? ok({ t: 'joined', node: nodeStatus(joined.value, engine, context.readings()) }) : joined;
    }
    case 'leave': {
      const left = await members.leave(question.vi, question.netns);
      return left.ok ? ok({ t: 'done' }) : left;
    }
    case 'tunnels': {
      const readings = context.readings();
      const nodes = nodesOf(members, question.vi, question.netns).map((node) => {
        return { ...aboutNode(node), tunnels: tunnelStatuses(node, engine, readings) };
      });
      return ok({ t: 'tunnels', nodes });
    }
    case 'routes': {
      const nodes = nodesOf(members, question.vi, question.netns).map((node) => {
        const { generation, routes } = engine.routes(node.ref);
        return { ...aboutNode(node), generation, routes: [...routes] };
      });
      return ok({ t: 'routes', nodes });
    }
    case 'history': {
      const nodes = members.of(question.vi).map((node) => {
        return { vi: node.membership.vi, id: node.id, events: node.history.events };
      });
      return ok({ t: 'history', nodes });
    }
    case 'lookup': {
      const node = theNode(members, question.vi);
      return node.ok ? lookup(node.value, question.id, engine) : node;
    }
    case 'nodes': {
      const node = theNode(members, question.vi);
      if (!node.ok) return node;
      const { vi } = node.value.membership;
      return ok({ t: 'nodes', vi, ...(await knownNodes(node.value, engine)) });
    }
    case 'qos':
      return showQos(nodesOf(members, question.vi, question.netns), engine, question.peer);
    case 'gateway':
      return showGateways(nodesOf(members, question.vi, question.netns), question.flows);
    case 'gateway.names':
      return showNames(nodesOf(members, question.vi, question.netns));
    case 'gateway.reload':
      return reloadGateways(nodesOf(members, question.vi, question.netns));
    case 'qos.set': {
      const node = oneNode(members, question.vi, question.netns);
      return node.ok ? setQos(node.value, engine, question) : node;
    }
    case 'qos.clear': {
      const node = oneNode(members, question.vi, question.netns);
      return node.ok ? clearQos(node.value, engine, question.peer) : node;
    }
  }
  return question satisfies never;
}

function nodesOf(members: Members, vi: string | undefined, netns: string | undefined): HostedNode[] {
  return members.of(vi).filter((node) => netns === undefined || (node.membership.netns ?? '') === netns);
}

/** The node that an order means, which must be plain. */
function oneNode(members: Members, vi: string | undefined, netns: string | undefined): Result<HostedNode> {
  const nodes = nodesOf(members, vi, netns);
  const [node] = nodes;
  if (node === undefined) return fail('NOT_FOUND', 'No such virtual node is here; join a VI first.');
  if (nodes.length > 1)
    return fail('BAD_ARGUMENT', `Several virtual nodes are meant; choose one with ${choice(nodes)}.`);
  return ok(node);
}

/** The node that a question without a VI means: the only one here, or one of those of the only VI. */
function theNode(members: Members, vi: string | undefined): Result<HostedNode> {
  const nodes = members.of(vi);
  const [first] = nodes;
  if (first === undefined) {
    return fail(
      'NOT_FOUND',
      vi === undefined ? 'No virtual node is here; join a VI first.' : `No node of '${vi}' is here.`,
    );
  }
  if (nodes.some((node) => node.vi !== first.vi)) {
    return fail('BAD_ARGUMENT', `Nodes of several VIs are here; choose one with ${choice(nodes)}.`);
  }
  return ok(nodes.find((node) => node.isOnRing) ?? first);
}

/** By which option nodes can be told apart: VIs of several overlay managers may have one name. */
function choice(nodes: readonly HostedNode[]): string {
  return wayToChoose(nodes.map(({ vi, membership }) => ({ vi, name: membership.vi.name })));
}

async function lookup(node: HostedNode, id: Id, engine: Engine): Promise<Result<FromControl>> {
  const found = await node.lookup(id);
  if (!found.ok) return found;
  const { owner, hops } = found.value;
  const near = ownAndNeighbours(node, engine).find((known) => known.id === owner);
  const known = near ?? (await knownNodes(node, engine)).nodes.find((known) => known.id === owner);
  return ok({ t: 'found', owner: known ?? nameless(node, owner), hops });
}

async function knownNodes(node: HostedNode, engine: Engine): Promise<{ complete: boolean; nodes: KnownNode[] }> {
  const listed = await node.om.nodes();
  if (!listed.ok) return { complete: false, nodes: ownAndNeighbours(node, engine) };
  return { complete: true, nodes: listed.value.flatMap(knownOf) };
}

function knownOf({ id, name, ipv4, ipv6 }: NodeSummary): KnownNode[] {
  const parsed = parseId(id);
  return parsed === undefined ? [] : [{ id: parsed, name, ipv4, ipv6 }];
}

function ownAndNeighbours(node: HostedNode, engine: Engine): KnownNode[] {
  const { name, ipv4, ipv6, vi } = node.membership;
  const prefix = parseCidr(vi.prefix);
  const neighbours = engine
    .tunnels(node.ref)
    .flatMap((tunnel) =>
      tunnel.state === 'up' && prefix !== undefined
        ? [{ id: tunnel.peer, name: tunnel.name, ipv4: tunnel.ipv4, ipv6: idAddress(prefix, tunnel.peer) }]
        : [],
    );
  return [{ id: node.id, name, ipv4, ipv6 }, ...neighbours];
}

/** Somebody of whom, without the overlay manager, only the place on the circle is known. */
function nameless(node: HostedNode, id: Id): KnownNode {
  const prefix = parseCidr(node.membership.vi.prefix);
  if (prefix === undefined) throw new Error('a VI has a prefix');
  return { id, name: formatId(id), ipv4: '0.0.0.0', ipv6: idAddress(prefix, id) };
}
