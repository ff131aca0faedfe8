/** Lists of SHA-256 hashes, and hashes in rules. */
import { type Compilation, listLines, several, unknownName } from './compilation.ts';
import type { Path } from './policy-document.ts';
import { type Place, quoted } from './problems.ts';

/** All lists together; the native side has the same limit. */
export const HASHES_MAX = 2_000_000;

const HASH = /^[0-9a-fA-F]{64}$/;

export class HashLists {
  readonly table: (readonly Uint8Array[])[] = [];
  readonly #compilation: Compilation;
  readonly #numbers = new Map<string, number>();
  #total = 0;

  constructor(compilation: Compilation) {
    this.#compilation = compilation;
  }

  checkAll(): void {
    for (const [name, list] of Object.entries(this.#named)) {
      if (list.sha256 !== undefined) this.#listOf(name);
    }
  }

  /** The numbers of the lists of a rule's field. */
  numbersOf(value: string | readonly string[], path: Path): number[] {
    const { document, problems } = this.#compilation;
    const single: [string, Place][] = [];
    const numbers = new Set<number>();
    for (const [i, item] of several(value).entries()) {
      const place = document.place(Array.isArray(value) ? [...path, i] : path);
      if (HASH.test(item)) single.push([item, place]);
      else if (this.#named[item]?.sha256 !== undefined && Object.hasOwn(this.#named, item))
        numbers.add(this.#listOf(item));
      else if (Object.hasOwn(this.#named, item))
        problems.error(place, `The list ${quoted(item)} has no sha256; give one that has.`);
      else if (/^[0-9a-fA-F]{20,}$/.test(item))
        problems.error(place, `${quoted(item)} is no SHA-256; it has 64 hexadecimal digits.`);
      else
        unknownName(
          problems,
          place,
          'list',
          item,
          Object.keys(this.#named).filter((name) => this.#named[name]?.sha256 !== undefined),
        );
    }
    if (single.length > 0)
      numbers.add(
        this.#add(
          single.map(([text]) => text),
          (single[0] as [string, Place])[1],
        ),
      );
    return [...numbers];
  }

  get #named() {
    return this.#compilation.policy.lists ?? {};
  }

  #listOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const { document, problems, files } = this.#compilation;
    const { sha256 } = this.#named[name] ?? {};
    const path = ['lists', name, 'sha256'];
    let found: { readonly text: string; readonly place: Place }[] = [];
    if (Array.isArray(sha256)) {
      found = sha256.map((text, i) => ({ text, place: document.place([...path, i]) }));
    } else if (sha256 !== undefined) {
      const file = files.readList(sha256.file);
      if ('error' in file) problems.error(document.place([...path, 'file']), `${file.path} ${file.error}`);
      // As sha256sum writes them: what follows the hash is the name of a file.
      else
        found = listLines(file.text).map(({ line, text }) => ({
          text: text.split(/\s/)[0] ?? '',
          place: { file: file.path, line, column: 1 },
        }));
    }
    const good = found.filter(({ text, place }) => {
      if (HASH.test(text)) return true;
      problems.error(place, `${quoted(text)} is no SHA-256; it has 64 hexadecimal digits.`);
      return false;
    });
    const number = this.#add(
      good.map(({ text }) => text),
      document.place(path),
    );
    this.#numbers.set(name, number);
    return number;
  }

  #add(hashes: readonly string[], place: Place): number {
    const sorted = [...new Set(hashes.map((hash) => hash.toLowerCase()))].sort();
    this.#total += sorted.length;
    if (this.#total > HASHES_MAX) {
      this.#compilation.problems.error(place, `There are more than ${HASHES_MAX} hashes; take some out.`);
      return 0;
    }
    return this.table.push(sorted.map(bytesOf)) - 1;
  }
}

function bytesOf(hexadecimal: string): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(hexadecimal.slice(i * 2, i * 2 + 2), 16));
}
