/** Named addresses, and addresses in rules. */
import { type AddressRange, merged, parseAddressRanges } from './address-sets.ts';
import { type Compilation, several, unknownName } from './compilation.ts';
import type { Path } from './policy-document.ts';
import { quoted } from './problems.ts';

export class AddressSets {
  readonly table: (readonly AddressRange[])[] = [];
  readonly #compilation: Compilation;
  readonly #named = new Map<string, readonly AddressRange[]>();
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

  /** The number of the set that a rule's field gives. */
  numberOf(value: string | readonly string[], path: Path): number {
    const ranges = merged(
      several(value).flatMap((item, i) => this.#rangesOf(item, Array.isArray(value) ? [...path, i] : path)),
    );
    const key = ranges.map(({ first, last }) => `${first}-${last}`).join();
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.table.length);
    return this.table.push(ranges) - 1;
  }

  get #sets(): Readonly<Record<string, readonly string[]>> {
    return this.#compilation.policy.sets ?? {};
  }

  #rangesOf(item: string, path: Path): readonly AddressRange[] {
    if (Object.hasOwn(this.#sets, item)) return this.#resolve(item, path);
    const ranges = parseAddressRanges(item);
    if (ranges !== undefined) return ranges;
    const { document, problems } = this.#compilation;
    const place = document.place(path);
    if (/^[\da-fA-F.:]+[/-][\da-fA-F.:]*$/.test(item) || /^[\d.]+$/.test(item)) {
      problems.error(
        place,
        `${quoted(item)} is no address; give one, a prefix without host bits such as 10.77.8.0/24, or FIRST-LAST.`,
      );
    } else {
      unknownName(problems, place, 'set', item, Object.keys(this.#sets));
    }
    return [];
  }

  #resolve(name: string, from: Path = ['sets', name]): readonly AddressRange[] {
    const known = this.#named.get(name);
    if (known !== undefined) return known;
    if (this.#open.has(name)) {
      const { document, problems } = this.#compilation;
      problems.error(
        document.place(from),
        `The set ${quoted(name)} names itself, by way of others; take one of them out.`,
      );
      return [];
    }
    this.#open.add(name);
    const ranges = merged((this.#sets[name] ?? []).flatMap((item, i) => this.#rangesOf(item, ['sets', name, i])));
    this.#open.delete(name);
    this.#named.set(name, ranges);
    return ranges;
  }
}
