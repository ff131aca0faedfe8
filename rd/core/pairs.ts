/**
 * Which link pair a tunnel has. Either end may bring one of its leases; both must end with the same. The rules: what
 * the responder answers holds; a pair of one's own leases stays, since only its holder can be sure that it names
 * nothing else; a pair of the peer's is the peer's to change; where both ask at once, the lower id's pair counts.
 */
import { type Cidr, linkCapacity, linkPair, parseCidr } from '../../overlay/addresses.ts';
import type { ErrorCode } from '../../overlay/errors.ts';
import type { Id } from '../../overlay/id.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import type { LinkAddresses } from './io.ts';
import type { Leases } from './leases.ts';
import type { Tunnel } from './tunnel.ts';

/** So many leases are passed over in search of one that no tunnel has. */
const PASSED_OVER_MAX = 16;

export class Pairs {
  readonly #id: Id;
  readonly #leases: Leases;
  readonly #pool: Cidr;
  readonly #prefix: Cidr;
  readonly #isNumbered: boolean;
  readonly #tunnels: () => Iterable<Tunnel>;

  /** `tunnels`: all of the node, whose pairs must differ. */
  constructor(id: Id, vi: ViConfig, leases: Leases, tunnels: () => Iterable<Tunnel>) {
    const [pool, prefix] = [parseCidr(vi.definition.linkPool), parseCidr(vi.linkPrefix)];
    if (pool === undefined || prefix === undefined) throw new Error('a VI has link pools');
    this.#id = id;
    this.#leases = leases;
    this.#pool = pool;
    this.#prefix = prefix;
    this.#isNumbered = vi.definition.links === 'numbered';
    this.#tunnels = tunnels;
  }

  /** Gives a tunnel that has none a pair, where one is free. Whether it has one then. */
  provide(tunnel: Tunnel, now: Millis): boolean {
    if (tunnel.pair === undefined) this.#assign(tunnel, this.#isNumbered ? this.#takeFree(tunnel, now) : null, true);
    return tunnel.pair !== undefined;
  }

  /** After a con_req with `theirs`: settles the pair in effect, or says why there can be none. */
  agree(tunnel: Tunnel, theirs: number | null, now: Millis): ErrorCode | undefined {
    const invalid = this.#invalid(theirs);
    if (invalid !== undefined) return invalid;
    if (theirs === null) tunnel.pair = null;
    if (theirs === null || tunnel.pair === theirs) return undefined;
    const asks = tunnel.phase === 'setting-up' || tunnel.ask?.kind === 'con_req';
    const yields = asks && tunnel.peer < this.#id;
    if (tunnel.pair !== undefined && tunnel.ours && !yields) return undefined;
    this.drop(tunnel, now);
    if (!this.#isTaken(theirs, tunnel)) {
      const claimed = this.#leases.claim(theirs);
      if (claimed || !this.#leases.isUsed(theirs)) {
        this.#assign(tunnel, theirs, claimed);
        return undefined;
      }
    }
    return this.provide(tunnel, now) ? undefined : 'NO_ADDRESS_PAIR';
  }

  /** After a con_resp: the responder has decided. CONFLICT where its pair is ours and names another tunnel. */
  adopt(tunnel: Tunnel, answered: number | null, now: Millis): ErrorCode | undefined {
    const invalid = this.#invalid(answered);
    if (invalid !== undefined) return invalid;
    if (answered === null || answered === tunnel.pair) return undefined;
    if (this.#isTaken(answered, tunnel)) return 'CONFLICT';
    const claimed = this.#leases.claim(answered);
    if (!claimed && this.#leases.isUsed(answered)) return 'CONFLICT';
    this.drop(tunnel, now);
    this.#assign(tunnel, answered, claimed);
    return undefined;
  }

  drop(tunnel: Tunnel, now: Millis): void {
    if (tunnel.ours && typeof tunnel.pair === 'number') this.#leases.giveBack(tunnel.pair, now);
    tunnel.pair = undefined;
    tunnel.ours = false;
  }

  /** The even address belongs to the end with the lower id. */
  linkOf(tunnel: Tunnel): LinkAddresses | null {
    if (typeof tunnel.pair !== 'number') return null;
    const { ipv4, ipv6 } = linkPair(this.#pool, this.#prefix, tunnel.pair);
    const even = { ipv4: ipv4[0], ipv6: ipv6[0] };
    const odd = { ipv4: ipv4[1], ipv6: ipv6[1] };
    return this.#id < tunnel.peer ? { local: even, remote: odd } : { local: odd, remote: even };
  }

  /** A lease of ours that no tunnel has. Those that one has, by an older lease of its peer, go back in the end. */
  #takeFree(tunnel: Tunnel, now: Millis): number | undefined {
    const passed: number[] = [];
    let pair = this.#leases.take(now);
    while (pair !== undefined && this.#isTaken(pair, tunnel) && passed.length < PASSED_OVER_MAX) {
      passed.push(pair);
      pair = this.#leases.take(now);
    }
    for (const other of passed) this.#leases.giveBack(other, now);
    return pair !== undefined && this.#isTaken(pair, tunnel) ? undefined : pair;
  }

  /** Another tunnel has that pair, by whoever's lease: a lease may have run out, or a peer may make one up. */
  #isTaken(pair: number, tunnel: Tunnel): boolean {
    for (const other of this.#tunnels()) if (other !== tunnel && other.pair === pair) return true;
    return false;
  }

  #invalid(pair: number | null): ErrorCode | undefined {
    if ((pair === null) === this.#isNumbered) return 'BAD_MESSAGE';
    return pair !== null && pair >= linkCapacity(this.#pool) ? 'BAD_MESSAGE' : undefined;
  }

  #assign(tunnel: Tunnel, pair: number | null | undefined, ours: boolean): void {
    tunnel.pair = pair;
    tunnel.ours = ours && typeof pair === 'number';
  }
}
