/**
 * Globs of names and of words. Of a name they match the whole: `*` any characters, `?` one, `[a-z]` one of these, `[!a-z]` one
 * of the others. In a text they match whole words anywhere: there the wildcards stand for characters of a word, and a blank
 * for one or more. Letter case does not matter; a backslash makes the next character ordinary.
 */
import {
  isWellFormed,
  literal,
  PATTERN_LENGTH_MAX,
  PATTERN_WEIGHT_MAX,
  refuse,
  SPACE_CLASS,
  type Translated,
  WEIGHT,
} from './pattern.ts';
import { isWordCharacter, WORD_BEGIN, WORD_END } from './words.ts';

export type Manner = 'name' | 'words';

/** What one place of a glob is matched by; `any` and `members` are wildcards. */
type Atom =
  | { readonly kind: 'character'; readonly character: string }
  | { readonly kind: 'any'; readonly isRepeated: boolean }
  | { readonly kind: 'members'; readonly inside: string; readonly negated: boolean };

export function translateGlob(pattern: string, manner: Manner): Translated {
  const characters = Array.from(pattern);
  if (characters.length === 0) return refuse(1, 'an empty pattern matches nothing');
  if (characters.length > PATTERN_LENGTH_MAX) {
    return refuse(1, `a pattern has at most ${PATTERN_LENGTH_MAX} characters`);
  }
  if (!isWellFormed(pattern)) return refuse(1, 'here is a character that no text has');
  const atoms = atomsOf(characters);
  if (!Array.isArray(atoms)) return atoms;
  const weights = { character: WEIGHT.character, any: WEIGHT.any, members: WEIGHT.class };
  const weight = atoms.reduce((sum, { kind }) => sum + weights[kind], 0);
  if (weight > PATTERN_WEIGHT_MAX) return refuse(1, 'the pattern has too many wildcards; make it simpler');
  const text = manner === 'name' ? nameExpression(atoms) : wordsExpression(atoms);
  return { ok: true, value: { text, caseless: true, words: manner === 'words' } };
}

function atomsOf(characters: readonly string[]): Atom[] | (Translated & { ok: false }) {
  const atoms: Atom[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] as string;
    if (character === '\\') {
      const next = characters[++at];
      if (next === undefined) return refuse(at, 'a backslash ends the pattern; write two for the character');
      atoms.push({ kind: 'character', character: next });
    } else if (character === '[') {
      const end = classEnd(characters, at);
      if (end === undefined) return refuse(at + 1, "this '[' has no ']'; write \\[ for the character");
      const members = membersOf(characters.slice(at + 1, end));
      if (members === undefined) return refuse(at + 1, 'a range in these brackets ends before it begins');
      atoms.push(members);
      at = end;
    } else if (character === '*' || character === '?') {
      atoms.push({ kind: 'any', isRepeated: character === '*' });
    } else atoms.push({ kind: 'character', character });
  }
  return atoms;
}

function nameExpression(atoms: readonly Atom[]): string {
  const parts = atoms.map((atom) => {
    if (atom.kind === 'character') return literal(atom.character);
    if (atom.kind === 'any') return atom.isRepeated ? '.*' : '.';
    return `[${atom.negated ? '^' : ''}${atom.inside}]`;
  });
  return `\\A${parts.join('')}\\z`;
}

/** In a text whose words have marks at both ends; so inside of a word there are no marks. */
function wordsExpression(atoms: readonly Atom[]): string {
  const marks = literal(WORD_BEGIN) + literal(WORD_END);
  let out = '';
  let inWord = false;
  for (const atom of atoms) {
    const isWord = atom.kind !== 'character' || isWordCharacter(atom.character);
    if (isWord !== inWord) out += literal(isWord ? WORD_BEGIN : WORD_END);
    inWord = isWord;
    if (atom.kind === 'character') out += atom.character === ' ' ? `[${SPACE_CLASS}]+` : literal(atom.character);
    else if (atom.kind === 'any') out += `[^${marks}]${atom.isRepeated ? '*' : ''}`;
    else out += `[${atom.negated ? `^${marks}` : ''}${atom.inside}]`;
  }
  return inWord ? out + literal(WORD_END) : out;
}

/** A `]` directly behind the beginning is a member. */
function classEnd(characters: readonly string[], start: number): number | undefined {
  const first = characters[start + 1] === '!' ? start + 2 : start + 1;
  const end = characters.indexOf(']', first + 1);
  return end < 0 ? undefined : end;
}

function membersOf(inside: readonly string[]): Atom | undefined {
  const negated = inside[0] === '!';
  const members = negated ? inside.slice(1) : inside;
  let out = '';
  for (let at = 0; at < members.length; at++) {
    const first = members[at] as string;
    const last = members[at + 1] === '-' ? members[at + 2] : undefined;
    out += literal(first);
    if (last === undefined) continue;
    if ((last.codePointAt(0) as number) < (first.codePointAt(0) as number)) return undefined;
    out += `-${literal(last)}`;
    at += 2;
  }
  return { kind: 'members', inside: out, negated };
}
