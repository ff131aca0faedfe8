/** TCP connections between namespaces, both ends of which are in the hands of a test. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RouterLab } from './router.ts';

const PROGRAM = fileURLToPath(new URL('programs/sockets.ts', import.meta.url));
const WAIT_MS = 5000;

/** One end of a connection: what has come, and whether it is over. */
export class End {
  readonly #socket: Socket;
  #got = Buffer.alloc(0);
  #read = 0;
  #over = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#got = Buffer.concat([this.#got, data]);
    });
    const over = (): void => void (this.#over = true);
    socket.on('error', over).on('end', over).on('close', over);
  }

  send(bytes: Uint8Array | string): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** Sends the parts as segments of their own. */
  async sendApart(...parts: readonly (Uint8Array | string)[]): Promise<void> {
    for (const part of parts) {
      this.send(part);
      await setTimeout(30);
    }
  }

  end(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** All that has come so far. */
  get got(): Buffer {
    return this.#got;
  }

  /** The other end has ended it, or it was cut. */
  get isOver(): boolean {
    return this.#over;
  }

  /** The next bytes, so many; fewer if there are no more, or none come in time. */
  async read(bytes: number, waitMs = WAIT_MS): Promise<Buffer> {
    await this.#until(() => this.#got.length >= this.#read + bytes, waitMs);
    return this.#take(Math.min(this.#got.length, this.#read + bytes));
  }

  /** Up to and with this text; what there is if it does not come. */
  async readThrough(text: string, waitMs = WAIT_MS): Promise<Buffer> {
    const find = (): number => this.#got.indexOf(text, this.#read);
    await this.#until(() => find() >= 0, waitMs);
    return this.#take(find() < 0 ? this.#got.length : find() + text.length);
  }

  /** Everything up to the end, or what has come when the time is over. */
  async readAll(waitMs = WAIT_MS): Promise<Buffer> {
    await this.#until(() => this.#over, waitMs);
    return this.#take(this.#got.length);
  }

  /** Until this holds, or nothing more has come for a while. */
  async settle(holds: () => boolean, quietMs = 1000): Promise<void> {
    for (let before = -1; !holds() && this.#got.length !== before && !this.#over; ) {
      before = this.#got.length;
      await this.#until(() => holds() || this.#got.length !== before, quietMs);
    }
  }

  #take(end: number): Buffer {
    const taken = this.#got.subarray(this.#read, end);
    this.#read = end;
    return taken;
  }

  async #until(holds: () => boolean, waitMs: number): Promise<void> {
    for (let waited = 0; !holds() && !this.#over && waited < waitMs; waited += 10) await setTimeout(10);
  }
}

/** Connections from and to one namespace of the lab. */
export class Sockets {
  readonly #lab: RouterLab;
  readonly #path: string;

  private constructor(lab: RouterLab, path: string) {
    this.#lab = lab;
    this.#path = path;
  }

  static async in(lab: RouterLab, namespace: string): Promise<Sockets> {
    const path = join(lab.directory, `${namespace}.sock`);
    const program = lab.start(namespace, [process.execPath, PROGRAM, path]);
    if (program.stdout !== null) await once(program.stdout, 'data');
    return new Sockets(lab, path);
  }

  async connect(address: string, port: number): Promise<End> {
    return new End(await this.#ask(`connect ${address} ${port}`));
  }

  /** Ends of the connections that come in, in their order. */
  async listen(port: number): Promise<Listener> {
    const path = join(this.#lab.directory, `in-${randomBytes(4).toString('hex')}.sock`);
    const listener = new Listener();
    const server = createServer({ allowHalfOpen: true }, (socket) => listener.took(new End(socket)));
    server.listen(path);
    await once(server, 'listening');
    server.unref();
    (await this.#ask(`listen ${port} ${path}`)).unref();
    return listener;
  }

  async #ask(question: string): Promise<Socket> {
    const socket = connect({ path: this.#path, allowHalfOpen: true });
    await once(socket, 'connect');
    socket.write(`${question}\n`);
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    let answer = Buffer.alloc(0);
    socket.once('error', reject);
    socket.on('readable', () => {
      // A byte at a time: what follows the line belongs to the connection.
      for (let byte = socket.read(1) as Buffer | null; byte !== null; byte = socket.read(1) as Buffer | null) {
        if (byte[0] !== 10) {
          answer = Buffer.concat([answer, byte]);
          continue;
        }
        socket.removeAllListeners('readable');
        if (answer.toString() === 'ready') return resolve(socket);
        return reject(new Error(`${question}: ${answer.toString()}`));
      }
    });
    return promise;
  }
}

export class Listener {
  readonly #ends: End[] = [];

  took(end: End): void {
    this.#ends.push(end);
  }

  get count(): number {
    return this.#ends.length;
  }

  /** The next one; waits for it. */
  async next(waitMs = WAIT_MS): Promise<End> {
    for (let waited = 0; this.#ends.length === 0 && waited < waitMs; waited += 10) await setTimeout(10);
    const end = this.#ends.shift();
    if (end === undefined) throw new Error('Nobody has connected.');
    return end;
  }
}
