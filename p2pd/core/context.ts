/** What every part of a node shares: the time, randomness, who we are, and the way out. */
import { type Cidr, formatAddress, idAddress, parseAddress, parseCidr } from '../../overlay/addresses.ts';
import type { NodeRecord } from '../../overlay/fields.ts';
import type { Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import type { Rng } from '../../overlay/lib/rng.ts';
import type { P2pdMessage } from '../../overlay/messages/p2pd-p2pd.ts';
import type { ToRd } from '../../overlay/messages/p2pd-rd.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import type { Drop, Endpoint, Output, Unsigned } from './io.ts';

export type Sender = (output: Output) => void;

export class Context {
  readonly vi: ViConfig;
  readonly rng: Rng;
  readonly port: number;
  /** Length of the successor list. */
  readonly r: number;
  /** Our own record; its contact and incarnation may be renewed. */
  self: NodeRecord;
  now: Millis;
  /** Whether the resource daemon is connected and has welcomed us; without it nothing can be known of neighbours. */
  connected = true;
  readonly drops = new Map<Drop, number>();
  readonly #prefix: Cidr;
  readonly #emit: Sender;

  constructor(options: { vi: ViConfig; rng: Rng; port: number; self: NodeRecord; now: Millis; emit: Sender }) {
    this.vi = options.vi;
    this.rng = options.rng;
    this.port = options.port;
    this.r = options.vi.definition.successors;
    this.self = options.self;
    this.now = options.now;
    this.#emit = options.emit;
    const prefix = parseCidr(options.vi.prefix);
    if (prefix === undefined) throw new Error('the VI has no valid prefix');
    this.#prefix = prefix;
  }

  get id(): Id {
    return this.self.id;
  }

  get timers(): ViConfig['definition']['timers'] {
    return this.vi.definition.timers;
  }

  /** To the resource daemon; lost while it is away, since everything is repeated when it returns. */
  toRd(message: ToRd): void {
    if (this.connected) this.#emit({ kind: 'rd', message });
  }

  send(to: Endpoint, message: Unsigned): void {
    const signed = { ...message, id: this.self.id, incarnation: this.self.incarnation } as P2pdMessage;
    this.#emit({ kind: 'datagram', to, message: signed });
  }

  /** The stable address of a node of this VI. */
  addressOf(id: Id): string {
    return idAddress(this.#prefix, id);
  }

  /** A fresh number for a question. */
  query(): number {
    return this.rng.uint32();
  }

  drop(reason: Drop): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1);
  }
}

/** The one spelling of an address under which it can be compared. */
export function canonical(address: string): string {
  const bytes = parseAddress(address);
  return bytes === undefined ? address : formatAddress(bytes);
}

/** The earlier of two instants either of which may be absent. */
export function earlier(a: Millis | undefined, b: Millis | undefined): Millis | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return a < b ? a : b;
}
