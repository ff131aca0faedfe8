/** Patterns of every construct that the language has, and names that are likely to match them. */
import { below, fraction, type Rng } from '../../../overlay/lib/rng.ts';

const LETTERS = ['a', 'b', 'A', 'é', 'É', '1', '-', '.', ' ', '_', 'ß', '秘', '\u{1F600}'];

export function randomName(rng: Rng): string {
  return Array.from({ length: 1 + below(rng, 6) }, () => LETTERS[below(rng, LETTERS.length)]).join('');
}

export function randomGlob(rng: Rng): string {
  const part = (): string => {
    const letter = LETTERS[below(rng, LETTERS.length)] as string;
    return ['*', '?', '[a-b]', '[!aé]', '\\*', letter, letter, letter][below(rng, 8)] as string;
  };
  return Array.from({ length: 1 + below(rng, 5) }, part).join('');
}

export function randomRegularExpression(rng: Rng): string {
  const alternative = (): string =>
    (below(rng, 4) === 0 ? '^' : '') + sequence(rng, 2) + (below(rng, 4) === 0 ? '$' : '');
  const alternatives = Array.from({ length: 1 + below(rng, 2) }, alternative);
  return `/${alternatives.join('|')}/${fraction(rng) < 0.5 ? 'i' : ''}`;
}

function sequence(rng: Rng, depth: number): string {
  return Array.from({ length: 1 + below(rng, 3) }, () => atom(rng, depth) + repeat(rng)).join('');
}

function atom(rng: Rng, depth: number): string {
  const letter = LETTERS[below(rng, LETTERS.length)] as string;
  const plain = letter === '.' ? '\\.' : letter;
  const kind = below(rng, depth > 0 ? 9 : 7);
  if (kind < 2) return plain;
  if (kind >= 7)
    return `(${fraction(rng) < 0.5 ? '?:' : ''}${sequence(rng, depth - 1)}${fraction(rng) < 0.4 ? `|${sequence(rng, depth - 1)}` : ''})`;
  return ['.', '[ab1-]', '[^aé]', `\\${'dDwWsS'[below(rng, 6)]}`, '\\u{e9}'][kind - 2] as string;
}

function repeat(rng: Rng): string {
  return ['', '', '', '*', '+', '?', '{2}', '{1,3}', '{2,}', '*?'][below(rng, 10)] as string;
}
