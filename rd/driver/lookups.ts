/** Questions to a P2P daemon for the node responsible for an id, and their answers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../../overlay/errors.ts';
import type { Id } from '../../overlay/id.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { ToRd } from '../../overlay/messages/p2pd-rd.ts';

const ANSWER_MS = 5000;
const PENDING_MAX = 256;

type Answer = ToRd & { t: 'lookup.answer' };

export class Lookups {
  #last = 0;
  readonly #pending = new Map<number, (answer: Answer) => void>();

  async ask(send: (request: number) => void): Promise<Result<{ owner: Id; hops: number }>> {
    if (this.#pending.size >= PENDING_MAX) return fail('LIMIT_REACHED', 'Too many lookups are under way.');
    const request = ++this.#last;
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    this.#pending.set(request, resolve);
    send(request);
    const answer = await Promise.race([promise, sleep(ANSWER_MS, undefined, { ref: false })]);
    this.#pending.delete(request);
    if (answer === undefined) return fail('TIMEOUT', 'The ring did not answer in time.');
    return answer.owner === null ? fail(answer.error ?? 'NOT_READY') : ok({ owner: answer.owner, hops: answer.hops });
  }

  answered(answer: Answer): void {
    this.#pending.get(answer.request)?.(answer);
  }
}
