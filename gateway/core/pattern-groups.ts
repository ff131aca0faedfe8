/** Lists of patterns, and patterns in rules: one group for each that is used with a subject. */
import { type Compilation, listLines, several, unknownName } from './compilation.ts';
import type { GroupExpression, Subject } from './compiled-policy.ts';
import { translateGlob } from './glob.ts';
import type { Expression, Translated } from './pattern.ts';
import type { Path } from './policy-document.ts';
import { type Place, quoted } from './problems.ts';
import { translateRegularExpression } from './regular-expression.ts';

/** All that are matched with anything; the native side has the same limit. */
export const EXPRESSIONS_MAX = 50_000;

type Pattern = { readonly text: string; readonly place: Place };

export class PatternGroups {
  readonly expressions: GroupExpression[] = [];
  readonly counts: Record<Subject, number> = { host: 0, fileName: 0, chatText: 0, chatFrom: 0, chatTo: 0 };
  readonly #compilation: Compilation;
  readonly #lists = new Map<string, readonly Pattern[]>();
  readonly #numbers = new Map<string, number>();
  #isFull = false;

  constructor(compilation: Compilation) {
    this.#compilation = compilation;
  }

  /** Every list, so that mistakes in those that no rule uses are told too. */
  checkAll(): void {
    for (const [name, list] of Object.entries(this.#named)) {
      if (list.patterns === undefined || this.#lists.has(name)) continue;
      for (const pattern of this.#patternsOfList(name)) this.#translate(pattern, 'fileName');
    }
  }

  /** The number of the group of what a rule's field gives. */
  numberOf(value: string | readonly string[], subject: Subject, path: Path): number {
    const key = JSON.stringify([subject, value]);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const group = this.counts[subject]++;
    this.#numbers.set(key, group);
    const seen = new Set<string>();
    for (const pattern of this.#patternsOf(value, path)) {
      if (seen.has(pattern.text)) continue;
      seen.add(pattern.text);
      const { text, place } = pattern;
      const expression = this.#translate({ text, place }, subject);
      if (expression !== undefined)
        this.#add({ subject, group, ...expression, line: place.line, column: place.column }, place);
    }
    return group;
  }

  get #named() {
    return this.#compilation.policy.lists ?? {};
  }

  #add(expression: GroupExpression, place: Place): void {
    if (this.expressions.length < EXPRESSIONS_MAX) this.expressions.push(expression);
    else if (!this.#isFull) {
      this.#isFull = true;
      this.#compilation.problems.error(place, `There are more than ${EXPRESSIONS_MAX} patterns; take some out.`);
    }
  }

  #patternsOf(value: string | readonly string[], path: Path): readonly Pattern[] {
    const { document, problems } = this.#compilation;
    const isAlone = !Array.isArray(value);
    return several(value).flatMap((text, i) => {
      const place = document.place(isAlone ? path : [...path, i]);
      if (Object.hasOwn(this.#named, text)) {
        if (this.#named[text]?.patterns !== undefined) return this.#patternsOfList(text);
        problems.error(place, `The list ${quoted(text)} has no patterns; give one that has.`);
        return [];
      }
      // A name outside of brackets is meant as one; a typing error must not become a pattern.
      if (isAlone && /^[\w-]+$/.test(text)) {
        const lists = Object.keys(this.#named).filter((name) => this.#named[name]?.patterns !== undefined);
        unknownName(problems, place, `list (a word is written as ['${text}'])`, text, lists);
        return [];
      }
      return [{ text, place }];
    });
  }

  #patternsOfList(name: string): readonly Pattern[] {
    const known = this.#lists.get(name);
    if (known !== undefined) return known;
    const { document, problems, files } = this.#compilation;
    const { patterns } = this.#named[name] ?? {};
    const path = ['lists', name, 'patterns'];
    let found: Pattern[] = [];
    if (Array.isArray(patterns)) {
      found = patterns.map((text, i) => ({ text, place: document.place([...path, i]) }));
    } else if (patterns !== undefined) {
      const file = files.readList(patterns.file);
      if ('error' in file) problems.error(document.place([...path, 'file']), `${file.path} ${file.error}`);
      else
        found = listLines(file.text).map(({ line, text }) => ({ text, place: { file: file.path, line, column: 1 } }));
    }
    this.#lists.set(name, found);
    return found;
  }

  #translate({ text, place }: Pattern, subject: Subject): Expression | undefined {
    const [, source, flags] = /^\/(.*)\/([a-z]*)$/s.exec(text) ?? [];
    let translated: Translated;
    let offset = 0;
    if (source === undefined) translated = translateGlob(text, subject === 'chatText' ? 'words' : 'name');
    else if (flags === '' || flags === 'i') {
      translated = translateRegularExpression(source, flags === 'i');
      offset = 1;
    } else translated = { ok: false, column: text.length, message: `the only flag is i, for /…/i` };
    if (translated.ok) return translated.value;
    const where = `character ${translated.column + offset}`;
    this.#compilation.problems.error(
      place,
      `The pattern ${quoted(text)} cannot be used, ${where}: ${translated.message}.`,
    );
    return undefined;
  }
}
