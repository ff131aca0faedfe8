import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fail } from '../../overlay/errors.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok } from '../../overlay/lib/result.ts';
import { Answering } from '../driver/answering.ts';

test('a server’s silence is said once, and its return', () => {
  const said: string[] = [];
  const log = {
    warn: ({ problem }: { problem: string }, text: string) => said.push(`${text}: ${problem}`),
    info: (text: string) => said.push(text),
  } as unknown as Log;
  const answering = new Answering('the oracle', log);
  for (const answer of [ok(), fail('TIMEOUT', 'a'), fail('TIMEOUT', 'b'), ok(), ok()]) answering.note(answer);
  assert.deepEqual(said, ['no answer of the oracle: a', 'the oracle answers again']);
  answering.note(fail('TIMEOUT', 'c'));
  assert.equal(answering.problem, 'c');
});
