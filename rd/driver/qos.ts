/** Quality of service by command: which peer is meant, what is in effect, what is set and cleared. */
import { formatAddress, idAddress, parseAddress, parseCidr } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { formatId } from '../../overlay/id.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { contradictionOf } from '../../overlay/link-shape.ts';
import type { FromControl, ToControl } from '../../overlay/messages/control.ts';
import type { Engine } from './engine.ts';
import type { HostedNode } from './hosted-node.ts';
import { aboutNode } from './status.ts';
import type { ShapedPeer } from './tunnel-shapes.ts';

type QosAnswer = FromControl & { t: 'qos' };
type Row = QosAnswer['nodes'][number]['peers'][number];
type Known = ShapedPeer & { readonly remote: string; readonly hasTunnel: boolean };

export function showQos(nodes: readonly HostedNode[], engine: Engine, peer?: string): Result<QosAnswer> {
  const answers: QosAnswer['nodes'] = [];
  for (const node of nodes) {
    const known = knownPeers(node, engine);
    const found = peer === undefined ? undefined : findPeer(node, known, peer);
    // With several nodes here, the peer is that of whichever knows it.
    if (found?.ok === false && nodes.length === 1) return found;
    if (found === undefined) answers.push(answerOf(node, known));
    else if (found.ok) answers.push(answerOf(node, [found.value]));
  }
  if (peer !== undefined && answers.length === 0) return fail('NOT_FOUND', unknownPeer(peer));
  return ok({ t: 'qos', nodes: answers });
}

/** What the data plane refuses is not set, and a failure. */
export function setQos(node: HostedNode, engine: Engine, order: ToControl & { t: 'qos.set' }): Result<QosAnswer> {
  const { out, in: inwards } = order;
  for (const [way, shape] of Object.entries({ out, in: inwards })) {
    const problem = shape === undefined ? undefined : contradictionOf(shape);
    if (problem !== undefined) return fail('BAD_ARGUMENT', `${way}.${problem}`);
  }
  const found = findPeer(node, knownPeers(node, engine), order.peer);
  if (!found.ok) return found;
  const { id, name, ipv4 } = found.value;
  const change = { ...(out === undefined ? {} : { out }), ...(inwards === undefined ? {} : { in: inwards }) };
  const set = node.shapes.set({ id, name, ipv4 }, change);
  if (!set.ok) return set;
  const reshaped = reshape(node, found.value, set.value);
  return reshaped.ok ? ok({ t: 'qos', nodes: [answerOf(node, [found.value])] }) : reshaped;
}

/** Without a peer: of all. */
export function clearQos(node: HostedNode, engine: Engine, peer: string | undefined): Result<QosAnswer> {
  const known = knownPeers(node, engine);
  const found = peer === undefined ? undefined : findPeer(node, known, peer);
  if (found?.ok === false) return found;
  const cleared = found === undefined ? known : [found.value];
  const results = cleared.map((each) => reshape(node, each, node.shapes.clear(each.id)));
  const failure = results.find((result) => !result.ok);
  return failure?.ok === false ? failure : ok({ t: 'qos', nodes: [answerOf(node, cleared)] });
}

/** Puts into effect what is set now, or takes it back. */
function reshape(node: HostedNode, { id, name }: Known, undo: () => void): Result<void> {
  const reshaped = node.reshape(id);
  if (reshaped.ok) return reshaped;
  undo();
  return fail(reshaped.code, `The tunnel to '${name}' stays as it was: ${reshaped.message}`);
}

/** Peers with a tunnel, and those that have a setting without one. */
function knownPeers(node: HostedNode, engine: Engine): Known[] {
  const tunnels = node.isReady ? engine.tunnels(node.ref) : [];
  const known = tunnels.map(({ peer, name, ipv4, remote }) => ({ id: peer, name, ipv4, remote, hasTunnel: true }));
  const others = node.shapes.peers.filter(({ id }) => !known.some((other) => other.id === id));
  return [...known, ...others.map((peer) => ({ ...peer, remote: '', hasTunnel: false }))];
}

function findPeer(node: HostedNode, known: readonly Known[], text: string): Result<Known> {
  const bytes = parseAddress(text);
  const address = bytes === undefined ? undefined : formatAddress(bytes);
  const prefix = parseCidr(node.membership.vi.prefix);
  const found =
    known.find(({ name }) => name === text) ??
    known.find(({ id, ipv4, remote }) => {
      if (address === undefined) return formatId(id) === text.toLowerCase();
      return [ipv4, remote].includes(address) || (prefix !== undefined && idAddress(prefix, id) === address);
    });
  return found === undefined ? fail('NOT_FOUND', unknownPeer(text)) : ok(found);
}

function unknownPeer(text: string): string {
  return `There is no tunnel to '${text}' here; 'p2pxbone tunnels' lists the peers.`;
}

function answerOf(node: HostedNode, peers: readonly Known[]): QosAnswer['nodes'][number] {
  const rows = peers.map(({ id, name, ipv4, hasTunnel }): Row => {
    const shape = node.shapes.of(id);
    return {
      peer: id,
      peerName: name,
      peerIpv4: ipv4 || '0.0.0.0',
      hasTunnel,
      out: { shape: shape.out, from: node.shapes.origin(id, 'out') },
      in: { shape: shape.in, from: node.shapes.origin(id, 'in') },
    };
  });
  return { ...aboutNode(node), peers: rows };
}
