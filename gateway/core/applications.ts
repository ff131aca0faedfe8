/** Names of applications in rules: built in, or given by signature files. */
import { type Compilation, several, unknownName } from './compilation.ts';
import type { Path } from './policy-document.ts';
import { APPLICATION_OWN_FIRST, APPLICATIONS, applicationNumber } from './vocabulary.ts';

export type NamedApplication = { readonly name: string; readonly number: number };

export class Applications {
  /** Those that rules use and only signature files name. */
  readonly own: string[] = [];
  readonly #compilation: Compilation;
  readonly #signatures: ReadonlySet<string>;

  constructor(compilation: Compilation) {
    this.#compilation = compilation;
    this.#signatures = this.#readSignatures();
  }

  named(value: string | readonly string[], path: Path): NamedApplication[] {
    const { document, problems } = this.#compilation;
    return several(value).flatMap((name, i) => {
      const number = applicationNumber(name);
      if (number !== undefined) return [{ name: APPLICATIONS[number] as string, number }];
      if (this.#signatures.has(name)) return [{ name, number: this.#ownNumber(name) }];
      const place = document.place(Array.isArray(value) ? [...path, i] : path);
      unknownName(problems, place, 'application', name, [...APPLICATIONS, ...this.#signatures]);
      return [];
    });
  }

  #ownNumber(name: string): number {
    const index = this.own.indexOf(name);
    return APPLICATION_OWN_FIRST + (index >= 0 ? index : this.own.push(name) - 1);
  }

  /** Their expressions are the native side's to read. */
  #readSignatures(): ReadonlySet<string> {
    const { document, problems, files, policy } = this.#compilation;
    const names = new Set<string>();
    for (const [i, path] of (policy.signatures ?? []).entries()) {
      for (const file of files.readSignatures(path)) {
        const name = 'text' in file ? nameIn(file.text) : undefined;
        if ('error' in file) problems.error(document.place(['signatures', i]), `${file.path} ${file.error}`);
        else if (name === undefined)
          problems.error(
            { file: file.path, line: 1, column: 1 },
            'It names no protocol; write the name on a line, and an expression on the next.',
          );
        else names.add(name);
      }
    }
    return names;
  }
}

/** The first line that is neither empty nor a comment. */
function nameIn(text: string): string | undefined {
  const line = text.split('\n').find((candidate) => candidate.trim() !== '' && !candidate.startsWith('#'));
  return line === undefined || !/^[\w.-]{1,64}$/.test(line.trim()) ? undefined : line.trim();
}
