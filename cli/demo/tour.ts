/** What the demo shows once the ring is up; everything it claims it has looked at. */
import { OverlayError } from '../../overlay/errors.ts';
import { formatId, type Id, idOfKey } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { valueOf } from '../command.ts';
import { paint, print, table } from '../output.ts';
import { askRd } from '../rd-client.ts';
import { beside, drawRing, formatRange, ownerOf, rangesOf, ringOrder, shareOf } from '../ring-picture.ts';
import { keyAddressOf, type Member, pingAllPairs, requestKeys } from './check.ts';
import { untilAnsweredBy } from './failover.ts';
import { longestPath, routeTables } from './paths.ts';
import type { World } from './world.ts';

/** Figures of the demo; its JSON. */
export type Findings = {
  readonly id: string;
  readonly nodes: number;
  readonly successors: number;
  upMs: number;
  idealMs: number;
  checkedMs: number;
  tunnels: number;
  pings: number;
  keyRequests: number;
  longestPath: readonly string[];
  failover: { readonly key: string; readonly died: string; readonly answers: string; readonly ms: number } | null;
  faults: string[];
};

const ALL_PAIRS_NODES_MAX = 8;
const KEYS_PER_NODE = 50;
const FAILOVER_MS = 10_000;
const TRACED_KEYS = Array.from({ length: 64 }, (_, index) => `way-${index}`);

export class Tour {
  readonly #world: World;
  readonly #findings: Findings;
  readonly #show: (text: string) => void;
  #members: Member[];
  #tracedKey = '';

  constructor(world: World, nodes: readonly NodeStatus[], findings: Findings, silent: boolean) {
    this.#world = world;
    this.#findings = findings;
    this.#show = silent ? () => undefined : print;
    this.#members = nodes.flatMap((node) => {
      const machine = world.machines.find((other) => other.name === node.name);
      return machine === undefined ? [] : [{ machine, node }];
    });
  }

  async ring(): Promise<void> {
    const nodes = this.#nodes();
    const picture = drawRing({ nodes, self: null, predecessor: null, successors: [], fingers: [] });
    const peers = await this.#tunnelPeers();
    const tunnels = [...peers.values()].reduce((sum, names) => sum + names.length, 0) / 2;
    this.#findings.tunnels = tunnels;
    const pairs = (nodes.length * (nodes.length - 1)) / 2;
    const text = [
      paint('bold', 'The ring'),
      '',
      `${nodes.length} nodes, clockwise by id.`,
      `Each keeps tunnels to its predecessor,`,
      `its ${this.#findings.successors} successors and its fingers:`,
      `${tunnels} tunnels, where ${pairs} would join all pairs.`,
      this.#findings.successors === 2 ? 'Successor lists are short (2) in this small VI,' : '',
      this.#findings.successors === 2 ? 'so that packets take more than one hop.' : '',
    ].join('\n');
    this.#show(`\n${beside(picture, text, 6)}\n`);
    const ranges = rangesOf(ringOrder(nodes));
    this.#show(
      table(
        ['NODE', 'ID', 'IPV4', 'RESPONSIBLE FOR (AFTER, UNTIL]', 'SHARE %', 'TUNNELS TO'],
        ranges.map(({ node, after, until }) => [
          node.name,
          formatId(node.id),
          node.ipv4,
          formatRange(after, until),
          shareOf(after, until),
          (peers.get(node.id) ?? []).join(' '),
        ]),
      ),
    );
    this.#show(
      `A node's IPv6 address, and a key's, is the VI's prefix ${nodes[0]?.vi.prefix ?? ''} with the id behind it.`,
    );
    const tables = await routeTables(this.#members.map(({ machine }) => machine));
    const { key, path } = longestPath(tables, TRACED_KEYS);
    this.#tracedKey = key;
    this.#findings.longestPath = path.map((id) => this.#nameOf(id));
  }

  /** Ping from node to node, and trace along the longest way to a key that the routes hold. */
  async reach(): Promise<void> {
    const [from, to] = [this.#findings.longestPath[0], this.#findings.longestPath.at(-1)];
    const source = this.#members.find(({ node }) => node.name === from);
    if (source === undefined || to === undefined || to === from) return;
    for (const family of ['-4', '-6']) {
      await this.#command(source, ['ping', to, family, '-c', '2', '-i', '0.2']);
    }
    await this.#command(source, ['trace', `key:${this.#tracedKey}`]);
  }

  async checkAll(): Promise<void> {
    const members = this.#members.slice(0, ALL_PAIRS_NODES_MAX);
    const { pings, faults } = await pingAllPairs(members);
    this.#findings.pings = pings;
    const keys = await Promise.all(members.map((member) => requestKeys(member, this.#members, KEYS_PER_NODE, 4)));
    this.#findings.keyRequests = keys.reduce((sum, { requests }) => sum + requests, 0);
    this.#findings.faults.push(...faults, ...keys.flatMap((result) => result.faults));
    this.#show(
      `\n${paint('bold', 'Checked')}: ${pings} pings between all pairs by IPv4 and IPv6, ${this.#findings.keyRequests} HTTP requests to random keys: ` +
        `${this.#findings.faults.length === 0 ? paint('green', 'all as the ring says') : paint('red', `${this.#findings.faults.length} faults`)}.`,
    );
  }

  /** A key is requested, the node that answers loses its power, and its successor answers. */
  async failover(): Promise<void> {
    const { client, key, owner, successor } = this.#chooseKey();
    const id = idOfKey(key);
    const address = keyAddressOf(client.node, id);
    const agent = await client.machine.agent();
    this.#show(`\n${paint('bold', 'A key')}: '${key}' has id ${formatId(id)} and address ${address}`);
    const before = await agent.fetchOne(address);
    this.#show(`  ${client.node.name}: GET http://[${address}]:8080/  →  ${said(before)}, ${before.ms.toFixed(1)} ms`);
    this.#expect(before.by, owner.node.name, `the key '${key}' before the failure`);
    this.#show(
      `  ${owner.node.name} loses its power: kill -9 of its resource and P2P daemons, and its cable is taken out.`,
    );
    await owner.machine.killDaemons();
    await this.#world.unplug(owner.machine);
    this.#members = this.#members.filter((member) => member !== owner);
    const ms = Math.round(await untilAnsweredBy(agent, address, successor.node.name, FAILOVER_MS));
    const after = await agent.fetchOne(address);
    this.#show(`  ${client.node.name}: GET http://[${address}]:8080/  →  ${said(after)}, ${ms} ms after the failure`);
    this.#expect(after.by, successor.node.name, `the key '${key}' after the failure`);
    this.#findings.failover = { key, died: owner.node.name, answers: successor.node.name, ms };
  }

  get survivors(): readonly Member[] {
    return this.#members;
  }

  /** Names of the nodes to which each has a tunnel that the ring of one of the two wants. */
  async #tunnelPeers(): Promise<Map<Id, string[]>> {
    const answers = await Promise.all(
      this.#members.map(async ({ machine }) => valueOf(await askRd(machine.run, { t: 'tunnels' }, 'tunnels'))),
    );
    const nodes = answers.flatMap((answer) => answer.nodes);
    const wanted = new Set(
      nodes.flatMap(({ id, tunnels }) =>
        tunnels.filter(({ uses }) => uses.length > 0).flatMap(({ peer }) => [`${id}-${peer}`, `${peer}-${id}`]),
      ),
    );
    return new Map(
      nodes.map(({ id, tunnels }) => [
        id,
        tunnels
          .filter(({ peer }) => wanted.has(`${id}-${peer}`))
          .map(({ peer }) => this.#nameOf(peer))
          .sort(),
      ]),
    );
  }

  #nodes(): NodeStatus[] {
    return this.#members.map(({ node }) => node);
  }

  #nameOf(id: Id): string {
    return this.#nodes().find((node) => node.id === id)?.name ?? formatId(id);
  }

  /** A key whose node is not the one that asks, nor, where there are enough nodes, is its successor. */
  #chooseKey(): { client: Member; key: string; owner: Member; successor: Member } {
    const ordered = ringOrder(this.#members.map((member) => ({ id: member.node.id, member })));
    for (let i = 1; i < 1000; i++) {
      const key = `greeting-${i}`;
      const at = ordered.findIndex(({ id }) => id === ownerOf(this.#nodes(), idOfKey(key))?.id);
      const owner = ordered[at]?.member;
      const successor = ordered[(at + 1) % ordered.length]?.member;
      const client = this.#members[0];
      if (owner === undefined || successor === undefined || client === undefined || owner === client) continue;
      if (successor !== client || ordered.length === 2) return { client, key, owner, successor };
    }
    throw new OverlayError('INTERNAL', 'No key was found for the demo.');
  }

  async #command(member: Member, args: readonly string[]): Promise<void> {
    const started = systemClock.now();
    const { code, stdout, stderr } = await member.machine.command([...args, '--run', member.machine.run]);
    this.#show(`\n${paint('dim', `${member.node.name}$ p2pxbone ${args.join(' ')}`)}\n${stdout.trim()}`);
    if (code === 0) return;
    const took = Math.round(systemClock.now() - started);
    this.#findings.faults.push(
      `'${args.join(' ')}' on ${member.node.name} ended with ${code} after ${took} ms: ${stderr.trim()}`,
    );
  }

  #expect(actual: string | null, expected: string, what: string): void {
    if (actual !== expected)
      this.#findings.faults.push(`${what} is answered by ${actual ?? 'nobody'} instead of ${expected}`);
  }
}

function said(fetched: { readonly by: string | null; readonly error: string | null }): string {
  return fetched.by === null ? paint('red', fetched.error ?? '') : `answered by ${paint('bold', fetched.by)}`;
}
