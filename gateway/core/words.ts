/**
 * Words in texts. The native side puts a mark in front of each word of a text and another one behind it, so that a pattern
 * finds the ends of words without knowing what letters are; native/gateway/policy/marked_words.h has the same table.
 */
export const WORD_BEGIN = '\u0001';
export const WORD_END = '\u0002';

/** Beyond ASCII everything is part of a word but these: blanks, punctuation and symbols. First and last of each range. */
export const NOT_WORDS: readonly (readonly [number, number])[] = [
  [0x80, 0xa9],
  [0xab, 0xb4],
  [0xb6, 0xb9],
  [0xbb, 0xbf],
  [0xd7, 0xd7],
  [0xf7, 0xf7],
  [0x1680, 0x1680],
  [0x2000, 0x206f],
  [0x20a0, 0x20cf],
  [0x2190, 0x2bff],
  [0x2e00, 0x2e7f],
  [0x3000, 0x3004],
  [0x3008, 0x3020],
  [0x3030, 0x3030],
  [0xfe10, 0xfe1f],
  [0xfe30, 0xfe6f],
  [0xfeff, 0xff0f],
  [0xff1a, 0xff20],
  [0xff3b, 0xff40],
  [0xff5b, 0xff65],
  [0xfff0, 0xffff],
  [0x1f000, 0x1faff],
];

export function isWordCharacter(character: string): boolean {
  const code = character.codePointAt(0) as number;
  if (code < 0x80) return /[0-9A-Za-z_]/.test(character);
  return !NOT_WORDS.some(([first, last]) => code >= first && code <= last);
}
