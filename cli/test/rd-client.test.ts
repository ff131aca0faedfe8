import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { FromControl } from '../../overlay/messages/control.ts';
import { askRd, rdAnswers } from '../rd-client.ts';
import { controlServer } from './control-server.ts';

const status: FromControl = {
  t: 'status',
  pid: 1,
  version: '0',
  underlay: { address: '::', port: 4780 },
  startedAt: 0,
  nodes: [],
  drops: {},
};

async function serving(context: TestContext, ...answer: Parameters<typeof controlServer>): Promise<string> {
  const server = await controlServer(...answer);
  context.after(() => server.close());
  return server.run;
}

test('an answer comes after progress', async (context) => {
  const run = await serving(context, () => [{ t: 'progress', step: 'one' }, { t: 'progress', step: 'two' }, status]);
  const steps: string[] = [];
  const result = await askRd(run, { t: 'status' }, 'status', { onProgress: (step) => steps.push(step) });
  assert.ok(result.ok);
  assert.equal(result.value.underlay.port, 4780);
  assert.deepEqual(steps, ['one', 'two']);
});

test('a failure of the daemon is the failure of the question', async (context) => {
  const run = await serving(context, () => [{ t: 'failed', code: 'DUPLICATE_NAME', message: 'The name is taken.' }]);
  const result = await askRd(run, { t: 'status' }, 'status');
  assert.deepEqual(result, { ok: false, code: 'DUPLICATE_NAME', message: 'The name is taken.' });
});

test('an answer to another question is refused', async (context) => {
  const run = await serving(context, () => [{ t: 'done' }]);
  const result = await askRd(run, { t: 'status' }, 'status');
  assert.equal(result.ok ? '' : result.code, 'BAD_MESSAGE');
});

test('a daemon that hangs up or says nothing is a failure in time', async (context) => {
  const closing = await serving(context, (_question, socket) => (socket.end(), []));
  const closed = await askRd(closing, { t: 'status' }, 'status');
  assert.equal(closed.ok ? '' : closed.code, 'RD_UNREACHABLE');
  const silent = await serving(context, () => []);
  const timed = await askRd(silent, { t: 'status' }, 'status', { timeoutMs: 50 });
  assert.equal(timed.ok ? '' : timed.code, 'TIMEOUT');
});

test('garbage from the socket is a failure', async (context) => {
  const run = await serving(context, (_question, socket) => (socket.write(Buffer.from([0, 0, 0, 9, 1, 2])), []));
  const wrong = await serving(context, (_question, socket) => (socket.write(Buffer.from([0, 0, 0, 2, 7, 2])), []));
  const truncated = await askRd(run, { t: 'status' }, 'status', { timeoutMs: 50 });
  assert.equal(truncated.ok ? '' : truncated.code, 'TIMEOUT');
  const version = await askRd(wrong, { t: 'status' }, 'status');
  assert.equal(version.ok ? '' : version.code, 'BAD_VERSION');
});

test('where no daemon runs, the sentence says how to start one', async () => {
  const result = await askRd('/nonexistent', { t: 'status' }, 'status');
  assert.equal(result.ok ? '' : result.code, 'RD_UNREACHABLE');
  assert.match(result.ok ? '' : result.message, /rd start/);
  assert.equal(await rdAnswers('/nonexistent'), false);
});
