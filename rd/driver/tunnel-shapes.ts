/** What shapes a node's tunnels: the definition of its VI, and for single peers what the command line has set. */
import { fail } from '../../overlay/errors.ts';
import type { Id } from '../../overlay/id.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { type LinkShape, parseTunnelWords, type TunnelShape, type TunnelWords } from '../../overlay/link-shape.ts';

/** Peers with a setting of their own, also those to which there is no tunnel now. */
export const SHAPED_PEERS_MAX = 4096;

export type ShapedPeer = { readonly id: Id; readonly name: string; readonly ipv4: string };
export type ShapeChange = { readonly out?: LinkShape; readonly in?: LinkShape };
type Setting = ShapeChange & { readonly peer: ShapedPeer };

/** Lives as long as its node: a tunnel that is made again gets its shape again. */
export class TunnelShapes {
  readonly #ofVi: TunnelShape;
  readonly #settings = new Map<Id, Setting>();

  /** The words come from the overlay manager, which has checked them. */
  constructor(ofVi: TunnelWords | undefined) {
    const parsed = parseTunnelWords(ofVi ?? {});
    if (!parsed.ok) throw new Error(`The VI's shape cannot be used: ${parsed.message}`);
    this.#ofVi = parsed.value;
  }

  of(peer: Id): TunnelShape {
    const setting = this.#settings.get(peer);
    return { out: setting?.out ?? this.#ofVi.out, in: setting?.in ?? this.#ofVi.in };
  }

  /** Where the shape of one direction comes from. */
  origin(peer: Id, way: 'out' | 'in'): 'command' | 'vi' | 'none' {
    if (this.#settings.get(peer)?.[way] !== undefined) return 'command';
    return this.#ofVi[way] === null ? 'none' : 'vi';
  }

  /** Directions that the change does not name stay. Gives what takes it back. */
  set(peer: ShapedPeer, change: ShapeChange): Result<() => void> {
    const before = this.#settings.get(peer.id);
    if (before === undefined && this.#settings.size >= SHAPED_PEERS_MAX) {
      return fail('LIMIT_REACHED', `${SHAPED_PEERS_MAX} peers have settings; clear those of peers that are gone.`);
    }
    this.#settings.set(peer.id, { ...before, ...change, peer });
    return ok(() => this.#restore(peer.id, before));
  }

  /** Gives what takes it back. */
  clear(peer: Id): () => void {
    const before = this.#settings.get(peer);
    this.#settings.delete(peer);
    return () => this.#restore(peer, before);
  }

  #restore(peer: Id, setting: Setting | undefined): void {
    if (setting === undefined) this.#settings.delete(peer);
    else this.#settings.set(peer, setting);
  }

  get peers(): readonly ShapedPeer[] {
    return [...this.#settings.values()].map(({ peer }) => peer);
  }
}
