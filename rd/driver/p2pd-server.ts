/** The socket on which P2P daemons find their resource daemon. */
import type { Server, Socket } from 'node:net';
import type { PeerCredentials } from '../../native/index.ts';
import { formatId } from '../../overlay/id.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { type ToP2pd, type ToRd, toP2pdCodec, toRdCodec } from '../../overlay/messages/p2pd-rd.ts';
import type { SessionRef } from '../core/io.ts';
import { Complaints } from './complaints.ts';
import type { Engine, SessionActions } from './engine.ts';
import type { HostedNode } from './hosted-node.ts';
import { MessageSocket } from './message-socket.ts';
import { closeServer, listenUnix } from './unix-server.ts';

/** A caller that has not said hello by then is cut off. */
const HELLO_MS = 5000;

type Session = {
  readonly socket: MessageSocket<ToRd, ToP2pd>;
  readonly credentials: PeerCredentials;
  readonly timer: NodeJS.Timeout;
  node: HostedNode | undefined;
};

export type P2pdServerOptions = {
  readonly path: string;
  /** Under which P2P daemons run. */
  readonly uid: number;
  readonly connectionsMax: number;
  readonly engine: Engine;
  readonly nodes: () => Iterable<HostedNode>;
  readonly log: Log;
};

export class P2pdServer implements SessionActions {
  readonly #options: P2pdServerOptions;
  readonly #complaints: Complaints;
  readonly #sessions = new Map<SessionRef, Session>();
  #server: Server | undefined;
  #last = 0;
  /** Connections refused: wrong user, wrong process, no hello, garbage. */
  refused = 0;

  constructor(options: P2pdServerOptions) {
    this.#options = options;
    this.#complaints = new Complaints(options.log);
    options.engine.sessions = this;
  }

  async listen(): Promise<Result<void>> {
    const { path, connectionsMax } = this.#options;
    const server = await listenUnix({
      path,
      // Anybody may knock; who is not the P2P daemon of a node is not let in.
      mode: 0o666,
      connectionsMax,
      onConnection: (socket, credentials) => this.#accept(socket, credentials),
      onRefused: () => {
        this.refused += 1;
      },
    });
    if (!server.ok) return server;
    this.#server = server.value;
    return ok();
  }

  send(session: SessionRef, { message }: { readonly message: ToP2pd }): void {
    const { socket, node } = this.#sessions.get(session) ?? {};
    if (socket === undefined) return;
    if (node === undefined) this.#send(socket, message);
    else node.whenSettled(() => this.#send(socket, message));
  }

  close(session: SessionRef): void {
    const { socket, node } = this.#sessions.get(session) ?? {};
    if (node === undefined) socket?.end();
    else node.whenSettled(() => socket?.end());
  }

  /** A message that cannot be written is ours to repair; the others still go out. */
  #send(socket: Session['socket'], message: ToP2pd): void {
    this.#trace('to', message);
    try {
      socket.send(message);
    } catch (error) {
      this.#options.log.error({ message: message.t, error: (error as Error).stack }, 'a message could not be sent');
    }
  }

  #trace(way: 'to' | 'from', message: ToP2pd | ToRd): void {
    const key = message.t === 'tunnel.up' ? message.tunnel.key : 'key' in message ? message.key : undefined;
    this.#options.log.trace({ [way]: message.t, ...(key === undefined ? {} : { key: formatId(key) }) }, 'P2P daemon');
  }

  async stop(): Promise<void> {
    for (const { socket } of this.#sessions.values()) socket.destroy();
    if (this.#server !== undefined) await closeServer(this.#server);
  }

  #accept(socket: Socket, credentials: PeerCredentials): void {
    if (credentials.uid !== this.#options.uid) return this.#turnAway(socket, credentials, 'another user');
    const ref = ++this.#last as SessionRef;
    const wrapped = new MessageSocket<ToRd, ToP2pd>(socket, toRdCodec, toP2pdCodec, {
      message: (message) => this.#message(ref, message),
      garbage: (failure) => {
        this.refused += 1;
        this.#complaints.warn({ pid: credentials.pid, problem: failure.message }, 'P2P daemon cut off');
      },
      closed: () => this.#closed(ref),
    });
    const timer = setTimeout(() => {
      this.refused += 1;
      wrapped.destroy();
    }, HELLO_MS);
    this.#sessions.set(ref, { socket: wrapped, credentials, timer, node: undefined });
  }

  #turnAway(socket: Socket, { pid, uid }: PeerCredentials, why: string): void {
    this.refused += 1;
    this.#complaints.warn({ pid, uid, why }, 'caller of the P2P daemons’ socket turned away');
    socket.destroy();
  }

  #message(ref: SessionRef, message: ToRd): void {
    const session = this.#sessions.get(ref);
    if (session === undefined) return;
    if (session.node === undefined && !this.#hello(session, message)) {
      session.socket.end();
      return;
    }
    this.#trace('from', message);
    const { node } = session;
    // A hello may come while the interface is being made.
    node?.whenReady(() => {
      if (!this.#sessions.has(ref)) return;
      this.#options.engine.input({ kind: 'p2pd', node: node.ref, session: ref, message });
    });
  }

  /** Only the process that was started for a node may speak for it. */
  #hello(session: Session, message: ToRd): boolean {
    clearTimeout(session.timer);
    if (message.t !== 'hello') {
      this.refused += 1;
      return false;
    }
    const { pid } = session.credentials;
    const name = formatId(message.node);
    const node = [...this.#options.nodes()].find(({ vi, membership }) => vi === message.vi && membership.id === name);
    if (node === undefined || node.p2pd.pid !== pid) {
      const text =
        node === undefined ? 'There is no such virtual node here.' : 'Another process is the P2P daemon of this node.';
      session.socket.send({ t: 'refused', code: node === undefined ? 'NOT_FOUND' : 'NOT_PERMITTED', message: text });
      this.refused += 1;
      this.#complaints.warn({ pid, vi: message.vi, node: name }, text);
      return false;
    }
    session.node = node;
    node.connected();
    return true;
  }

  #closed(ref: SessionRef): void {
    const session = this.#sessions.get(ref);
    this.#sessions.delete(ref);
    if (session === undefined) return;
    clearTimeout(session.timer);
    const { node } = session;
    if (node === undefined) return;
    this.#options.engine.input({ kind: 'p2pd.closed', node: node.ref, session: ref });
    if (![...this.#sessions.values()].some((other) => other.node === node)) node.disconnected();
  }
}
