/** Patterns: what is refused and where, and what the expressions mean. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { translateGlob } from '../glob.ts';
import { translateRegularExpression } from '../regular-expression.ts';

const REFUSED: readonly (readonly [string, number, RegExp])[] = [
  ['', 1, /empty/],
  ['a(b', 2, /not closed/],
  ['ab)', 3, /closes nothing/],
  ['*a', 1, /nothing for \* to repeat/],
  ['a**', 3, /two repetitions/],
  ['a{2}{3}', 5, /two repetitions/],
  ['a{5,2}', 2, /ends before it begins/],
  ['a{256}', 2, /goes up to 255/],
  ['a{x}', 2, /a repetition is/],
  ['(?=a)', 1, /only \(\?:/],
  ['(a)\\1', 4, /not supported/],
  ['\\bword', 1, /not supported/],
  ['a^b', 2, /\^ stands at the beginning/],
  ['(^a)', 2, /\^ stands outside of groups/],
  ['a$b', 2, /\$ stands at the end/],
  ['[a', 1, /not closed/],
  ['[]', 1, /empty/],
  ['[z-a]', 2, /ends before it begins/],
  ['[\\W]', 2, /not supported in brackets/],
  ['\\x4', 1, /two hexadecimal digits/],
  ['\\u{d800}', 1, /two hexadecimal digits/],
  ['a\\', 2, /a backslash ends/],
  ['(?:a{100}){100}', 1, /too large/],
  ['('.repeat(40), 34, /too deeply/],
];

for (const [source, column, message] of REFUSED) {
  test(`refused: /${source.slice(0, 20)}/`, () => {
    const result = translateRegularExpression(source, false);
    assert.ok(!result.ok);
    assert.match(result.message, message);
    assert.equal(result.column, column);
  });
}

test('operators cannot be smuggled in: but for letters and digits every character is a number', () => {
  const odd = '#%&"\',:;<=>@`~!-';
  const result = translateRegularExpression(odd, false);
  assert.ok(result.ok);
  assert.match(result.value.text, /^(?:\\x\{[0-9a-f]+\})+$/);
});

test('a glob of a name is anchored, one of words has marks at the ends of words', () => {
  const name = translateGlob('*.mp3', 'name');
  const words = translateGlob('top s*t!', 'words');
  assert.ok(name.ok && words.ok);
  assert.equal(name.value.text, '\\A.*\\x{2e}mp3\\z');
  assert.match(words.value.text, /^\\x\{1\}top\\x\{2\}\[.*\]\+\\x\{1\}s\[\^\\x\{1\}\\x\{2\}\]\*t\\x\{2\}\\x\{21\}$/);
});

test('globs are refused with their place', () => {
  const column = (glob: string): number | undefined => {
    const result = translateGlob(glob, 'name');
    return result.ok ? undefined : result.column;
  };
  assert.deepEqual(['ab[c', 'a\\', '[z-a]', ''].map(column), [3, 2, 1, 1]);
  assert.equal(column('[]]a[!]]'), undefined);
});
