/**
 * The associations of this daemon with others, found by the key of the daemon at the other end, and shared by all
 * tunnels between the two. An association is started towards the endpoints of a contact in turn: the next one joins in
 * when the one before has not answered soon, and the first that comes up wins. Where both daemons searched, two may come
 * up. Neither is closed for that, since what is up at this end may not be up at the other: the daemon that leads decides
 * for each tunnel, and one that no tunnel uses is closed in time.
 *
 * Each VI looks for itself: a daemon may refuse the certificate of one and take that of another. What comes up for one
 * serves all.
 */
import type { ErrorCode } from '../../overlay/errors.ts';
import { after, type Millis } from '../../overlay/lib/clock.ts';
import { type ContactInfo, type Endpoint, formatEndpoint, sameEndpoint, usableEndpoints } from './contact.ts';
import { type AssociationDown, type AssociationRef, type Output, type RdSetup, SELF } from './io.ts';
import { ASSOCIATION_IDLE_MS, ATTEMPTS_MAX, GIVE_UP_MS, NEXT_ENDPOINT_MS } from './limits.ts';

type Up = { readonly key: string; readonly since: Millis; endpoint: Endpoint };

/** The search of one VI for a daemon: its endpoints tried, and those still to try. */
type Attempt = {
  readonly key: string;
  readonly vi: string;
  /** Endpoints of the latest contact. */
  known: ReadonlySet<string>;
  untried: readonly Endpoint[];
  readonly trying: { readonly endpoint: Endpoint; association: AssociationRef | undefined }[];
  nextAt: Millis;
  readonly giveUpAt: Millis;
  code: ErrorCode;
};

/** What becomes of associations, told to the tunnels. */
export type AssociationListener = {
  up(key: string, association: AssociationRef, now: Millis): void;
  /** The search of that VI. */
  failed(key: string, vi: string, code: ErrorCode, now: Millis): void;
  /** `replaced`: the same peer is there again or may be soon. */
  down(association: AssociationRef, key: string, replaced: boolean, now: Millis): void;
  /** Its endpoint is another one now. */
  moved(association: AssociationRef, now: Millis): void;
  inUse(association: AssociationRef): boolean;
};

export class Associations {
  readonly #setup: RdSetup;
  readonly #listener: AssociationListener;
  readonly #emit: (output: Output) => void;
  readonly #up = new Map<AssociationRef, Up>();
  readonly #attempts = new Set<Attempt>();
  /** When those that are up are looked through for what no tunnel uses: at once, so that many do not wake the daemon one by one. */
  #sweepAt: Millis | undefined;

  constructor(setup: RdSetup, listener: AssociationListener, emit: (output: Output) => void) {
    this.#setup = setup;
    this.#listener = listener;
    this.#emit = emit;
  }

  /** The association that is up with the daemon of that key; the newest where there are several. */
  find(key: string): AssociationRef | undefined {
    if (key === this.#setup.key) return SELF;
    let found: AssociationRef | undefined;
    for (const [association, up] of this.#up) if (up.key === key) found = association;
    return found;
  }

  keyOf(association: AssociationRef): string | undefined {
    return association === SELF ? this.#setup.key : this.#up.get(association)?.key;
  }

  endpointOf(association: AssociationRef): Endpoint | undefined {
    return association === SELF ? this.#setup.self : this.#up.get(association)?.endpoint;
  }

  /** When it came up; 0 for the way to ourselves. */
  upSince(association: AssociationRef): Millis {
    return this.#up.get(association)?.since ?? (0 as Millis);
  }

  /** Whether this daemon decides which association a tunnel to the daemon of that key is bound to; else that one does. */
  leads(key: string): boolean {
    return this.#setup.key < key;
  }

  /** Starts looking for the daemon of a contact; a search that goes on learns its endpoints. The outcome is told. */
  want(contact: ContactInfo, vi: string, now: Millis): void {
    const { key } = contact;
    const usable = usableEndpoints(contact.endpoints, this.#setup.families);
    const searching = [...this.#attempts].find((attempt) => attempt.key === key && attempt.vi === vi);
    if (searching !== undefined) return this.#learn(searching, usable, now);
    if (usable.length === 0 || this.#attempts.size >= ATTEMPTS_MAX) {
      const code = usable.length === 0 ? 'PEER_UNREACHABLE' : 'LIMIT_REACHED';
      this.#listener.failed(key, vi, code, now);
      return;
    }
    const limits = { nextAt: now, giveUpAt: after(now, GIVE_UP_MS), code: 'PEER_UNREACHABLE' } as const;
    const attempt: Attempt = { key, vi, known: namesOf(usable), untried: usable, trying: [], ...limits };
    this.#attempts.add(attempt);
    this.#tryNext(attempt, now);
  }

  started(endpoint: Endpoint, association: AssociationRef | undefined, now: Millis): void {
    for (const attempt of this.#attempts) {
      const trial = attempt.trying.find((trial) => sameEndpoint(trial.endpoint, endpoint));
      if (trial === undefined) continue;
      trial.association = association;
      if (association === undefined) this.#trialFailed(attempt, trial.endpoint, attempt.code, now);
      return;
    }
  }

  associationUp(association: AssociationRef, endpoint: Endpoint, key: string, now: Millis): void {
    this.#up.set(association, { key, since: now, endpoint });
    this.#sweepAt ??= after(now, ASSOCIATION_IDLE_MS);
    for (const attempt of this.#attempts) if (attempt.key === key) this.#attempts.delete(attempt);
    const another = this.#triedBy(endpoint);
    if (another !== undefined) this.#trialFailed(another, endpoint, 'PEER_MISMATCH', now);
    this.#listener.up(key, association, now);
  }

  associationMoved(association: AssociationRef, endpoint: Endpoint, now: Millis): void {
    const up = this.#up.get(association);
    if (up === undefined || sameEndpoint(up.endpoint, endpoint)) return;
    up.endpoint = endpoint;
    this.#listener.moved(association, now);
  }

  associationDown(association: AssociationRef, reason: AssociationDown, now: Millis): void {
    const up = this.#up.get(association);
    this.#up.delete(association);
    if (up !== undefined) {
      const another = this.find(up.key) !== undefined;
      this.#listener.down(association, up.key, another || reason === 'replaced', now);
    }
    if (reason === 'replaced') return;
    for (const attempt of this.#attempts) {
      const trial = attempt.trying.find((trial) => trial.association === association);
      if (trial === undefined) continue;
      const code = reason === 'refused' ? 'CERTIFICATE_REFUSED' : attempt.code;
      return this.#trialFailed(attempt, trial.endpoint, code, now);
    }
  }

  deadline(): Millis | undefined {
    let least: number = this.#sweepAt ?? Number.POSITIVE_INFINITY;
    for (const attempt of this.#attempts) {
      least = Math.min(least, attempt.giveUpAt, attempt.untried.length > 0 ? attempt.nextAt : attempt.giveUpAt);
    }
    return Number.isFinite(least) ? (least as Millis) : undefined;
  }

  timer(now: Millis): void {
    for (const attempt of this.#attempts) {
      if (attempt.giveUpAt <= now) this.#fail(attempt, now);
      else if (attempt.untried.length > 0 && attempt.nextAt <= now) this.#tryNext(attempt, now, true);
    }
    if (this.#sweepAt !== undefined && this.#sweepAt <= now) this.#sweep(now);
  }

  #sweep(now: Millis): void {
    this.#sweepAt = this.#up.size > 0 ? after(now, ASSOCIATION_IDLE_MS) : undefined;
    for (const [association, { since }] of this.#up) {
      const isNew = after(since, ASSOCIATION_IDLE_MS) > now;
      if (!isNew && !this.#listener.inUse(association)) this.#emit({ kind: 'association.close', association });
    }
  }

  /** A later contact of the same daemon: what is not being tried yet is of that one from now on. */
  #learn(attempt: Attempt, endpoints: readonly Endpoint[], now: Millis): void {
    const isTried = (endpoint: Endpoint): boolean =>
      attempt.trying.some((trial) => sameEndpoint(trial.endpoint, endpoint));
    const untried = endpoints.filter((endpoint) => !isTried(endpoint));
    const hasNews = untried.some((endpoint) => !attempt.known.has(formatEndpoint(endpoint)));
    if (!hasNews) return;
    attempt.untried = untried;
    attempt.known = namesOf(endpoints);
    this.#tryNext(attempt, now);
  }

  /** Tries one more endpoint. One that another search is trying is waited for, or passed over where that takes long. */
  #tryNext(attempt: Attempt, now: Millis, isOverdue = false): void {
    attempt.nextAt = after(now, NEXT_ENDPOINT_MS);
    const open = attempt.untried.filter((endpoint) => !this.#isTakenByAnother(endpoint));
    if (open.length < attempt.untried.length) attempt.code = 'PEER_MISMATCH';
    const isFree = (endpoint: Endpoint): boolean => this.#triedBy(endpoint) === undefined;
    const next = (isOverdue ? open : open.slice(0, 1)).find(isFree);
    attempt.untried = open.filter((endpoint) => endpoint !== next);
    if (next !== undefined) {
      attempt.trying.push({ endpoint: next, association: undefined });
      this.#emit({ kind: 'associate', endpoint: next, serverName: attempt.vi });
    } else if (attempt.trying.length === 0 && open.length === 0) {
      this.#fail(attempt, now);
    }
  }

  #triedBy(endpoint: Endpoint): Attempt | undefined {
    const isTried = ({ trying }: Attempt): boolean => trying.some((trial) => sameEndpoint(trial.endpoint, endpoint));
    return [...this.#attempts].find(isTried);
  }

  /** An association with that endpoint is up, and it is not the daemon looked for: that one would have been found. */
  #isTakenByAnother(endpoint: Endpoint): boolean {
    return [...this.#up.values()].some((up) => formatEndpoint(up.endpoint) === formatEndpoint(endpoint));
  }

  #trialFailed(attempt: Attempt, endpoint: Endpoint, code: ErrorCode, now: Millis): void {
    attempt.code = code;
    const index = attempt.trying.findIndex((trial) => sameEndpoint(trial.endpoint, endpoint));
    attempt.trying.splice(index, 1);
    const waiting = [...this.#attempts].filter(({ untried }) => untried.some((other) => sameEndpoint(other, endpoint)));
    for (const next of [attempt, ...waiting]) if (this.#attempts.has(next)) this.#tryNext(next, now);
  }

  #fail(attempt: Attempt, now: Millis): void {
    this.#attempts.delete(attempt);
    this.#listener.failed(attempt.key, attempt.vi, attempt.code, now);
  }
}

function namesOf(endpoints: readonly Endpoint[]): ReadonlySet<string> {
  return new Set(endpoints.map(formatEndpoint));
}
