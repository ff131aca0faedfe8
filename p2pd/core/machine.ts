/**
 * The P2P daemon without its sockets and clocks: give it inputs and the time, drain `poll` after each, call it again at
 * `deadline`. Network input never throws.
 */
import { type Id, toId } from '../../overlay/id.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import type { Rng } from '../../overlay/lib/rng.ts';
import { P2PD_RD_VERSION, type ToP2pd } from '../../overlay/messages/p2pd-rd.ts';
import { Context, earlier } from './context.ts';
import type { Drop, Input, Output } from './io.ts';
import { RD_GONE_MS } from './limits.ts';
import { VirtualNode } from './node.ts';

export type MachineOptions = {
  /** The VI's id string. */
  readonly vi: string;
  readonly node: Id;
  readonly rng: Rng;
};

export class Machine {
  readonly #options: MachineOptions;
  readonly #instance: Id;
  #outputs: Output[] = [];
  #next = 0;
  #context: Context | undefined;
  #node: VirtualNode | undefined;
  #goneAt: Millis | undefined;
  #over = false;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.#instance = toId((BigInt(options.rng.uint32()) << 32n) | BigInt(options.rng.uint32()));
  }

  /** The node behind it, once welcomed; for tests and tools, not to be written to. */
  get node(): VirtualNode | undefined {
    return this.#node;
  }

  /** Inputs not acted upon, by reason. */
  get drops(): ReadonlyMap<Drop, number> {
    return this.#context?.drops ?? new Map();
  }

  handle(input: Input, now: Millis): void {
    if (this.#over) return;
    if (this.#context !== undefined) this.#context.now = now;
    switch (input.kind) {
      case 'rd.up':
        this.#goneAt = undefined;
        this.#hello();
        break;
      case 'rd.down':
        this.#goneAt ??= now;
        if (this.#context !== undefined) this.#context.connected = false;
        if (this.#node?.leaving === true) this.#exit('the resource daemon went while leaving');
        break;
      case 'rd':
        this.#onRd(input.message, now);
        break;
      case 'datagram':
        if (this.#context?.connected === true) this.#node?.onDatagram(input.from, input.message);
        break;
      case 'leave':
        if (this.#node === undefined) this.#exit('left before joining', false);
        else this.#node.leave();
        break;
      case 'tick':
        break;
    }
    if (this.#goneAt !== undefined && after(this.#goneAt, RD_GONE_MS) <= now) this.#exit('the resource daemon is gone');
    if (!this.#over) this.#node?.settle();
  }

  poll(): Output | undefined {
    const output = this.#outputs[this.#next];
    if (output === undefined) {
      this.#outputs = [];
      this.#next = 0;
      return undefined;
    }
    this.#next++;
    return output;
  }

  deadline(): Millis | undefined {
    if (this.#over) return undefined;
    const gone = this.#goneAt === undefined ? undefined : after(this.#goneAt, RD_GONE_MS);
    return earlier(gone, this.#node?.due());
  }

  #hello(): void {
    this.#outputs.push({
      kind: 'rd',
      message: {
        t: 'hello',
        version: P2PD_RD_VERSION,
        vi: this.#options.vi,
        node: this.#options.node,
        instance: this.#instance,
        generation: this.#node?.generation ?? 0,
      },
    });
  }

  #onRd(message: ToP2pd, now: Millis): void {
    if (message.t === 'refused') return this.#exit(`refused by the resource daemon: ${message.message}`);
    if (message.t === 'welcome') return this.#onWelcome(message, now);
    if (this.#context?.connected === true) this.#node?.onRd(message);
  }

  #onWelcome(message: Extract<ToP2pd, { t: 'welcome' }>, now: Millis): void {
    if (message.version !== P2PD_RD_VERSION) return this.#exit('the resource daemon speaks another protocol version');
    if (message.node.id !== this.#options.node || message.vi.id !== this.#options.vi) {
      return this.#exit('the resource daemon serves another node');
    }
    if (this.#context === undefined) {
      this.#context = new Context({
        vi: message.vi,
        rng: this.#options.rng,
        port: message.port,
        self: message.node,
        now,
        emit: (output) => this.#outputs.push(output),
      });
      this.#node = new VirtualNode(this.#context, () => this.#onLeft());
      this.#outputs.push({ kind: 'listen', port: message.port });
    }
    this.#context.self = message.node;
    this.#context.connected = true;
    this.#node?.welcome(message);
  }

  #onLeft(): void {
    this.#context?.toRd({ t: 'left' });
    this.#exit('left the ring', false);
  }

  #exit(reason: string, failed = true): void {
    if (this.#over) return;
    this.#over = true;
    this.#outputs.push({ kind: 'exit', reason, failed });
  }
}
