/** The P2P daemons of all simulated machines: started, fed and obeyed as their driver would. */

import { seededRng } from '../../overlay/lib/rng.ts';
import { P2PD_DATAGRAM_BYTES_MAX, type P2pdMessage, p2pdCodec } from '../../overlay/messages/p2pd-p2pd.ts';
import { type ToRd, toRdCodec } from '../../overlay/messages/p2pd-rd.ts';
import type { Endpoint, Input } from '../../p2pd/core/io.ts';
import { Machine } from '../../p2pd/core/machine.ts';
import type { SessionRef } from '../../rd/core/io.ts';
import type { P2pdPacket } from './data-plane.ts';
import { KIND } from './events.ts';
import { DEFERRED_MAX, type Deferred, NODE, type SimNode, SOCKET_MS } from './sim-node.ts';
import { overTheWire } from './wire.ts';
import type { World } from './world.ts';

/** Starting a daemon's process, milliseconds. */
const SPAWN_MS = 250;

export class P2pDaemons {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** Its process begins, and finds the resource daemon's socket. */
  start(node: SimNode): void {
    if (node.machine !== undefined) return;
    node.p2pdLife++;
    node.p2pdWake = Number.POSITIVE_INFINITY;
    node.exited = undefined;
    node.isP2pdPaused = node.isRdPaused;
    node.deferredP2pd = [];
    const rng = seededRng(this.#world.rng.uint32());
    node.machine = new Machine({ vi: this.#world.vi.id, node: node.id, rng });
    this.connect(node);
  }

  connect(node: SimNode): void {
    node.connected = true;
    node.session++;
    this.input(node, { kind: 'rd.up' });
  }

  /** Its process is killed. */
  end(node: SimNode): void {
    if (node.machine === undefined) return;
    node.machine = undefined;
    node.p2pdLife++;
    node.deferredP2pd = [];
    this.#disconnect(node);
  }

  #disconnect(node: SimNode): void {
    if (!node.connected) return;
    node.connected = false;
    this.#world.resourceDaemons.input(node, { kind: 'p2pd.closed', node: NODE, session: node.session as SessionRef });
  }

  /** Hands it an input, and does what it says. */
  input(node: SimNode, input: Input): void {
    const { machine } = node;
    if (machine === undefined) return;
    machine.handle(input, node.clockAt(this.#world.now));
    for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
      switch (output.kind) {
        case 'rd':
          this.#toRd(node, output.message);
          break;
        case 'datagram':
          this.#send(node, output.to, output.message);
          break;
        case 'listen':
          break;
        case 'exit':
          this.#exited(node, output.reason, output.failed);
          break;
      }
    }
    this.arm(node);
    this.#world.watch.touched?.(node);
  }

  #exited(node: SimNode, reason: string, failed: boolean): void {
    // What it said before is read before its end is noticed.
    this.#world.post(2 * SOCKET_MS + node.lagMs, KIND.CALL, node.index, node.p2pdLife, (life: number) => {
      if (node.p2pdLife !== life) return;
      this.end(node);
      node.exited = reason;
      if (failed && node.rd !== undefined) this.#world.post(SPAWN_MS, KIND.START_P2PD, node.index, node.rdLife);
    });
    node.exited = reason;
  }

  #toRd(node: SimNode, message: ToRd): void {
    if (!node.connected) return;
    this.#world.trace.note(message.t);
    if (message.t === 'measure') this.#world.measurements++;
    const carried = this.#world.options.wire === true ? overTheWire(toRdCodec, toRdCodec.encode(message)) : message;
    node.toRdFrom = Math.max(node.toRdFrom, this.#world.now + SOCKET_MS + node.lagMs);
    this.#world.queue.push(node.toRdFrom, KIND.TO_RD, node.index, node.session, carried);
  }

  /** Sees to it that its deadline is kept. */
  arm(node: SimNode): void {
    const deadline = node.machine?.deadline();
    if (deadline === undefined) return;
    const at = Math.max(node.timeOf(deadline), this.#world.now) + node.lagMs;
    if (at >= node.p2pdWake) return;
    node.p2pdWake = at;
    this.#world.queue.push(at, KIND.P2PD_TIMER, node.index, node.p2pdLife);
  }

  onTimer(node: SimNode, life: number): void {
    if (node.p2pdLife !== life || this.#world.now < node.p2pdWake) return;
    node.p2pdWake = Number.POSITIVE_INFINITY;
    if (node.isP2pdPaused) return;
    const deadline = node.machine?.deadline();
    if (deadline === undefined || node.timeOf(deadline) > this.#world.now) return this.arm(node);
    node.reached(deadline);
    this.input(node, { kind: 'tick' });
  }

  /** Keeps the event for one that stands still; false where it does not. */
  defers(node: SimNode, kind: number, extra: number, body: unknown): boolean {
    if (node.isP2pdPaused) node.deferredP2pd.push({ kind, extra, body } satisfies Deferred);
    return node.isP2pdPaused;
  }

  #send(node: SimNode, to: Endpoint, message: P2pdMessage): void {
    this.#world.datagrams++;
    this.#world.trace.note(message.t);
    this.#world.watch.sent?.(message);
    if (this.#world.options.wire !== true) return this.#world.planes.send(node, to, message);
    const bytes = p2pdCodec.encode(message);
    this.#world.bytesMax = Math.max(this.#world.bytesMax, bytes.length);
    if (bytes.length > P2PD_DATAGRAM_BYTES_MAX) {
      throw new Error(`seed ${this.#world.seed}: a ${message.t} of ${bytes.length} bytes does not fit into a datagram`);
    }
    this.#world.planes.send(node, to, overTheWire(p2pdCodec, bytes));
  }

  /** A datagram has come out of the tunnels at its machine. */
  deliver(node: SimNode, packet: P2pdPacket): void {
    if (packet.port !== this.#world.vi.definition.p2pdPort || node.machine === undefined) return;
    const { from, message, port } = packet;
    if (node.isP2pdPaused) {
      if (node.deferredP2pd.length < DEFERRED_MAX) {
        node.deferredP2pd.push({ kind: KIND.CALL, extra: 0, body: () => this.deliver(node, packet) });
      }
      return;
    }
    this.input(node, { kind: 'datagram', from: { address: from, port }, message });
  }
}
