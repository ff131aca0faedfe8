/**
 * Regular expressions of policies: the part of the usual syntax whose matching takes time in proportion to the text, and on
 * which everybody agrees. `^` and `$` are the beginning and the end of the whole text, and stand at the ends of
 * alternatives outside of groups only.
 */
import {
  isWellFormed,
  literal,
  PATTERN_DEPTH_MAX,
  PATTERN_LENGTH_MAX,
  PATTERN_REPEAT_MAX,
  PATTERN_WEIGHT_MAX,
  refuse,
  SPACE_CLASS,
  type Translated,
  WEIGHT,
} from './pattern.ts';

type NamedClass = { readonly inside: string; readonly negated: boolean; readonly weight: number };
const CLASSES: Readonly<Record<string, NamedClass>> = {
  d: { inside: '0-9', negated: false, weight: WEIGHT.class },
  D: { inside: '0-9', negated: true, weight: WEIGHT.class },
  w: { inside: '0-9A-Za-z_', negated: false, weight: WEIGHT.class },
  W: { inside: '0-9A-Za-z_', negated: true, weight: WEIGHT.class },
  s: { inside: SPACE_CLASS, negated: false, weight: WEIGHT.class },
  S: { inside: SPACE_CLASS, negated: true, weight: WEIGHT.notSpace },
};
const CONTROLS: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v' };
const OPERATORS = '\\^$.*+?()[]{}|/-';

class Refusal extends Error {
  readonly column: number;
  constructor(column: number, message: string) {
    super(message);
    this.column = column;
  }
}

type Part = { readonly text: string; readonly weight: number };

/** `source` is what stands between the slashes. */
export function translateRegularExpression(source: string, caseless: boolean): Translated {
  const characters = Array.from(source);
  if (characters.length === 0) return refuse(1, 'an empty expression matches everything');
  if (characters.length > PATTERN_LENGTH_MAX)
    return refuse(1, `a pattern has at most ${PATTERN_LENGTH_MAX} characters`);
  if (!isWellFormed(source)) return refuse(1, 'here is a character that no text has');
  try {
    const { text, weight } = new Translator(characters).run();
    if (weight <= PATTERN_WEIGHT_MAX) return { ok: true, value: { text, caseless, words: false } };
    return refuse(1, 'the expression is too large once its repetitions are written out; make it simpler');
  } catch (error) {
    if (error instanceof Refusal) return refuse(error.column, error.message);
    throw error;
  }
}

class Translator {
  readonly #characters: readonly string[];
  #at = 0;

  constructor(characters: readonly string[]) {
    this.#characters = characters;
  }

  run(): Part {
    const whole = this.#alternatives(0);
    if (this.#peek() === ')') this.#refuse('this ) closes nothing; write \\) for the character');
    return whole;
  }

  #peek(ahead = 0): string | undefined {
    return this.#characters[this.#at + ahead];
  }

  #refuse(message: string, at = this.#at): never {
    throw new Refusal(at + 1, message);
  }

  #alternatives(depth: number): Part {
    if (depth > PATTERN_DEPTH_MAX) this.#refuse('groups are nested too deeply');
    let { text, weight } = this.#sequence(depth);
    while (this.#peek() === '|') {
      this.#at++;
      const next = this.#sequence(depth);
      text += `|${next.text}`;
      weight += next.weight;
    }
    return { text, weight };
  }

  #sequence(depth: number): Part {
    let text = '';
    let weight = 0;
    if (this.#peek() === '^') {
      if (depth > 0) this.#refuse('^ stands outside of groups only; write \\^ for the character');
      text += '\\A';
      this.#at++;
    }
    for (let next = this.#peek(); next !== undefined && next !== '|' && next !== ')'; next = this.#peek()) {
      if (next === '$') {
        this.#at++;
        const after = this.#peek();
        if (depth > 0 || (after !== undefined && after !== '|')) {
          this.#refuse('$ stands at the end, outside of groups, only; write \\$ for the character', this.#at - 1);
        }
        text += '\\z';
        break;
      }
      const piece = this.#piece(depth);
      text += piece.text;
      weight += piece.weight;
    }
    return { text, weight };
  }

  #piece(depth: number): Part {
    const { text, weight } = this.#atom(depth);
    const repeat = this.#repeat();
    if (repeat === undefined) return { text, weight };
    const next = this.#peek();
    if (next === '*' || next === '+' || next === '{')
      this.#refuse('there are two repetitions of one thing; put it into a group');
    // Whether as much or as little as possible is matched makes no difference to whether there is a match.
    if (next === '?') this.#at++;
    return { text: `(?:${text})${repeat.text}`, weight: weight * repeat.times };
  }

  #atom(depth: number): Part {
    const character = this.#peek() as string;
    if (character === '(') return this.#group(depth);
    if (character === '[') return this.#class();
    if (character === '\\') return this.#escape();
    if (character === '.') {
      this.#at++;
      return { text: '.', weight: WEIGHT.any };
    }
    if (character === '*' || character === '+' || character === '?' || character === '{') {
      this.#refuse(`there is nothing for ${character} to repeat; write \\${character} for the character`);
    }
    if (character === '^') this.#refuse('^ stands at the beginning only; write \\^ for the character');
    if (character === ']' || character === '}') this.#refuse(`write \\${character} for the character`);
    this.#at++;
    return { text: literal(character), weight: WEIGHT.character };
  }

  #group(depth: number): Part {
    const open = this.#at++;
    if (this.#peek() === '?') {
      if (this.#peek(1) !== ':')
        this.#refuse('of (? there is only (?:…); looking ahead and behind is not supported', open);
      this.#at += 2;
    }
    const inside = this.#alternatives(depth + 1);
    if (this.#peek() !== ')') this.#refuse('this ( is not closed; write \\( for the character', open);
    this.#at++;
    return { text: `(?:${inside.text})`, weight: inside.weight };
  }

  #escape(): Part {
    const named = CLASSES[this.#peek(1) ?? ''];
    if (named === undefined) return { text: literal(this.#escapedCharacter()), weight: WEIGHT.character };
    this.#at += 2;
    return {
      text: `[${named.negated ? '^' : ''}${named.inside}]`,
      weight: named.weight,
    };
  }

  /** What a backslash makes of what follows, as one character. */
  #escapedCharacter(): string {
    const start = this.#at++;
    const next = this.#peek();
    if (next === undefined) this.#refuse('a backslash ends the expression; write two for the character', start);
    this.#at++;
    if (CONTROLS[next] !== undefined) return CONTROLS[next];
    if (OPERATORS.includes(next) || !/[\p{L}\p{N}_]/u.test(next)) return next;
    if (next !== 'x' && next !== 'u')
      this.#refuse(`\\${next} is not supported; there are \\d \\w \\s \\D \\W \\S \\n \\t \\xHH \\u{H}`, start);
    const rest = this.#characters.slice(this.#at, this.#at + 10).join('');
    const [all, digits] = (next === 'x' ? /^([0-9a-fA-F]{2})/ : /^\{([0-9a-fA-F]{1,6})\}/).exec(rest) ?? [];
    const code = Number.parseInt(digits ?? '', 16);
    if (all === undefined || !(code > 0 && code <= 0x10ffff) || (code >= 0xd800 && code < 0xe000)) {
      this.#refuse('write \\xHH with two hexadecimal digits, or \\u{H} with up to six, of a character', start);
    }
    this.#at += all.length;
    return String.fromCodePoint(code);
  }

  #class(): Part {
    const open = this.#at++;
    const negated = this.#peek() === '^';
    if (negated) this.#at++;
    let text = '';
    let weight: number = WEIGHT.class;
    while (this.#peek() !== ']') {
      if (this.#peek() === undefined) this.#refuse('this [ is not closed; write \\[ for the character', open);
      const named = this.#peek() === '\\' ? CLASSES[this.#peek(1) ?? ''] : undefined;
      if (named !== undefined) {
        if (named.negated) this.#refuse(`\\${this.#peek(1)} is not supported in brackets`);
        this.#at += 2;
        text += named.inside;
        weight += named.weight;
        continue;
      }
      const start = this.#at;
      const first = this.#member();
      text += literal(first);
      if (this.#peek() !== '-' || this.#peek(1) === ']' || this.#peek(1) === undefined) continue;
      this.#at++;
      if (this.#peek() === '\\' && CLASSES[this.#peek(1) ?? ''] !== undefined)
        this.#refuse('a range ends with a character');
      const last = this.#member();
      if ((last.codePointAt(0) as number) < (first.codePointAt(0) as number))
        this.#refuse('this range ends before it begins', start);
      text += `-${literal(last)}`;
    }
    this.#at++;
    if (text === '') this.#refuse('these brackets are empty', open);
    return { text: `[${negated ? '^' : ''}${text}]`, weight };
  }

  #member(): string {
    const character = this.#peek() as string;
    if (character === '\\') return this.#escapedCharacter();
    if (character === '[') this.#refuse('write \\[ for the character');
    this.#at++;
    return character;
  }

  /** `times`: how often what is repeated is written out. */
  #repeat(): { readonly text: string; readonly times: number } | undefined {
    const character = this.#peek();
    if (character === '*' || character === '+' || character === '?') {
      this.#at++;
      return { text: character, times: 1 };
    }
    if (character !== '{') return undefined;
    const rest = this.#characters.slice(this.#at, this.#at + 12).join('');
    const [all, least, comma, most] = /^\{(\d{1,4})(?:(,)(\d{1,4})?)?\}/.exec(rest) ?? [];
    if (all === undefined) this.#refuse('a repetition is {2}, {2,} or {2,5}; write \\{ for the character');
    const from = Number(least);
    const to = most === undefined ? from : Number(most);
    if (to > PATTERN_REPEAT_MAX) this.#refuse(`a repetition goes up to ${PATTERN_REPEAT_MAX}`);
    if (to < from || to === 0) this.#refuse('this repetition ends before it begins');
    this.#at += all.length;
    return { text: `{${from}${comma ?? ''}${most === undefined ? '' : to}}`, times: Math.max(to, 1) };
  }
}
