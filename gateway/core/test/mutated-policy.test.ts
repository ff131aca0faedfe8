/** Whatever a policy's text is: it compiles into an image, or there is an error in one of its lines. Nothing is thrown. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { below, type Rng, seededRng } from '../../../overlay/lib/rng.ts';
import { compilePolicy } from '../compile.ts';
import { writePolicyImage } from '../policy-image.ts';
import { FILES } from './policy-cases.ts';

const PIECES = [
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '- ',
  '"',
  "'",
  '\n',
  ' ',
  '&a ',
  '*a',
  '!x ',
  '|',
  '>',
  '#',
  '-1',
  '1e99',
  'null',
  '{}',
  '[]',
  '/(/',
  '\\',
  '__proto__',
  'é',
  '\ud800',
  '\0',
];

test('mutated policies are compiled or refused', () => {
  const document = readFileSync(new URL('../../../docs/gateway-policy.md', import.meta.url), 'utf8');
  const [, example] = /```yaml\n([\s\S]*?)```/.exec(document) as unknown as [string, string];
  const rng = seededRng(4);
  let compiled = 0;
  for (let round = 0; round < 800; round++) {
    const text = mutated(example, rng);
    const { policy, problems } = compilePolicy('p.yaml', text, FILES);
    const lines = text.split(/\r\n|\n|\r/).length;
    for (const { line, column, message } of problems) {
      assert.ok(line >= 1 && line <= lines && column >= 1, `${line}:${column} of ${lines}: ${message}\n${text}`);
      assert.doesNotMatch(message, /undefined|\[object/);
    }
    if (policy === undefined) assert.ok(problems.some(({ severity }) => severity === 'error'));
    else {
      compiled++;
      writePolicyImage(policy);
    }
  }
  assert.ok(compiled > 50 && compiled < 750, `${compiled} compiled`);
});

function mutated(text: string, rng: Rng): string {
  let result = text;
  for (let changes = 1 + below(rng, 3); changes > 0; changes--) {
    const at = below(rng, result.length);
    const piece =
      below(rng, 3) === 0
        ? result.slice(below(rng, result.length)).slice(0, below(rng, 40))
        : PIECES[below(rng, PIECES.length)];
    result = result.slice(0, at) + piece + result.slice(at + (below(rng, 2) === 0 ? 0 : below(rng, 12)));
  }
  return result;
}
