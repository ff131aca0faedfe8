/**
 * Who is known in a virtual node's VI, for policies that name nodes and groups: the node itself and the peers of its
 * tunnels by their certificates, all others by the overlay manager's list, which is asked for anew when it has changed
 * and kept for the time when nobody answers.
 */
import type { Acquaintances as Known } from '../../gateway/driver/loaded-policy.ts';
import { formatId, type Id } from '../../overlay/id.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { NodeList, NodeSummary } from '../../overlay/om-api.ts';
import type { LinkAddresses, TunnelView } from '../core/io.ts';
import type { DataDirectory, Membership } from './files.ts';

export type AcquaintancesOptions = {
  readonly id: Id;
  readonly membership: () => Membership;
  readonly data: Pick<DataDirectory, 'directory' | 'saveDirectory'>;
  readonly tunnels: () => readonly TunnelView[];
  readonly list: () => Promise<Result<NodeSummary[]>>;
  /** Somebody may be known by other names now; not more often than every NOTICE_MS. */
  readonly onChanged: () => void;
  readonly log: Log;
};

const NOTICE_MS = 100;

type Acquaintance = { readonly name: string; readonly groups: readonly string[]; readonly addresses: string[] };

export class Acquaintances {
  readonly #options: AcquaintancesOptions;
  #listed: NodeList['nodes'] | undefined;
  /** Of the list that we have; undefined: it is from an earlier life, or not known under which it came. */
  #number: number | undefined;
  /** Of the overlay manager's list. */
  #newest: number | undefined;
  #asking: Promise<Result<void>> | undefined;
  #notice: NodeJS.Timeout | undefined;
  #isDue = false;

  constructor(options: AcquaintancesOptions) {
    this.#options = options;
    this.#listed = options.data.directory(options.membership());
  }

  /** As of now. */
  known(): Known {
    const { vi } = this.#options.membership();
    const { ipv4Pool, linkPool } = vi.definition;
    return {
      isListed: this.#listed !== undefined,
      prefixes: [vi.prefix, vi.linkPrefix, ipv4Pool, linkPool],
      nodes: [...this.#byId().values()],
    };
  }

  /** Certificates count for more than the list: they come with the tunnel, and one that is void ends it. */
  #byId(): Map<string, Acquaintance> {
    const { id, membership, tunnels } = this.#options;
    const { name, groups, ipv4, ipv6 } = membership();
    const all = new Map<string, Acquaintance>();
    for (const node of this.#listed ?? []) {
      all.set(node.id, { name: node.name, groups: node.groups, addresses: [node.ipv4, node.ipv6] });
    }
    const own = { name, groups, addresses: [ipv4, ipv6] };
    all.set(formatId(id), own);
    for (const { peer, name, groups, addresses, link } of tunnels()) {
      if (addresses === null) continue;
      all.set(formatId(peer), { name, groups, addresses: [...pairOf(addresses), ...pairOf(link?.remote)] });
      own.addresses.push(...pairOf(link?.local));
    }
    return all;
  }

  /** A tunnel or a certificate is another one. The first of several is told at once, the others together. */
  touched(): void {
    this.#isDue = true;
    if (this.#notice === undefined) this.#tell();
  }

  close(): void {
    clearTimeout(this.#notice);
  }

  #tell(): void {
    this.#notice = undefined;
    if (!this.#isDue) return;
    this.#isDue = false;
    this.#notice = setTimeout(() => this.#tell(), NOTICE_MS).unref();
    this.#options.onChanged();
  }

  /** Makes sure that there is a list at all, if the overlay manager answers. */
  async prepare(): Promise<void> {
    if (this.#listed === undefined) await this.refresh();
  }

  /** The overlay manager's list has this number. Whether ours is another one. */
  isBehind(number: number): boolean {
    this.#newest = number;
    return number !== this.#number;
  }

  /** Asks the overlay manager. Where it does not answer, what was known stays. */
  refresh(): Promise<Result<void>> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<Result<void>> {
    const { list, data, membership, log } = this.#options;
    // What changes while the answer is on its way makes the number another one.
    const number = this.#newest;
    const answer = await list();
    if (!answer.ok) {
      log.warn(
        { problem: answer.message },
        'the list of the VI’s nodes could not be fetched; names mean whom they meant',
      );
      return answer;
    }
    this.#listed = answer.value;
    this.#number = number;
    this.touched();
    const saved = data.saveDirectory(membership(), answer.value);
    if (!saved.ok) log.error({ problem: saved.message }, 'the list of the VI’s nodes cannot be saved');
    return ok();
  }
}

function pairOf(end: LinkAddresses['local'] | undefined): string[] {
  return end === undefined ? [] : [end.ipv4, end.ipv6];
}
