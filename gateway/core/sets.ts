/** Named addresses, and addresses in rules. */
import { merged, parseAddressRanges } from './address-sets.ts';
import { type Compilation, several, unknownName } from './compilation.ts';
import { type AddressSet, networkNameIn, type UsedName } from './names.ts';
import type { Path } from './policy-document.ts';
import { quoted } from './problems.ts';

const NOTHING: AddressSet = { ranges: [], names: [] };

export class AddressSets {
  readonly table: AddressSet[] = [];
  readonly #used = new Map<string, UsedName>();
  readonly #compilation: Compilation;
  readonly #named = new Map<string, AddressSet>();
  /** Those that are being resolved, to notice a circle. */
  readonly #open = new Set<string>();
  readonly #numbers = new Map<string, number>();

  constructor(compilation: Compilation) {
    this.#compilation = compilation;
  }

  /** Every set, so that mistakes in those that no rule uses are told too. */
  checkAll(): void {
    for (const name of Object.keys(this.#sets)) this.#resolve(name);
  }

  /** Names of nodes and groups. */
  get used(): UsedName[] {
    return [...this.#used.values()];
  }

  /** The number of the set that a rule's field gives. */
  numberOf(value: string | readonly string[], path: Path): number {
    const set = united(several(value).map((item, i) => this.#setOf(item, Array.isArray(value) ? [...path, i] : path)));
    const key = [...set.ranges.map(({ first, last }) => `${first}-${last}`), ...set.names].join();
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.table.length);
    return this.table.push(set) - 1;
  }

  get #sets(): Readonly<Record<string, readonly string[]>> {
    return this.#compilation.policy.sets ?? {};
  }

  #setOf(item: string, path: Path): AddressSet {
    if (Object.hasOwn(this.#sets, item)) return this.#resolve(item, path);
    const ranges = parseAddressRanges(item);
    if (ranges !== undefined) return { ranges, names: [] };
    const { document, problems } = this.#compilation;
    const place = document.place(path);
    const name = networkNameIn(item);
    if (name !== undefined) return this.#nameOf(item, name.problem, path);
    if (/^[\da-fA-F.:]+[/-][\da-fA-F.:]*$/.test(item) || /^[\d.]+$/.test(item)) {
      problems.error(
        place,
        `${quoted(item)} is no address; give one, a prefix without host bits such as 10.77.8.0/24, or FIRST-LAST.`,
      );
    } else {
      unknownName(problems, place, 'set', item, Object.keys(this.#sets));
    }
    return NOTHING;
  }

  /** `problem`: the rest of a sentence about a name that nobody can have. */
  #nameOf(name: string, problem: string | undefined, path: Path): AddressSet {
    const { document, problems, scope } = this.#compilation;
    const place = document.place(path);
    if (problem !== undefined) {
      problems.error(place, `Nobody can be called ${quoted(name)}: ${problem}.`);
    } else if (scope === 'router') {
      problems.error(
        place,
        `Who is meant by ${quoted(name)} is known in a virtual Internet only: name it in sets, with addresses, or check with --vi NAME what virtual nodes are to go by.`,
      );
    } else {
      if (!this.#used.has(name)) this.#used.set(name, { name, place });
      return { ranges: [], names: [name] };
    }
    return NOTHING;
  }

  #resolve(name: string, from: Path = ['sets', name]): AddressSet {
    const known = this.#named.get(name);
    if (known !== undefined) return known;
    if (this.#open.has(name)) {
      const { document, problems } = this.#compilation;
      problems.error(
        document.place(from),
        `The set ${quoted(name)} names itself, by way of others; take one of them out.`,
      );
      return NOTHING;
    }
    this.#open.add(name);
    const set = united((this.#sets[name] ?? []).map((item, i) => this.#setOf(item, ['sets', name, i])));
    this.#open.delete(name);
    this.#named.set(name, set);
    return set;
  }
}

function united(sets: readonly AddressSet[]): AddressSet {
  return {
    ranges: merged(sets.flatMap(({ ranges }) => ranges)),
    names: [...new Set(sets.flatMap(({ names }) => names))].sort(),
  };
}
