import { cidrContains, idOfAddress, parseAddress, parseCidr } from '../../overlay/addresses.ts';
import { formatId, type Id, idOfNode, inRange } from '../../overlay/id.ts';
import type { NodeStatus, TunnelStatus } from '../../overlay/messages/control.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import { chooseNode, type RdOptions, statusOf, valueOf } from '../command.ts';
import { print, printJson, table } from '../output.ts';
import { askRd, runDirectory } from '../rd-client.ts';
import { type ConnectedSocket, connectedSockets, type SocketEnd } from '../sockets.ts';
import { type KnownNodes, knownNodes, namespaceOf } from '../target.ts';

/** One end of a flow in terms of the VI. `key`: the id asked for, where the address is no node's own. */
type FlowEnd = SocketEnd & { readonly node: string | null; readonly key: string | null };

export type Flow = {
  readonly protocol: string;
  readonly state: string;
  readonly local: FlowEnd;
  readonly remote: FlowEnd;
  /** The neighbour to which its packets go first; null where they stay on this node or no route leads there. */
  readonly nextHop: { readonly id: string; readonly name: string } | null;
};

export async function run(options: RdOptions): Promise<void> {
  const where = runDirectory(options.run);
  const status = await statusOf(options);
  const node = chooseNode(status, options);
  const question = { vi: node.vi.id };
  const [known, tunnels, routes, sockets] = await Promise.all([
    knownNodes(where, node),
    askRd(where, { t: 'tunnels', ...question }, 'tunnels'),
    askRd(where, { t: 'routes', ...question }, 'routes'),
    connectedSockets(namespaceOf(status, node)),
  ]);
  const view: FlowView = {
    node,
    known,
    tunnels: valueOf(tunnels).nodes.find((other) => other.id === node.id)?.tunnels ?? [],
    routes: valueOf(routes).nodes.find((other) => other.id === node.id)?.routes ?? [],
  };
  const flows = sockets.flatMap((socket) => flowOf(view, socket) ?? []);
  if (options.json) return printJson({ vi: node.vi.name, node: formatId(node.id), flows });
  if (flows.length === 0) return print(`No program on ${node.name} is connected over VI ${node.vi.name} now.`);
  print(
    table(
      ['PROTOCOL', 'STATE', 'HERE', 'THERE', 'NEXT HOP'],
      flows.map((flow) => [
        flow.protocol,
        flow.state,
        describe(flow.local),
        describe(flow.remote),
        flow.nextHop?.name ?? '-',
      ]),
    ),
  );
}

export type FlowView = {
  readonly node: NodeStatus;
  readonly known: KnownNodes;
  readonly tunnels: readonly Pick<TunnelStatus, 'peer' | 'peerName' | 'state' | 'remote'>[];
  readonly routes: readonly RdRoute[];
};

/** A socket as a flow over the VI; undefined if its far end is outside the VI. */
export function flowOf(view: FlowView, socket: ConnectedSocket): Flow | undefined {
  const local = endOf(view, socket.local);
  const remote = endOf(view, socket.remote);
  if (local === undefined || remote === undefined) return undefined;
  const { protocol, state } = socket;
  return { protocol, state, local: local.end, remote: remote.end, nextHop: nextHopOf(view, remote) };
}

type Placed = { readonly end: FlowEnd; readonly id: Id | undefined; readonly address: string };

function endOf(view: FlowView, end: SocketEnd): Placed | undefined {
  const { vi } = view.known;
  const bytes = parseAddress(end.address) as Uint8Array;
  const [prefix, pool] = [parseCidr(vi.prefix), parseCidr(vi.definition.ipv4Pool)];
  const [linkPrefix, linkPool] = [parseCidr(vi.linkPrefix), parseCidr(vi.definition.linkPool)];
  if (prefix === undefined || pool === undefined) return undefined;
  const id = idOfAddress(prefix, bytes) ?? (cidrContains(pool, bytes) ? idOfNode(bytes, vi.id) : undefined);
  const isLink = [linkPrefix, linkPool].some((network) => network !== undefined && cidrContains(network, bytes));
  if (id === undefined && !isLink) return undefined;
  const node = id === undefined ? null : (nodeName(view, id) ?? null);
  const key = id === undefined || node !== null ? null : formatId(id);
  return { end: { ...end, node, key }, id, address: end.address };
}

function nodeName({ node, known }: FlowView, id: Id): string | undefined {
  return id === node.id ? node.name : known.nodes.find((other) => other.id === id)?.name;
}

function nextHopOf(view: FlowView, { id, address }: Placed): Flow['nextHop'] {
  const direct = view.tunnels.find(({ state, peer, remote }) => state === 'up' && (peer === id || remote === address));
  const to = direct?.peer ?? (id === undefined ? undefined : view.routes.find((route) => inRange(route, id))?.to);
  if (to === undefined || to === view.node.id) return null;
  const name = view.tunnels.find(({ peer }) => peer === to)?.peerName ?? nodeName(view, to) ?? '?';
  return { id: formatId(to), name };
}

function describe({ address, port, node, key }: FlowEnd): string {
  return `${node ?? (key === null ? address : `key ${key}`)}:${port}`;
}
