/** The virtual nodes of this base node: joining and leaving VIs, coming back after a restart. */
import { hostname } from 'node:os';
import { fail } from '../../overlay/errors.ts';
import { parseInvitation } from '../../overlay/invitation.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { ToControl } from '../../overlay/messages/control.ts';
import type { JoinResponse } from '../../overlay/om-api.ts';
import { createOmClient } from '../../overlay/om-client.ts';
import { inBackground } from './background.ts';
import { clashOf, inSameNamespace } from './clashes.ts';
import type { Membership } from './files.ts';
import type { Host } from './host.ts';
import { type Farewell, HostedNode } from './hosted-node.ts';
import { certificateFingerprint, createRequest } from './identity.ts';
import { udpPortsInUse } from './kernel.ts';
import { isNamespaceName, nodeNameOf } from './names.ts';

/** How long a node may look for its place on the ring. */
const RING_MS = 60_000;
const OM_ANSWER_MS = 10_000;
/** Wait before a node that could not come up is tried again; doubled with each failure. */
const RETRY_MS = 1000;
const RETRY_MS_MAX = 60_000;
const PORT_MAX = 65_535;
const NODE_NAME_MAX = 32;

export type JoinOrder = Omit<ToControl & { t: 'join' }, 't'>;

export class Members {
  readonly #host: Host;
  readonly #nodes = new Set<HostedNode>();
  /** Called before the first node comes up: the data plane may have to be made for its VI's timers. */
  readonly #prepare: (vi: Membership['vi'], others: number) => Result<void>;
  /** One join at a time finds names, ports and tables free that stay so. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #retries = new Map<HostedNode, NodeJS.Timeout>();
  #isStopping = false;

  constructor(host: Host, prepare: (vi: Membership['vi'], others: number) => Result<void>) {
    this.#host = host;
    this.#prepare = prepare;
  }

  all(): IterableIterator<HostedNode> {
    return this.#nodes.values();
  }

  /** Those of a VI, by its name or id; all where none is named. */
  of(vi: string | undefined): HostedNode[] {
    return [...this.#nodes].filter((node) => vi === undefined || node.membership.vi.name === vi || node.vi === vi);
  }

  /** Reads the memberships of an earlier life. P2P daemons that outlived it are known from now on. */
  load(): void {
    const { found, unreadable } = this.#host.data.memberships();
    for (const directory of unreadable) {
      this.#host.log.error({ directory }, 'a membership cannot be read; it is left alone');
    }
    for (const membership of found) {
      try {
        this.#add(membership);
      } catch (error) {
        const { vi, name } = membership;
        const problem = (error as Error).message;
        this.#host.log.error({ vi: vi.name, member: name, problem }, 'a membership cannot be used; it is left alone');
      }
    }
  }

  /** Brings back the nodes that were loaded. What fails stays listed with its problem, and is tried again later. */
  resume(): Promise<void> {
    const { kernel } = this.#host;
    return this.#inTurn(async () => {
      const loaded = [...this.#nodes];
      await kernel.cleanLeftovers(new Set(loaded.flatMap(({ membership }) => membership.netns ?? [])));
      for (const node of loaded) await this.#revive(node, RETRY_MS);
    });
  }

  async #revive(node: HostedNode, retryMs: number): Promise<void> {
    const opened = await this.#open(node);
    if (opened.ok) return;
    const { vi, name } = node.membership;
    const problem = opened.message;
    this.#host.log.error({ vi: vi.name, member: name, problem, retryMs }, 'a virtual node cannot come up');
    await node.abandon(`The node cannot come up: ${problem}`);
    if (this.#isStopping) return;
    const again = (): Promise<void> => this.#inTurn(() => this.#retry(node, retryMs));
    this.#retries.set(
      node,
      setTimeout(() => inBackground(again(), this.#host.log), retryMs),
    );
  }

  /** In place of one that was abandoned, unless it has left meanwhile. */
  async #retry(abandoned: HostedNode, retryMs: number): Promise<void> {
    this.#retries.delete(abandoned);
    if (this.#isStopping || abandoned.isUp || !this.#nodes.delete(abandoned)) return;
    await this.#revive(this.#add(abandoned.membership), Math.min(retryMs * 2, RETRY_MS_MAX));
  }

  async join(order: JoinOrder, progress: (step: string) => void): Promise<Result<HostedNode>> {
    const opened = await this.#inTurn(() => this.#admit(order, progress));
    if (!opened.ok) return opened;
    const node = opened.value;
    progress('finding the place on the ring');
    const placed = await node.untilOnRing(RING_MS, (phase) => {
      if (phase !== 'starting') progress(`on the ring: ${phase}`);
    });
    if (placed.ok) return ok(node);
    // Somebody else may have taken it down meanwhile.
    if (this.#isStopping || node.isClosing) return placed;
    await this.#close(node, 'leave');
    return placed;
  }

  /** `vi`: name or id. `netns`: '' is the daemon's own namespace; undefined where the VI has one node here. */
  async leave(vi: string, netns: string | undefined): Promise<Result<void>> {
    // Nodes that are just coming up are waited for.
    await this.#turn;
    if (this.#isStopping) return stopping();
    const matching = this.of(vi).filter((node) => netns === undefined || (node.membership.netns ?? '') === netns);
    const [node, another] = matching;
    if (node === undefined) {
      const where = netns === undefined ? 'here' : netns === '' ? "in the host's own namespace" : `in '${netns}'`;
      return fail('NOT_FOUND', `No node of '${vi}' is ${where}; 'p2pxbone status' lists them.`);
    }
    if (another !== undefined) {
      const options = "--netns NAME, --host for the one in the host's own namespace, or the VI's id";
      return fail('CONFLICT', `Several nodes of '${vi}' are here; say which with ${options}.`);
    }
    const told = await this.#close(node, 'leave');
    if (told.ok) return told;
    return fail(told.code, `The node has left, but its overlay manager was not told: ${told.message}`);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const timer of this.#retries.values()) clearTimeout(timer);
    // A node that is just coming up can be taken down only when it is up.
    await this.#turn;
    // What was never opened, as when the start failed, is left as it was found.
    const opened = [...this.#nodes].filter((node) => node.isUp);
    await Promise.all(opened.map((node) => this.#close(node, 'stop')));
    for (const node of this.#nodes) node.om.close();
  }

  /** Where it is being taken down already, that is waited for. */
  async #close(node: HostedNode, why: Farewell): Promise<Result<void>> {
    clearTimeout(this.#retries.get(node));
    this.#retries.delete(node);
    const closed = await node.close(why);
    this.#nodes.delete(node);
    return closed;
  }

  #add(membership: Membership): HostedNode {
    const node = new HostedNode(this.#host, membership, () => this.#removed(node));
    this.#nodes.add(node);
    return node;
  }

  #removed(node: HostedNode): void {
    const { vi, name } = node.membership;
    const text = 'the overlay manager has removed this node from its VI; taking it down';
    this.#host.log.warn({ vi: vi.name, member: name }, text);
    inBackground(this.#close(node, 'removed'), this.#host.log);
  }

  async #open(node: HostedNode): Promise<Result<HostedNode>> {
    if (this.#isStopping) return stopping();
    const others = [...this.#nodes].filter((other) => other.isUp).length;
    const prepared = this.#prepare(node.membership.vi, others);
    const opened = prepared.ok ? await node.open() : prepared;
    return opened.ok ? ok(node) : opened;
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task);
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** From the invitation to a node that is up. */
  async #admit(order: JoinOrder, progress: (step: string) => void): Promise<Result<HostedNode>> {
    const checked = this.#check(order);
    if (!checked.ok) return checked;
    const { invitation, name } = checked.value;
    const { data, identity, log } = this.#host;
    const { host, port, caFingerprint, vi } = invitation;
    const taken = this.#takenBy(vi, caFingerprint, name, order.netns ?? null);
    if (!taken.ok) return taken;
    progress('asking the overlay manager');
    const client = createOmClient({ host, port, caFingerprint, timeoutMs: OM_ANSWER_MS });
    const csr = await createRequest(identity.privateKeyPem, name);
    const secret = Buffer.from(invitation.secret).toString('base64');
    const wanted = order.groups ?? this.#host.config.groups;
    const groups = wanted === undefined ? {} : { groups: wanted };
    const answer = await client.join({ vi, secret, name, csr, ...groups });
    client.close();
    if (!answer.ok) return answer;
    const membership = await this.#membershipOf(answer.value, { host, port }, order.netns ?? null);
    const conflict = clashOf(membership, this.#memberships());
    const saved = conflict.ok ? this.#save(membership, answer.value) : conflict;
    progress('creating the interface');
    const opened = saved.ok ? await this.#openFirst(membership) : saved;
    if (opened.ok) return opened;
    const undone = await this.#forget(membership);
    if (!undone.ok)
      log.warn({ problem: undone.message }, 'the overlay manager still lists a node that did not come up');
    data.removeMembership(membership);
    return opened;
  }

  /** With the revocation list that came with it, by which the node goes from its first handshake on. */
  #save(membership: Membership, { revocations }: JoinResponse): Result<void> {
    const { data } = this.#host;
    const saved = data.saveMembership(membership);
    return saved.ok && revocations !== null ? data.saveRevocations(membership, revocations.list) : saved;
  }

  async #openFirst(membership: Membership): Promise<Result<HostedNode>> {
    const node = this.#add(membership);
    const opened = await this.#open(node);
    if (opened.ok) return opened;
    this.#nodes.delete(node);
    await node.abandon(opened.message);
    return opened;
  }

  /** What can be refused without asking anybody. */
  #check(
    order: JoinOrder,
  ): Result<{ invitation: (ReturnType<typeof parseInvitation> & { ok: true })['value']; name: string }> {
    const parsed = parseInvitation(order.invitation);
    if (!parsed.ok) return parsed;
    if (parsed.value.expires * 1000 <= systemClock.wall()) return fail('INVITATION_EXPIRED');
    if (order.netns !== undefined && !isNamespaceName(order.netns)) {
      return fail('BAD_ARGUMENT', `'${order.netns}' cannot be the name of a network namespace.`);
    }
    if (this.#isStopping) return stopping();
    if (this.#nodes.size >= this.#host.config.nodesMax) {
      return fail('LIMIT_REACHED', `${this.#nodes.size} virtual nodes are here, as many as nodesMax allows; raise it.`);
    }
    return ok({ invitation: parsed.value, name: order.name ?? this.#defaultName(parsed.value.vi) });
  }

  /** The host's name, numbered where several nodes of a VI are on one machine. */
  #defaultName(vi: string): string {
    const taken = new Set(this.of(vi).map(({ membership }) => membership.name));
    const base = nodeNameOf(hostname());
    for (let number = 1; ; number++) {
      const suffix = number === 1 ? '' : `-${number}`;
      const name = base.slice(0, NODE_NAME_MAX - suffix.length) + suffix;
      if (!taken.has(name)) return name;
    }
  }

  /** A node of that VI that is here already and would be in the way: known without using up the invitation. */
  #takenBy(vi: string, caFingerprint: Uint8Array, name: string, netns: string | null): { ok: true } | Result<never> {
    const ca = Buffer.from(caFingerprint).toString('hex');
    for (const { membership } of this.#nodes) {
      if (membership.vi.name !== vi || certificateFingerprint(membership.ca) !== ca) continue;
      if (membership.netns === netns) return inSameNamespace(vi);
      if (membership.name === name) {
        return fail('DUPLICATE_NAME', `A node '${name}' of '${vi}' is on this machine already; choose another name.`);
      }
    }
    return { ok: true };
  }

  async #membershipOf(answer: JoinResponse, om: Membership['om'], netns: string | null): Promise<Membership> {
    const { vi, name, id, ipv4, ipv6, groups, certificate, ca } = answer;
    const p2pdPort = await this.#freePort(vi.definition.p2pdPort, netns);
    const empty = { incarnation: 0, pairs: [], leasedUntil: 0, peers: [] };
    return { om, vi, name, id, ipv4, ipv6, groups, certificate, ca, netns, p2pdPort, ...empty };
  }

  async #freePort(from: number, netns: string | null): Promise<number> {
    const taken = await udpPortsInUse(netns);
    for (const { membership } of this.#nodes) if (membership.netns === netns) taken.add(membership.p2pdPort);
    let port = from;
    while (taken.has(port) && port < PORT_MAX) port += 1;
    return port;
  }

  #memberships(): Membership[] {
    return [...this.#nodes].map(({ membership }) => membership);
  }

  async #forget(membership: Membership): Promise<Result<void>> {
    const { om, ca, certificate } = membership;
    const clientCertificate = { certPem: certificate, keyPem: this.#host.identity.privateKeyPem };
    const client = createOmClient({ ...om, caPem: ca, clientCertificate, timeoutMs: OM_ANSWER_MS });
    const told = await client.leave();
    client.close();
    return told;
  }
}

function stopping(): Result<never> {
  return fail('NOT_READY', 'The resource daemon is stopping.');
}
