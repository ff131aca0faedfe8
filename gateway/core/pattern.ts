/** What patterns of all kinds become: an expression for the native matcher. */

/** Matched with Unicode letters, and so that `.` is any character. */
export type Expression = {
  readonly text: string;
  readonly caseless: boolean;
  /** Of a text whose words are marked. */
  readonly words: boolean;
};

/** Columns are counted from 1, in the pattern. */
export type PatternError = { readonly column: number; readonly message: string };
export type Translated = { readonly ok: true; readonly value: Expression } | ({ readonly ok: false } & PatternError);

/** Longest pattern as it is written, characters. */
export const PATTERN_LENGTH_MAX = 1024;
/** Positions in an expression when its repetitions are written out; sets of letters weigh more than one. */
export const PATTERN_WEIGHT_MAX = 2048;
/** Counting repetitions go up to this. */
export const PATTERN_REPEAT_MAX = 255;
export const PATTERN_DEPTH_MAX = 32;

/** Blanks of all kinds, as Unicode and line ends have them. */
export const SPACE_CLASS =
  '\\t-\\r \\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}';

/** What sets of characters weigh, by the states that the matcher makes of them. */
export const WEIGHT = { character: 1, any: 4, class: 8, notSpace: 64 } as const;

/** So that it stands for itself, in a class too. */
export function literal(character: string): string {
  return /^[A-Za-z0-9]$/.test(character) ? character : `\\x{${(character.codePointAt(0) as number).toString(16)}}`;
}

export function refuse(column: number, message: string): Translated & { ok: false } {
  return { ok: false, column, message };
}

/** Half a character cannot be found in text that is whole. */
export function isWellFormed(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}
