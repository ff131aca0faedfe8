/**
 * Whether user data of a tunnel goes inside its DTLS association, or beside it in plain VXLAN. Each end decides for
 * itself, from facts that both have: the VI's policy, the groups in the two certificates, and what either end demands of
 * its own (its list of secure peers). Where the two could come apart the answer is no tunnel, never a plain one.
 *
 *   policy   within one daemon   groups in common   an end demands it   tunnel
 *   ───────  ──────────────────  ─────────────────  ──────────────────  ──────────────────────
 *   any      yes                 any                any                 plain: nothing leaves the machine
 *   always   no                  any                any                 secure
 *   never    no                  any                no                  plain
 *   never    no                  any                yes, the peer       none: SECURITY_MISMATCH
 *   groups   no                  some               any                 secure
 *   groups   no                  none               yes                 secure
 *   groups   no                  none               no                  plain
 */
import type { SecurityPolicy } from '../../overlay/vi.ts';

export type Security = {
  readonly secure: boolean;
  /** For operators: the policy, the groups in common, or which end asked for it. */
  readonly why: string;
};

export type SecurityFacts = {
  readonly policy: SecurityPolicy;
  /** Both nodes belong to this daemon. */
  readonly isLocal: boolean;
  readonly ownGroups: readonly string[];
  /** Of the peer's certificate. */
  readonly peerGroups: readonly string[];
  /** Whether the peer is on this end's list. */
  readonly isListed: boolean;
};

/** The answer to a con_req; undefined: the ends contradict each other. */
export function agreeToRequest(facts: SecurityFacts, isDemanded: boolean): Security | undefined {
  if (facts.policy === 'never' && isDemanded && !facts.isLocal) return undefined;
  return decide(facts, isDemanded);
}

/**
 * What to make of a con_resp; undefined: the ends contradict each other. `wasDemanded`: our con_req said so. `isSecure`:
 * what the peer says is in effect. That a list names the peer may have come out only by this answer: then this end is
 * secure before the other, and asks again.
 */
export function agreeToAnswer(facts: SecurityFacts, wasDemanded: boolean, isSecure: boolean): Security | undefined {
  if (facts.isLocal) return decide(facts, false);
  if (facts.policy === 'never') return isSecure ? undefined : decide(facts, false);
  const mustBeSecure = wasDemanded || decide({ ...facts, isListed: false }, false).secure;
  return mustBeSecure && !isSecure ? undefined : decide(facts, isSecure);
}

/** What this end would have if it were for it alone. */
export function ownDecision(facts: SecurityFacts): Security {
  return decide(facts, false);
}

function decide(facts: SecurityFacts, isAskedByPeer: boolean): Security {
  if (facts.isLocal) return { secure: false, why: 'within this machine' };
  if (facts.policy !== 'groups') return { secure: facts.policy === 'always', why: `policy ${facts.policy}` };
  const shared = facts.ownGroups.filter((group) => facts.peerGroups.includes(group));
  if (shared.length > 0) return { secure: true, why: `groups: ${shared.toSorted().join(', ')}` };
  if (facts.isListed) return { secure: true, why: 'secure peer list here' };
  return isAskedByPeer ? { secure: true, why: 'asked by peer' } : { secure: false, why: 'no common group' };
}
