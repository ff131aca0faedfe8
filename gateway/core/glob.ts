/**
 * Words and globs. Of a name they match the whole: `*` any characters, `?` one, `[a-z]` one of these, `[!a-z]` one of the
 * others. In a text they match words anywhere: there `*` and `?` stand for characters of a word, and a blank for blanks.
 * Letter case does not matter; a backslash makes the next character ordinary.
 */
import {
  isWellFormed,
  literal,
  NOT_WORD,
  PATTERN_LENGTH_MAX,
  PATTERN_WEIGHT_MAX,
  refuse,
  SPACE_CLASS,
  type Translated,
} from './pattern.ts';

/** Of what stands for many characters. */
const WILD_WEIGHT = 32;

export type Manner = 'name' | 'text';

export function translateGlob(pattern: string, manner: Manner): Translated {
  const characters = Array.from(pattern);
  if (characters.length === 0) return refuse(1, 'an empty pattern matches nothing');
  if (characters.length > PATTERN_LENGTH_MAX)
    return refuse(1, `a pattern has at most ${PATTERN_LENGTH_MAX} characters`);
  if (!isWellFormed(pattern)) return refuse(1, 'here is a character that no text has');
  const any = manner === 'name' ? '.' : `[^${SPACE_CLASS}]`;
  let out = '';
  let weight = 0;
  for (let at = 0; at < characters.length; ) {
    const character = characters[at] as string;
    if (character === '\\') {
      const next = characters[at + 1];
      if (next === undefined) return refuse(at + 1, 'a backslash ends the pattern; write two for the character');
      out += literal(next);
      at += 2;
    } else if (character === '[') {
      const end = classEnd(characters, at);
      if (end === undefined) return refuse(at + 1, "this '[' has no ']'; write \\[ for the character");
      const members = classOf(characters.slice(at + 1, end));
      if (members === undefined) return refuse(at + 1, 'a range in these brackets ends before it begins');
      out += members;
      weight += WILD_WEIGHT;
      at = end + 1;
    } else {
      if (character === '*' || character === '?' || character === ' ') weight += WILD_WEIGHT;
      out += character === '*' ? `${any}*` : character === '?' ? any : textOf(character, manner);
      at++;
    }
  }
  if (weight > PATTERN_WEIGHT_MAX)
    return refuse(1, `a pattern has at most ${PATTERN_WEIGHT_MAX / WILD_WEIGHT} wildcards and blanks`);
  const expression = manner === 'name' ? `\\A${out}\\z` : `(?:\\A|${NOT_WORD})${out}(?:\\z|${NOT_WORD})`;
  return { ok: true, value: { text: expression, caseless: true } };
}

function textOf(character: string, manner: Manner): string {
  return character === ' ' && manner === 'text' ? `[${SPACE_CLASS}]+` : literal(character);
}

/** A `]` directly behind the beginning is a member. */
function classEnd(characters: readonly string[], start: number): number | undefined {
  const first = characters[start + 1] === '!' ? start + 2 : start + 1;
  const end = characters.indexOf(']', first + 1);
  return end < 0 ? undefined : end;
}

function classOf(inside: readonly string[]): string | undefined {
  const negated = inside[0] === '!';
  const members = negated ? inside.slice(1) : inside;
  let out = negated ? '[^' : '[';
  for (let at = 0; at < members.length; at++) {
    const first = members[at] as string;
    const last = members[at + 1] === '-' ? members[at + 2] : undefined;
    out += literal(first);
    if (last === undefined) continue;
    if ((last.codePointAt(0) as number) < (first.codePointAt(0) as number)) return undefined;
    out += `-${literal(last)}`;
    at += 2;
  }
  return `${out}]`;
}
