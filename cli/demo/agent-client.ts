/** The parent's side of agent.ts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OverlayError } from '../../overlay/errors.ts';
import { within } from './namespaces.ts';

export const HTTP_PORT = 8080;

/** What came of one request: the name that the answering server gave, or why there was none. */
export type Fetched = { readonly by: string | null; readonly error: string | null; readonly ms: number };

export type AgentOrder =
  | {
      readonly kind: 'fetch';
      readonly ticket: number;
      readonly addresses: readonly string[];
      readonly timeoutMs: number;
      readonly parallel: number;
    }
  | { readonly kind: 'stay'; readonly ticket: number };
/** Ticket 0 says that the server listens. */
export type AgentAnswer = { readonly ticket: number; readonly fetched: readonly Fetched[] };

const AGENT_FILE = fileURLToPath(new URL(`./agent${extname(import.meta.filename)}`, import.meta.url));
const FETCH_MS = 5000;

export class Agent {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: AgentAnswer) => void>();
  #tickets = 0;
  #ended = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.on('message', (answer: AgentAnswer) => {
      this.#waiting.get(answer.ticket)?.(answer);
      this.#waiting.delete(answer.ticket);
    });
    const end = (): void => {
      this.#ended = true;
      for (const [ticket, resolve] of this.#waiting) resolve({ ticket, fetched: [] });
    };
    child.on('exit', end);
    child.on('error', end);
  }

  static async start(namespace: string, name: string): Promise<Agent> {
    const [program = '', ...rest] = within(namespace, [process.execPath, AGENT_FILE, name]);
    const child = spawn(program, rest, { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const agent = new Agent(child);
    await agent.#answer(0);
    if (agent.#ended) throw new OverlayError('SYSTEM', `The HTTP server of ${name} ended at once.`);
    return agent;
  }

  /** Requests http://[address]:8080/ for each, in their order; `parallel` at a time. */
  async fetch(addresses: readonly string[], timeoutMs: number = FETCH_MS, parallel = 1): Promise<readonly Fetched[]> {
    const { fetched } = await this.#order({ kind: 'fetch', ticket: ++this.#tickets, addresses, timeoutMs, parallel });
    if (fetched.length !== addresses.length)
      throw new OverlayError('SYSTEM', 'The HTTP client ended before it answered.');
    return fetched;
  }

  async fetchOne(address: string, timeoutMs: number = FETCH_MS): Promise<Fetched> {
    const [fetched] = await this.fetch([address], timeoutMs);
    if (fetched === undefined) throw new OverlayError('SYSTEM', 'The HTTP client gave no result.');
    return fetched;
  }

  /** The process goes on when its parent has ended. */
  async stay(): Promise<void> {
    await this.#order({ kind: 'stay', ticket: ++this.#tickets });
  }

  release(): void {
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  #order(order: AgentOrder): Promise<AgentAnswer> {
    const answer = this.#answer(order.ticket);
    if (this.#ended || !this.#child.connected) return Promise.resolve({ ticket: order.ticket, fetched: [] });
    this.#child.send(order);
    return answer;
  }

  #answer(ticket: number): Promise<AgentAnswer> {
    const { promise, resolve } = Promise.withResolvers<AgentAnswer>();
    this.#waiting.set(ticket, resolve);
    return promise;
  }
}
