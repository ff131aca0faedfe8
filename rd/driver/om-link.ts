/** One virtual node's contact with its overlay manager: heartbeats, bootstrap, leases, renewal. */
import { X509Certificate } from 'node:crypto';
import type { NodeRecord } from '../../overlay/fields.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { HEARTBEAT_MS, type NodeSummary } from '../../overlay/om-api.ts';
import { createOmClient, type OmClient } from '../../overlay/om-client.ts';
import { inBackground } from './background.ts';
import type { Membership } from './files.ts';
import { toBase64 } from './identity.ts';
import { recordsOf } from './records.ts';

const ANSWER_MS = 5000;
/** At the end, nobody wants to wait for a manager that is down. */
const FAREWELL_MS = 1500;
/** Certificates are renewed when this part of their life is over. */
const RENEW_AFTER = 2 / 3;

export type OmLinkOptions = {
  readonly membership: () => Membership;
  readonly privateKeyPem: string;
  readonly contact: () => Uint8Array;
  readonly renewed: (certificatePem: string) => void;
  /** Of the revocation list that we have; 0: none. */
  readonly revocationsNumber: () => number;
  /** The overlay manager's list has this number, with its text where ours has a lower one. */
  readonly revocations: (number: number, listPem: string | undefined) => void;
  /** The overlay manager has removed the node; told once. */
  readonly removed: () => void;
  readonly log: Log;
};

export class OmLink {
  readonly #options: OmLinkOptions;
  #client: OmClient;
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  #again = false;
  #isClosed = false;
  #member = false;
  #renewAt: number;
  /** Why it does not answer; null while it does. */
  problem: string | null = null;

  constructor(options: OmLinkOptions) {
    this.#options = options;
    this.#client = this.#createClient(ANSWER_MS);
    this.#renewAt = renewalOf(options.membership().certificate);
  }

  get certificateExpiresAt(): number {
    return new X509Certificate(this.#options.membership().certificate).validToDate.getTime();
  }

  /** Tells the manager at once, and from then on every HEARTBEAT_MS. */
  async beat(member: boolean = this.#member): Promise<Result<unknown> | undefined> {
    this.#member = member;
    if (this.#isClosed) return undefined;
    if (this.#isBusy) {
      this.#again = true;
      return undefined;
    }
    this.#isBusy = true;
    clearTimeout(this.#timer);
    try {
      const { membership, contact } = this.#options;
      const { incarnation } = membership();
      const told = await this.#client.heartbeat({ incarnation, contact: toBase64(contact()), member: this.#member });
      this.#note(told);
      if (told.ok) await this.#followRevocations(told.value.revocations);
      if (told.ok && systemClock.wall() >= this.#renewAt) await this.#renew();
      return told;
    } finally {
      this.#isBusy = false;
      this.#beatLater();
    }
  }

  async #followRevocations(number: number): Promise<void> {
    const { revocations, revocationsNumber, log } = this.#options;
    if (number <= revocationsNumber()) return revocations(number, undefined);
    const fetched = await this.#client.revocations();
    if (this.#isClosed) return;
    if (fetched.ok) revocations(fetched.value.number, fetched.value.list);
    else log.warn({ problem: fetched.message }, 'the revocation list could not be fetched; trying again');
  }

  #beatLater(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => inBackground(this.beat(), this.#options.log), this.#again ? 0 : HEARTBEAT_MS);
    this.#again = false;
  }

  async bootstrap(): Promise<Result<{ nodes: NodeRecord[]; found: boolean }>> {
    const answer = await this.#client.bootstrap();
    this.#note(answer);
    if (!answer.ok) return answer;
    return { ok: true, value: { nodes: recordsOf(answer.value.nodes), found: answer.value.found } };
  }

  async lease(request: string, count: number): Promise<Result<readonly number[]>> {
    const leased = await this.#client.lease({ request, count });
    this.#note(leased);
    return leased.ok ? { ok: true, value: leased.value.pairs } : leased;
  }

  /** The pairs of these that are still ours. */
  async keepLeases(pairs: readonly number[]): Promise<Result<readonly number[]>> {
    const kept = await this.#client.keepLeases([...pairs]);
    this.#note(kept);
    return kept.ok ? { ok: true, value: kept.value.pairs } : kept;
  }

  nodes(): Promise<Result<NodeSummary[]>> {
    return this.#client.nodes();
  }

  /** Says that the node is off the ring, and hands these leases back. Whether that was heard. */
  async farewell(pairs: readonly number[]): Promise<boolean> {
    this.#stopBeating();
    const client = this.#createClient(FAREWELL_MS);
    const { membership, contact } = this.#options;
    const { incarnation } = membership();
    const told = await client.heartbeat({ incarnation, contact: toBase64(contact()), member: false });
    const freed = told.ok && (pairs.length === 0 || (await client.freeLeases([...pairs])).ok);
    client.close();
    return freed;
  }

  /** The node leaves the VI for good. One that was removed has nothing more to tell. */
  async leave(): Promise<Result<void>> {
    this.#stopBeating();
    const told = await this.#client.leave();
    return !told.ok && told.code === 'NODE_REMOVED' ? ok() : told;
  }

  close(): void {
    this.#stopBeating();
    this.#client.close();
  }

  #stopBeating(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #renew(): Promise<void> {
    const renewed = await this.#client.renew();
    if (this.#isClosed) return;
    if (!renewed.ok) {
      this.#options.log.warn({ problem: renewed.message }, 'the certificate could not be renewed; trying again');
      return;
    }
    this.#renewAt = renewalOf(renewed.value.certificate);
    this.#options.renewed(renewed.value.certificate);
    this.#client.close();
    this.#client = this.#createClient(ANSWER_MS);
  }

  /** Says once when the manager falls silent, and once when it is back. */
  #note(answer: Result<unknown>): void {
    const problem = answer.ok ? null : answer.message;
    if (problem !== null && this.problem === null)
      this.#options.log.warn({ problem }, 'no answer of the overlay manager');
    if (problem === null && this.problem !== null) this.#options.log.info('the overlay manager answers again');
    this.problem = problem;
    if (answer.ok || answer.code !== 'NODE_REMOVED' || this.#isClosed) return;
    this.#stopBeating();
    this.#options.removed();
  }

  #createClient(timeoutMs: number): OmClient {
    const { om, ca, certificate } = this.#options.membership();
    const clientCertificate = { certPem: certificate, keyPem: this.#options.privateKeyPem };
    return createOmClient({ ...om, caPem: ca, clientCertificate, timeoutMs });
  }
}

function renewalOf(certificatePem: string): number {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem);
  const from = validFromDate.getTime();
  return from + (validToDate.getTime() - from) * RENEW_AFTER;
}
