/**
 * The data plane's whole JavaScript API. Arguments are validated and errors are worded here; the addon does the rest.
 *
 * Like a socket, a data plane that has been bound keeps the process alive until it is closed. A process that exits
 * without closing loses nothing but the goodbyes to its peers: the kernel removes the TAPs.
 */
import { randomBytes } from 'node:crypto';
import { fail } from '../overlay/errors.ts';
import { GATEWAY_FLOWS_MAX, type GatewayFlows, type GatewayStatistics } from '../overlay/gateway-status.ts';
import { type Failure, ok, type Result } from '../overlay/lib/result.ts';
import {
  explain,
  type FlatPrefixes,
  isNativeFailure,
  loadAddon,
  type NativeFailure,
  type NativePlane,
} from './addon.ts';
import { formatEndpoint, parseAddress, parseEndpoint } from './addresses.ts';
import {
  type AssociationHandle,
  CIPHERS,
  type Counters,
  type Credential,
  type DataPlane,
  type DataPlaneOptions,
  type Endpoint,
  type ForwardingImage,
  type NativeEvent,
  type NextHop,
  type NodeHandle,
  type NodeOptions,
  type PeerCredentials,
  RECEIVE_PATHS,
  type TunnelHandle,
  type TunnelOptions,
} from './api.ts';
import { failureOf, type GatewayRules, type GatewayServices } from './gateway.ts';
import { decodeHop, flatten, flattenPrefixes } from './image.ts';
import { DROP_REASONS, type DropReason } from './reasons.ts';
import { flattenShape, shapeProblem } from './shape.ts';

export type * from './api.ts';
export { CIPHERS, RECEIVE_PATHS } from './api.ts';
export type * from './gateway.ts';
export { explainPolicy, openQueueGateway } from './gateway.ts';
export { DROP_REASONS, type DropReason } from './reasons.ts';

/** Bytes of one control message. */
export const CONTROL_BYTES_MAX = 1100;
const CONTROL_FIRST_BYTE_MIN = 0x80;
const TAP_NAME_BYTES_MAX = 15;
/** Of each kind in an address plan; the native side has the same limit. */
const SOURCE_PREFIXES_MAX = 16;
const VI_ID_BYTES_MAX = 256;
/** Hourly at least; more often than this, handshakes would be most of the traffic. */
const REKEY_SECONDS = { least: 10, most: 3600 } as const;
/** Of RFC 6066 host names. */
const SERVER_NAME_BYTES_MAX = 255;

export function createDataPlane(options: DataPlaneOptions): Result<DataPlane> {
  const { keepAliveMs, silenceMs, receive = 'uring' } = options;
  if (!isIntegerIn(keepAliveMs, 50, 60_000)) {
    return fail('BAD_ARGUMENT', 'The keep-alive period is a whole number of milliseconds from 50 to 60000.');
  }
  if (!isIntegerIn(silenceMs, keepAliveMs * 3, 0x7fffffff)) {
    return fail('BAD_ARGUMENT', 'The limit of silence is at least three keep-alive periods, in whole milliseconds.');
  }
  const receivePath = RECEIVE_PATHS.indexOf(receive);
  if (receivePath < 0) {
    return fail('BAD_ARGUMENT', `The receive path is one of ${RECEIVE_PATHS.join(', ')}.`);
  }
  const addon = loadAddon();
  if (!addon.ok) return addon;
  const seed = new DataView(Uint8Array.from(randomBytes(8)).buffer).getBigUint64(0);
  const doorbell: Doorbell = { ring: () => undefined };
  try {
    return ok(
      new Plane(new addon.value.Plane(keepAliveMs, silenceMs, receivePath, seed, () => doorbell.ring()), doorbell),
    );
  } catch (error) {
    return fail('SYSTEM', `Could not start the data plane: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

/** The process at the other end of a connected Unix socket, as the kernel noted it when it connected. */
export function peerCredentials(fd: number): Result<PeerCredentials> {
  if (!isIntegerIn(fd, 0, 0x7fffffff)) return fail('BAD_ARGUMENT', 'A file descriptor is a whole number from 0 on.');
  const addon = loadAddon();
  if (!addon.ok) return addon;
  const answer = addon.value.peerCredentials(fd);
  return isNativeFailure(answer) ? explain(answer, 'see who is at the other end of the socket') : ok(answer);
}

type Doorbell = { ring: () => void };

class Plane implements DataPlane {
  readonly #native: NativePlane;
  readonly #serverNames = new Set<string>();
  #listener: ((events: readonly NativeEvent[]) => void) | undefined;

  constructor(native: NativePlane, doorbell: Doorbell) {
    this.#native = native;
    doorbell.ring = () => this.#deliver();
  }

  #deliver(): void {
    const events = this.#native.drain().map(decodeEvent);
    if (events.length > 0) this.#listener?.(events);
  }

  bind(endpoint: Endpoint): Result<Endpoint> {
    const parsed = parseEndpoint(endpoint, true);
    if (!parsed.ok) return parsed;
    const bound = this.#native.bind(parsed.value.ip, parsed.value.port);
    if (isNativeFailure(bound)) return explain(bound, `bind UDP port ${endpoint.port} of ${endpoint.address}`);
    return ok(formatEndpoint(bound));
  }

  setCredential(credential: Credential): Result<void> {
    const { serverName, certificatePem, privateKeyPem, caPem, rekeySeconds } = credential;
    if (!isTextIn(serverName, SERVER_NAME_BYTES_MAX))
      return fail('BAD_ARGUMENT', 'The server name is empty or too long.');
    const ciphers = Uint8Array.from(credential.ciphers, (cipher) => CIPHERS.indexOf(cipher));
    if (
      ciphers.length === 0 ||
      new Set(ciphers).size !== ciphers.length ||
      ciphers.some((code) => code >= CIPHERS.length)
    ) {
      return fail('BAD_ARGUMENT', `Give at least one cipher, none twice, of ${CIPHERS.join(', ')}.`);
    }
    if (!isIntegerIn(rekeySeconds, REKEY_SECONDS.least, REKEY_SECONDS.most)) {
      return fail('BAD_ARGUMENT', `Keys are changed every ${REKEY_SECONDS.least} to ${REKEY_SECONDS.most} seconds.`);
    }
    const pems = [certificatePem, privateKeyPem, caPem] as const;
    const set = settled(
      this.#native.setCredential(serverName, ...pems, ciphers, rekeySeconds, credential.crlPem ?? ''),
      `use the certificate for ${serverName}`,
    );
    if (set.ok) this.#serverNames.add(serverName);
    return set;
  }

  removeCredential(serverName: string): void {
    this.#serverNames.delete(serverName);
    this.#native.removeCredential(serverName);
  }

  openNode(options: NodeOptions): Result<NodeHandle> {
    const wrong = checkNode(options);
    if (wrong !== undefined) return wrong;
    const ipv4 = parseAddress(options.ipv4);
    if (!ipv4.ok) return ipv4;
    const ipv6 = parseAddress(options.ipv6);
    if (!ipv6.ok) return ipv6;
    if (ipv4.value.family !== 4 || ipv6.value.family !== 6) {
      return fail('BAD_ARGUMENT', 'A node has one IPv4 and one IPv6 address.');
    }
    const { tapName, mtu, id, viId, vni, mac, sources } = options;
    const prefixes = flattenSources(sources.prefixes);
    if (!prefixes.ok) return prefixes;
    const links = flattenSources(sources.linkPrefixes);
    if (!links.ok) return links;
    const addresses = [ipv4.value.bytes, ipv6.value.bytes] as const;
    const plan = [...prefixes.value, ...links.value] as const;
    const node = this.#native.openNode(tapName, mtu, id, viId, vni, mac, ...addresses, ...plan);
    return isNativeFailure(node) ? explain(node, `create the interface ${tapName}`) : ok(node as NodeHandle);
  }

  closeNode(node: NodeHandle): void {
    this.#native.closeNode(node);
  }

  addTunnel({ node, peer, peerMac, association }: TunnelOptions): Result<TunnelHandle> {
    const parsed = parseEndpoint(peer);
    if (!parsed.ok) return parsed;
    if (!isMac(peerMac)) return fail('BAD_ARGUMENT', 'The peer MAC address is not six bytes of a single station.');
    const tunnel = this.#native.addTunnel(node, parsed.value.ip, parsed.value.port, peerMac, association ?? 0);
    return isNativeFailure(tunnel) ? explain(tunnel, 'add the tunnel') : ok(tunnel as TunnelHandle);
  }

  updateTunnel(tunnel: TunnelHandle, change: Parameters<DataPlane['updateTunnel']>[1]): Result<void> {
    const { peer, payloadBytesMax, association, shape } = change;
    const problem = shape === undefined ? undefined : shapeProblem(shape);
    if (problem !== undefined) return fail('BAD_ARGUMENT', problem);
    if (payloadBytesMax !== undefined && !isIntegerIn(payloadBytesMax, 576, 65_507)) {
      return fail('BAD_ARGUMENT', 'The largest UDP payload is a whole number of bytes from 576 to 65507.');
    }
    // First, so that nothing is sent to a new address under the old security.
    if (association !== undefined) {
      const secured = settled(this.#native.secureTunnel(tunnel, association ?? 0), 'change the tunnel');
      if (!secured.ok) return secured;
    }
    if (shape !== undefined) {
      const shaped = this.#native.shapeTunnel(tunnel, flattenShape(shape.out), flattenShape(shape.in));
      if (shaped !== undefined) return explain(shaped, 'shape the tunnel');
    }
    if (peer === undefined && payloadBytesMax === undefined) return ok();
    if (peer === undefined) {
      return settled(this.#native.updateTunnel(tunnel, payloadBytesMax ?? 0), 'change the tunnel');
    }
    const parsed = parseEndpoint(peer);
    if (!parsed.ok) return parsed;
    const { ip, port } = parsed.value;
    return settled(this.#native.updateTunnel(tunnel, payloadBytesMax ?? 0, ip, port), 'change the tunnel');
  }

  removeTunnel(tunnel: TunnelHandle): void {
    this.#native.removeTunnel(tunnel);
  }

  publish(node: NodeHandle, image: ForwardingImage): Result<void> {
    const flat = flatten(image);
    if (!flat.ok) return flat;
    const { exact, exactHops, prefixes, prefixHops, untils, rangeHops } = flat.value;
    const published = this.#native.publish(
      node,
      image.generation,
      exact,
      exactHops,
      ...prefixes,
      prefixHops,
      untils,
      rangeHops,
    );
    if (published?.error === 'imageBad' && published.text !== '') {
      return fail('BAD_ARGUMENT', `The forwarding table names ${published.text} twice.`);
    }
    return settled(published, 'publish the forwarding table');
  }

  lookup(node: NodeHandle, address: string): Result<NextHop> {
    const parsed = parseAddress(address);
    if (!parsed.ok) return parsed;
    const hop = this.#native.lookup(node, parsed.value.bytes);
    return isNativeFailure(hop) ? explain(hop, 'look the address up') : ok(decodeHop(hop));
  }

  setGateway(node: NodeHandle, services: GatewayServices, rules: GatewayRules, daemonPort: number): Result<void> {
    if (!isIntegerIn(daemonPort, 0, 65_535)) return fail('BAD_ARGUMENT', 'A UDP port is a whole number up to 65535.');
    const action = 'start the gateway';
    try {
      const answer = this.#native.setGateway(node, daemonPort, services, rules);
      if (answer?.error === 'system') return fail('SYSTEM', `Could not ${action}: ${answer.text}.`);
      return settled(answer, action);
    } catch (error) {
      return failureOf(error, action);
    }
  }

  useGatewayRules(node: NodeHandle, rules: GatewayRules): Result<void> {
    const action = 'put the policy into force';
    try {
      return settled(this.#native.useGatewayRules(node, rules), action);
    } catch (error) {
      return failureOf(error, action);
    }
  }

  useGatewaySets(node: NodeHandle, sets: Uint8Array): Result<void> {
    return settled(this.#native.useGatewaySets(node, sets), 'put other addresses into force');
  }

  removeGateway(node: NodeHandle): void {
    this.#native.removeGateway(node);
  }

  gatewayStatistics(node: NodeHandle): Result<GatewayStatistics> {
    const text = this.#native.gatewayStatistics(node);
    return isNativeFailure(text) ? explain(text, 'ask the gateway') : ok(JSON.parse(text) as GatewayStatistics);
  }

  gatewayFlows(node: NodeHandle, most: number): Result<GatewayFlows> {
    const text = this.#native.gatewayFlows(node, Math.min(most, GATEWAY_FLOWS_MAX));
    return isNativeFailure(text) ? explain(text, 'ask the gateway') : ok(JSON.parse(text) as GatewayFlows);
  }

  associate(peer: Endpoint, serverName: string): Result<AssociationHandle> {
    const parsed = parseEndpoint(peer);
    if (!parsed.ok) return parsed;
    if (!this.#serverNames.has(serverName)) {
      return fail('NOT_FOUND', `There is no certificate for ${serverName} here; set it first.`);
    }
    const association = this.#native.associate(parsed.value.ip, parsed.value.port, serverName);
    return isNativeFailure(association) ? explain(association, 'associate') : ok(association as AssociationHandle);
  }

  send(association: AssociationHandle, message: Uint8Array): Result<void> {
    const first = message[0];
    if (first === undefined || first < CONTROL_FIRST_BYTE_MIN || message.length > CONTROL_BYTES_MAX) {
      return fail('BAD_ARGUMENT', `A control message has 1 to ${CONTROL_BYTES_MAX} bytes, the first from 0x80 on.`);
    }
    return settled(this.#native.send(association, message), 'send the message');
  }

  measure(association: AssociationHandle, capacity: boolean): Result<void> {
    return settled(this.#native.measure(association, capacity ? 1 : 0), 'measure the path');
  }

  closeAssociation(association: AssociationHandle): void {
    this.#native.closeAssociation(association);
  }

  onEvents(listener: (events: readonly NativeEvent[]) => void): void {
    this.#listener = listener;
  }

  counters(): Counters {
    const { drops, tunnels, nodes, associations } = this.#native.counters();
    const rows = Object.entries(DROP_REASONS).map(([name, { number }]) => [name, drops[number] ?? 0n]);
    return {
      drops: Object.fromEntries(rows) as Record<DropReason, bigint>,
      tunnels,
      nodes,
      associations: associations.map((row) => ({ ...row, peer: formatEndpoint(row.peer) })),
    };
  }

  close(): void {
    this.#listener = undefined;
    this.#native.close();
  }
}

function decodeEvent(event: ReturnType<NativePlane['drain']>[number]): NativeEvent {
  return (event.peer === undefined ? event : { ...event, peer: formatEndpoint(event.peer) }) as NativeEvent;
}

function settled(answer: undefined | NativeFailure, action: string): Result<void> {
  return answer === undefined ? ok() : explain(answer, action);
}

function checkNode({ tapName, mtu, id, viId, vni, mac }: NodeOptions): Failure | undefined {
  // What the kernel refuses (slashes, spaces, colons, dots alone) or expands (percent).
  if (!isTextIn(tapName, TAP_NAME_BYTES_MAX) || !/^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(tapName)) {
    return fail('BAD_ARGUMENT', `"${tapName}" is not an interface name of at most ${TAP_NAME_BYTES_MAX} bytes.`);
  }
  if (!isIntegerIn(mtu, 1280, 9000))
    return fail('BAD_ARGUMENT', 'The MTU is a whole number of bytes from 1280 to 9000.');
  if (typeof id !== 'bigint' || id < 0n || id >= 2n ** 64n) return fail('BAD_ARGUMENT', 'An id has 64 bits.');
  if (!isTextIn(viId, VI_ID_BYTES_MAX))
    return fail('BAD_ARGUMENT', 'The id of the virtual Internet is empty or too long.');
  if (!isIntegerIn(vni, 0, 0xffffff)) return fail('BAD_ARGUMENT', 'A VXLAN network identifier has 24 bits.');
  if (!isMac(mac)) return fail('BAD_ARGUMENT', 'The MAC address is not six bytes of a single station.');
  return undefined;
}

function flattenSources(prefixes: readonly string[]): Result<FlatPrefixes> {
  if (prefixes.length > SOURCE_PREFIXES_MAX) {
    return fail('LIMIT_REACHED', `An address plan has at most ${SOURCE_PREFIXES_MAX} prefixes of each kind.`);
  }
  return flattenPrefixes(prefixes);
}

function isIntegerIn(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function isTextIn(value: string, bytesMax: number): boolean {
  return typeof value === 'string' && value !== '' && new TextEncoder().encode(value).length <= bytesMax;
}

/** Not a multicast address, which no interface may have. */
function isMac(value: Uint8Array): boolean {
  return value instanceof Uint8Array && value.length === 6 && ((value[0] ?? 1) & 1) === 0;
}
