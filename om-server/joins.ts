/** Joining: from an invitation's secret and a node's key to a place in the VI and a certificate. */
import { fail } from '../overlay/errors.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import type { InvitationSummary, JoinRequest, JoinResponse } from '../overlay/om-api.ts';
import { type Authority, keyOfCsr, type NodeCertificate } from './ca.ts';
import type { Certificates } from './store/certificates.ts';
import type { Database } from './store/database.ts';
import type { Invitations } from './store/invitations.ts';
import type { Node, Nodes, Place } from './store/nodes.ts';
import type { Vi, Vis } from './store/vis.ts';

type Plan = {
  readonly vi: Vi;
  readonly invitation: InvitationSummary;
  readonly groups: readonly string[];
  readonly place: Place;
  /** The node that returns, if it does. */
  readonly returning: Node | undefined;
  /** Whether the join costs a use of the invitation; repeating it after a lost answer does not. */
  readonly costsUse: boolean;
};

type Applicant = {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly certificate: NodeCertificate;
};

/** What a join leads to, without what is the same for all nodes of the overlay manager. */
export type Joined = Omit<JoinResponse, 'revocations'>;

/** Plans made for one join while nodes leave at the same time. */
const ATTEMPTS_MAX = 5;

export class Joins {
  readonly #database: Database;
  readonly #vis: Vis;
  readonly #invitations: Invitations;
  readonly #nodes: Nodes;
  readonly #certificates: Certificates;
  readonly #authority: Authority;
  /** The join before this one. They go one after another: none plans with a place that another is about to take. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    database: Database,
    vis: Vis,
    invitations: Invitations,
    nodes: Nodes,
    certificates: Certificates,
    authority: Authority,
  ) {
    this.#database = database;
    this.#vis = vis;
    this.#invitations = invitations;
    this.#nodes = nodes;
    this.#certificates = certificates;
    this.#authority = authority;
  }

  /** A join that fails costs no use and no address. */
  join(request: JoinRequest, clock: () => number): Promise<Result<Joined>> {
    const turn = this.#last.then(() => this.#join(request, clock));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #join(request: JoinRequest, clock: () => number): Promise<Result<Joined>> {
    const vi = this.#vis.byName(request.vi);
    const secret = Buffer.from(request.secret, 'base64');
    const invitation = vi === undefined ? undefined : this.#invitations.bySecret(vi, secret, clock());
    if (vi === undefined || invitation === undefined) return fail('INVITATION_UNKNOWN');
    const publicKey = await keyOfCsr(request.csr);
    if (!publicKey.ok) return publicKey;
    for (let attempt = 1; ; attempt++) {
      this.#nodes.sweep(clock());
      const plan = this.#plan(vi, request, publicKey.value, clock());
      if (!plan.ok) return plan;
      const certificate = await this.#certify(plan.value, request.name, publicKey.value, clock());
      if (!certificate.ok) return certificate;
      const applicant = { name: request.name, publicKey: publicKey.value, certificate: certificate.value };
      const done = this.#carryOut(plan.value, request, applicant, clock());
      if (done.ok) return ok(this.#responseOf(plan.value, request.name, done.value));
      if (done.code !== 'CONFLICT' || attempt === ATTEMPTS_MAX) return done;
    }
  }

  #plan(vi: Vi, request: JoinRequest, publicKey: Uint8Array, now: number): Result<Plan> {
    const invitation = this.#invitations.bySecret(vi, Buffer.from(request.secret, 'base64'), now);
    if (invitation === undefined) return fail('INVITATION_UNKNOWN');
    const named = this.#nodes.byName(vi.config, request.name);
    const returning = named !== undefined && Buffer.compare(named.publicKey, publicKey) === 0 ? named : undefined;
    const costsUse = returning?.invitation !== invitation.id;
    const valid = checkInvitation(invitation, costsUse, now);
    if (!valid.ok) return valid;
    if (named !== undefined && returning === undefined) {
      return fail(
        'DUPLICATE_NAME',
        `The VI has a node ${request.name} already; choose another name, or remove that node first.`,
      );
    }
    const foreign = request.groups?.find((group) => !invitation.groups.includes(group));
    if (foreign !== undefined)
      return fail('NOT_PERMITTED', `The invitation does not give the group ${foreign}; ask for one that does.`);
    const place = returning === undefined ? this.#nodes.placeFor(vi.config, request.name, publicKey) : ok(returning);
    if (!place.ok) return place;
    return ok({ vi, invitation, groups: request.groups ?? invitation.groups, place: place.value, returning, costsUse });
  }

  async #certify(plan: Plan, name: string, publicKey: Uint8Array, now: number): Promise<Result<NodeCertificate>> {
    const { vi, place, groups, returning } = plan;
    const isSame = returning !== undefined && sameGroups(returning.groups, groups);
    const fresh = isSame ? this.#certificates.fresh(returning.key, now) : undefined;
    if (fresh !== undefined) return ok(fresh);
    const claims = { vi: vi.config.id, name, id: place.id, ipv4: place.ipv4, groups };
    return this.#authority.issue(
      { claims, ipv6: place.ipv6, publicKey, days: vi.config.definition.certificateDays },
      now,
    );
  }

  /**
   * The invitation may have been revoked, or the VI deleted, while the certificate was signed. CONFLICT if a node left
   * meanwhile, so that another place is the next one now. Gives the certificate to hand out.
   */
  #carryOut(plan: Plan, request: JoinRequest, applicant: Applicant, now: number): Result<NodeCertificate> {
    const { index, id, ipv4, ipv6 } = plan.place;
    return this.#database.transaction((): Result<NodeCertificate> => {
      const still = this.#plan(plan.vi, request, applicant.publicKey, now);
      if (!still.ok) return still;
      if (still.value.place.id !== id || still.value.returning?.key !== plan.returning?.key) {
        return fail('CONFLICT', 'The VI changed while the node joined; try again.');
      }
      if (plan.costsUse && !this.#invitations.use(plan.invitation.id)) return fail('INVITATION_USED');
      const { groups, returning } = plan;
      const [vi, invitation] = [plan.vi.config.id, plan.invitation.id];
      const { certificate, ...who } = applicant;
      const certifiedUntil = certificate.expiresAt;
      if (returning === undefined) {
        const node = { ...who, certifiedUntil, index, id, ipv4, ipv6, vi, groups, invitation, joinedAt: now };
        return ok(this.#certificates.issued(this.#nodes.insert(node), certificate, now));
      }
      if (!sameGroups(returning.groups, groups)) {
        // Certificates of before say that it is in groups in which it is no more.
        const revoked = this.#certificates.revokeAll(returning, 'removed', now);
        if (!revoked.ok) return fail(revoked.code, `The node keeps the groups that it has: ${revoked.message}`);
      }
      this.#nodes.rejoin(returning, groups, invitation);
      this.#nodes.certified(returning.key, certifiedUntil);
      return ok(this.#certificates.issued(returning.key, certificate, now));
    });
  }

  #responseOf(plan: Plan, name: string, certificate: NodeCertificate): Joined {
    const { id, ipv4, ipv6 } = plan.place;
    const common = { vi: plan.vi.config, name, id, ipv4, ipv6, groups: [...plan.groups] };
    const returning = plan.returning !== undefined;
    return { ...common, certificate: certificate.pem, ca: this.#authority.pem, returning };
  }
}

function sameGroups(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((group) => b.includes(group));
}

function checkInvitation(invitation: InvitationSummary, costsUse: boolean, now: number): Result<void> {
  if (invitation.state === 'revoked') return fail('INVITATION_REVOKED');
  if (invitation.usesLeft === 0 && costsUse) return fail('INVITATION_USED');
  return invitation.expiresAt <= now ? fail('INVITATION_EXPIRED') : ok();
}
