/** What is wrong with a policy, and where. */

/** Lines and columns are counted from 1. */
export type Place = { readonly file: string; readonly line: number; readonly column: number };

export type Problem = Place & {
  readonly severity: 'error' | 'warning';
  /** One sentence that says what to do. */
  readonly message: string;
};

/** More tell nothing new: the first ones are corrected first. */
export const PROBLEMS_MAX = 100;

export class Problems {
  readonly list: Problem[] = [];
  #errors = 0;

  error(place: Place, message: string): void {
    this.#errors++;
    if (this.list.length < PROBLEMS_MAX) this.list.push({ severity: 'error', ...place, message });
  }

  warn(place: Place, message: string): void {
    if (this.list.length < PROBLEMS_MAX) this.list.push({ severity: 'warning', ...place, message });
  }

  get failed(): boolean {
    return this.#errors > 0;
  }
}

export function formatProblem({ file, line, column, severity, message }: Problem): string {
  return `${file}:${line}:${column}: ${severity}: ${message}`;
}

/** What a file has to say at this place, shortened to what fits into a sentence. */
export function quoted(text: string): string {
  const shown = text.length > 48 ? `${text.slice(0, 47)}…` : text;
  return `'${shown.replaceAll(/\p{Cc}/gu, '�')}'`;
}

/** The known name that is nearest to a mistyped one, if any is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const near = known
    .map((other) => ({ other, distance: distanceOf(name.toLowerCase(), other.toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .sort((a, b) => a.distance - b.distance);
  return near[0]?.other;
}

/** Of Levenshtein; names are short. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
