/** One virtual node's contact with its overlay manager: heartbeats, bootstrap, leases, renewal. */
import { X509Certificate } from 'node:crypto';
import { type AddressClient, createAddressClient } from '../../overlay/address-client.ts';
import type { NodeRecord } from '../../overlay/fields.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { type AddressServer, HEARTBEAT_MS, type NodeSummary } from '../../overlay/om-api.ts';
import { createOmClient, type OmClient } from '../../overlay/om-client.ts';
import { Answering } from './answering.ts';
import { inBackground } from './background.ts';
import type { Membership } from './files.ts';
import { toBase64 } from './identity.ts';
import { recordsOf } from './records.ts';

const ANSWER_MS = 5000;
/** At the end, nobody wants to wait for a manager that is down. */
const FAREWELL_MS = 1500;
/** Certificates are renewed when this part of their life is over. */
const RENEW_AFTER = 2 / 3;
/** What could not be renewed is tried again after this, or sooner where little time is left. */
const RENEW_RETRY_MS = 60_000;
const RENEW_RETRY_PART = 1 / 10;

export type OmLinkOptions = {
  readonly membership: () => Membership;
  readonly privateKeyPem: string;
  readonly contact: () => Uint8Array;
  readonly renewed: (certificatePem: string) => void;
  /** Of the revocation list that we have; 0: none. */
  readonly revocationsNumber: () => number;
  /** The overlay manager's list has this number, with its text where ours has a lower one. */
  readonly revocations: (number: number, listPem: string | undefined) => void;
  /** The number of the overlay manager's list of nodes, with each of its answers to a heartbeat. */
  readonly directory: (number: number) => void;
  /** The overlay manager has removed the node; told once. */
  readonly removed: () => void;
  readonly log: Log;
};

export class OmLink {
  readonly #options: OmLinkOptions;
  #client: OmClient;
  #addresses: AddressClient;
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  #again = false;
  #isClosed = false;
  #member = false;
  #renewAt: number;
  readonly #manager: Answering;
  readonly #addressServer: Answering;

  constructor(options: OmLinkOptions) {
    this.#options = options;
    this.#manager = new Answering('the overlay manager', options.log);
    this.#addressServer = new Answering('the address server', options.log);
    this.#client = this.#createClient(ANSWER_MS);
    this.#addresses = this.#createAddressClient(this.#client, ANSWER_MS);
    this.#renewAt = renewalOf(options.membership().certificate);
  }

  /** Why one of the two servers does not answer, one sentence; null while both do. */
  get problem(): string | null {
    return this.#manager.problem ?? this.#addressServer.problem;
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
      // By then, tunnels to nodes that are in other groups now have ended.
      if (told.ok && !this.#isClosed) this.#options.directory(told.value.directory);
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
    const leased = await this.#addresses.lease(request, count);
    this.#noteAddresses(leased);
    return leased;
  }

  /** The pairs of these that are still ours. */
  async keepLeases(pairs: readonly number[]): Promise<Result<readonly number[]>> {
    const kept = await this.#addresses.keep(pairs);
    this.#noteAddresses(kept);
    return kept;
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
    const addresses = this.#createAddressClient(client, FAREWELL_MS);
    const freed = told.ok && (pairs.length === 0 || (await addresses.release(pairs)).ok);
    addresses.close();
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
    this.#addresses.close();
    this.#client.close();
  }

  #stopBeating(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #renew(): Promise<void> {
    const renewed = await this.#client.renew();
    if (this.#isClosed) return;
    if (!renewed.ok) this.#renewLater(renewed.message);
    else if (renewed.value.certificate === this.#options.membership().certificate) this.#renewLater('it is fresh');
    else {
      this.#renewAt = renewalOf(renewed.value.certificate);
      this.#options.renewed(renewed.value.certificate);
      this.#addresses.close();
      this.#client.close();
      this.#client = this.#createClient(ANSWER_MS);
      this.#addresses = this.#createAddressClient(this.#client, ANSWER_MS);
    }
  }

  #renewLater(problem: string): void {
    const left = Math.max(0, this.certificateExpiresAt - systemClock.wall());
    this.#renewAt = systemClock.wall() + Math.min(RENEW_RETRY_MS, left * RENEW_RETRY_PART);
    this.#options.log.warn({ problem }, 'the certificate could not be renewed; trying again');
  }

  #note(answer: Result<unknown>): void {
    this.#manager.note(answer);
    this.#heed(answer);
  }

  #noteAddresses(answer: Result<unknown>): void {
    // Where it is had to be asked of the overlay manager, whose silence is its own.
    if (answer.ok || answer.message !== this.#manager.problem) this.#addressServer.note(answer);
    this.#heed(answer);
  }

  #heed(answer: Result<unknown>): void {
    if (answer.ok || answer.code !== 'NODE_REMOVED' || this.#isClosed) return;
    this.#stopBeating();
    this.#options.removed();
  }

  #createClient(timeoutMs: number): OmClient {
    const { om, ca, certificate } = this.#options.membership();
    const clientCertificate = { certPem: certificate, keyPem: this.#options.privateKeyPem };
    return createOmClient({ ...om, caPem: ca, clientCertificate, timeoutMs });
  }

  #createAddressClient(client: OmClient, timeoutMs: number): AddressClient {
    const { om, ca, certificate } = this.#options.membership();
    const locate = async (): Promise<Result<AddressServer>> => {
      const located = await client.addressServer();
      this.#note(located);
      return located;
    };
    const identity = { certPem: certificate, keyPem: this.#options.privateKeyPem };
    return createAddressClient({ host: om.host, caPem: ca, identity, locate, timeoutMs });
  }
}

function renewalOf(certificatePem: string): number {
  const { validFromDate, validToDate } = new X509Certificate(certificatePem);
  const from = validFromDate.getTime();
  return from + (validToDate.getTime() - from) * RENEW_AFTER;
}
