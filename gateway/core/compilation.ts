/** What the parts of the compiler share while they work on one policy. */
import type { PolicyDocument } from './policy-document.ts';
import type { PolicyFile } from './policy-schema.ts';
import { nearest, type Place, type Problems, quoted } from './problems.ts';

/** The files beside the policy; paths are as the policy writes them, relative to its place. */
export type PolicyFiles = {
  /** The text of a file of a list; an error is the rest of a sentence after the path. */
  readList(path: string): FileText;
  /** The texts of a signature file, or of all `.pat` files in a directory. */
  readSignatures(path: string): readonly FileText[];
};
export type FileText =
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly error: string };

export type Compilation = {
  readonly document: PolicyDocument;
  readonly policy: PolicyFile;
  readonly problems: Problems;
  readonly files: PolicyFiles;
  readonly scope: Scope;
};

/** Where the policy is to be in force: nodes and groups have a meaning in a virtual Internet only. */
export type Scope = 'router' | 'node';

/** An entry's name that does not exist. */
export function unknownName(
  problems: Problems,
  place: Place,
  what: string,
  name: string,
  known: readonly string[],
): void {
  const near = nearest(name, known);
  const advice =
    near !== undefined
      ? `do you mean ${quoted(near)}?`
      : known.length === 0
        ? `there are none yet; add it.`
        : `there are ${known.slice(0, 8).join(', ')}${known.length > 8 ? ', …' : ''}.`;
  problems.error(place, `No ${what} is called ${quoted(name)}; ${advice}`);
}

export function several<Item>(value: Item | readonly Item[]): readonly Item[] {
  return Array.isArray(value) ? (value as readonly Item[]) : [value as Item];
}

/** Lines of a file of a list that are no comments, with their numbers from 1. */
export function listLines(text: string): { readonly line: number; readonly text: string }[] {
  return text
    .split('\n')
    .map((line, i) => ({ line: i + 1, text: line.trim() }))
    .filter((line) => line.text !== '' && !line.text.startsWith('#'));
}
