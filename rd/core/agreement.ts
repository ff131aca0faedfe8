/** What the two ends of a tunnel agree on about its security: the facts, gathered for the decisions in security.ts. */
import { type Cidr, idAddress, parseCidr } from '../../overlay/addresses.ts';
import type { Associations } from './associations.ts';
import type { ContactInfo } from './contact.ts';
import { type AssociationRef, type NodeSetup, SELF } from './io.ts';
import type { ConReq, ConResp } from './letters.ts';
import { agreeToAnswer, agreeToRequest, ownDecision, type Security, type SecurityFacts } from './security.ts';
import type { FarEnd, Tunnel } from './tunnel.ts';

/** A peer that has introduced itself. */
type Introduced = { readonly association: AssociationRef; readonly contact: ContactInfo; readonly far: FarEnd };

export class Agreement {
  readonly #setup: () => NodeSetup;
  readonly #associations: Associations;

  constructor(setup: () => NodeSetup, associations: Associations) {
    this.#setup = setup;
    this.#associations = associations;
  }

  /**
   * What a con_req of ours demands. Before the peer has introduced itself its stable IPv4 address is not known: where the
   * list has addresses of that pool, the tunnel begins secure, and is asked for again when it is known who the peer is.
   */
  demands({ peer, association, contact, far }: Tunnel): boolean {
    const { vi, securePeers } = this.#setup();
    const { policy } = vi.definition.security;
    if (association === SELF || policy === 'never') return false;
    if (policy === 'always') return true;
    if (securePeers.isEmpty) return false;
    if (far === undefined && securePeers.mayHave(parseCidr(vi.definition.ipv4Pool) as Cidr)) return true;
    const ipv6 = idAddress(parseCidr(vi.prefix) as Cidr, peer);
    return securePeers.has([ipv6, ...(far === undefined ? [] : [far.ipv4]), ...this.#baseOf(association, contact)]);
  }

  /** undefined: the ends contradict each other. */
  toRequest(message: ConReq, peer: Introduced): Security | undefined {
    return agreeToRequest(this.#facts(peer), message.secure);
  }

  /** `wasDemanded`: by the con_req that this answers. undefined: the ends contradict each other. */
  toAnswer(message: ConResp, wasDemanded: boolean, peer: Introduced): Security | undefined {
    return agreeToAnswer(this.#facts(peer), wasDemanded, message.secure);
  }

  /** The reason why a plain tunnel has to be secure by what is known now; undefined where there is none. */
  tightened({ association, contact, far, security }: Tunnel): Security | undefined {
    if (association === undefined || far === undefined || security?.secure === true) return undefined;
    const decision = ownDecision(this.#facts({ association, contact, far }));
    return decision.secure ? decision : undefined;
  }

  #facts({ association, contact, far }: Introduced): SecurityFacts {
    const { vi, groups, securePeers } = this.#setup();
    return {
      policy: vi.definition.security.policy,
      isLocal: association === SELF,
      ownGroups: groups,
      peerGroups: far.groups,
      isListed: securePeers.has([far.ipv4, far.ipv6, ...this.#baseOf(association, contact)]),
    };
  }

  /** Where the peer is on the base network, as it says and as we see it. */
  #baseOf(association: AssociationRef | undefined, { endpoints }: ContactInfo): string[] {
    const seen = association === undefined ? undefined : this.#associations.endpointOf(association);
    return [...endpoints, ...(seen === undefined ? [] : [seen])].map(({ address }) => address);
  }
}
