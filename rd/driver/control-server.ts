/** The control socket: one question, one answer, for the superuser of this machine only. */
import type { Server, Socket } from 'node:net';
import type { PeerCredentials } from '../../native/index.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { type FromControl, fromControlCodec, type ToControl, toControlCodec } from '../../overlay/messages/control.ts';
import { partsOf } from '../../overlay/parts.ts';
import { Complaints } from './complaints.ts';
import { MessageSocket } from './message-socket.ts';
import { closeServer, listenUnix } from './unix-server.ts';

const CONNECTIONS_MAX = 64;
const TEXT_MAX = 1024;
const STEP_MAX = 256;

export type ControlHandler = (question: ToControl, progress: (step: string) => void) => Promise<Result<FromControl>>;

export class ControlServer {
  readonly #path: string;
  readonly #handle: ControlHandler;
  readonly #log: Log;
  readonly #complaints: Complaints;
  readonly #open = new Set<MessageSocket<ToControl, FromControl>>();
  #server: Server | undefined;
  /** Connections refused: wrong user, garbage, too many. */
  refused = 0;

  constructor(path: string, handle: ControlHandler, log: Log) {
    this.#path = path;
    this.#handle = handle;
    this.#log = log;
    this.#complaints = new Complaints(log);
  }

  async listen(): Promise<Result<void>> {
    const server = await listenUnix({
      path: this.#path,
      mode: 0o600,
      connectionsMax: CONNECTIONS_MAX,
      onConnection: (socket, credentials) => this.#accept(socket, credentials),
      onRefused: () => {
        this.refused += 1;
      },
    });
    if (!server.ok) return server;
    this.#server = server.value;
    return ok();
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    if (this.#server !== undefined) await closeServer(this.#server);
  }

  #accept(socket: Socket, { uid, pid }: PeerCredentials): void {
    if (uid !== 0) {
      this.refused += 1;
      this.#complaints.warn({ uid, pid }, 'caller of the control socket turned away');
      socket.destroy();
      return;
    }
    const wrapped = new MessageSocket<ToControl, FromControl>(socket, toControlCodec, fromControlCodec, {
      message: (question) => void this.#answer(wrapped, question),
      garbage: ({ code, message }) => {
        this.refused += 1;
        wrapped.send({ t: 'failed', code, message: message.slice(0, TEXT_MAX) });
      },
      closed: () => void this.#open.delete(wrapped),
    });
    this.#open.add(wrapped);
  }

  async #answer(socket: MessageSocket<ToControl, FromControl>, question: ToControl): Promise<void> {
    try {
      const progress = (step: string): void => socket.send({ t: 'progress', step: step.slice(0, STEP_MAX) });
      const answer = await this.#handle(question, progress);
      const parts = answer.ok ? partsOf(answer.value) : answer;
      if (!parts.ok) return socket.send({ t: 'failed', code: parts.code, message: parts.message.slice(0, TEXT_MAX) });
      for (const part of parts.value) {
        socket.sendEncoded(part);
        await socket.drained();
      }
    } catch (error) {
      this.#log.error({ question: question.t, error: (error as Error).stack }, 'a question could not be answered');
      socket.send({
        t: 'failed',
        code: 'INTERNAL',
        message: `The resource daemon failed: ${(error as Error).message}`.slice(0, TEXT_MAX),
      });
    }
  }
}
