/** Sockets and clock around the machine. */
import { randomBytes } from 'node:crypto';
import { EXIT, type ExitCode } from '../../overlay/errors.ts';
import type { Id } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import type { Rng } from '../../overlay/lib/rng.ts';
import type { Input, Output } from '../core/io.ts';
import { Machine } from '../core/machine.ts';
import { Datagrams } from './datagrams.ts';
import { RdLink } from './rd-link.ts';

export type DaemonOptions = {
  /** Unix socket of the resource daemon. */
  readonly socketPath: string;
  readonly vi: string;
  readonly node: Id;
  readonly log: Log;
};

const systemRng: Rng = { uint32: () => randomBytes(4).readUInt32BE() };

/** Longest wait of a timer of the system, milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class Daemon {
  readonly #machine: Machine;
  readonly #log: Log;
  readonly #rd: RdLink;
  readonly #datagrams: Datagrams;
  #timer: NodeJS.Timeout | undefined;
  #phase = '';

  constructor(options: DaemonOptions) {
    this.#log = options.log;
    this.#machine = new Machine({ vi: options.vi, node: options.node, rng: systemRng });
    this.#datagrams = new Datagrams((from, message) => this.#handle({ kind: 'datagram', from, message }), options.log);
    this.#rd = new RdLink(
      options.socketPath,
      {
        up: () => this.#handle({ kind: 'rd.up' }),
        down: () => {
          this.#log.warn('the resource daemon is gone; waiting for it');
          this.#handle({ kind: 'rd.down' });
        },
        message: (message) => this.#handle({ kind: 'rd', message }),
      },
      options.log,
    );
  }

  start(): void {
    // Without any connection the machine must still come to its end.
    this.#handle({ kind: 'rd.down' });
    this.#rd.open();
  }

  #handle(input: Input): void {
    this.#machine.handle(input, systemClock.now());
    for (let output = this.#machine.poll(); output !== undefined; output = this.#machine.poll()) this.#carryOut(output);
    this.#arm();
  }

  #carryOut(output: Output): void {
    switch (output.kind) {
      case 'rd':
        if (output.message.t === 'ring.report' && output.message.phase !== this.#phase) {
          this.#phase = output.message.phase;
          this.#log.info({ phase: this.#phase }, 'ring');
        }
        return this.#rd.send(output.message);
      case 'datagram':
        return this.#datagrams.send(output.to, output.message);
      case 'listen':
        return this.#datagrams.listen(output.port, (reason) => this.#end(EXIT.failed, reason));
      case 'exit':
        return this.#end(output.failed ? EXIT.failed : EXIT.done, output.reason);
    }
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const deadline = this.#machine.deadline();
    if (deadline === undefined) return;
    const ms = Math.min(Math.max(0, Math.ceil(deadline - systemClock.now())), TIMER_MS_MAX);
    this.#timer = setTimeout(() => this.#handle({ kind: 'tick' }), ms);
  }

  #end(code: ExitCode, reason: string): void {
    const drops = { ...Object.fromEntries(this.#machine.drops), malformed: this.#datagrams.refused };
    this.#log.info({ reason, drops }, 'P2P daemon ends');
    this.#rd.close(() => process.exit(code));
  }
}
