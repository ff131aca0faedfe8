import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { askRd } from '../../cli/rd-client.ts';
import { encodeFrame, FRAME_BYTES_MAX } from '../../overlay/frames.ts';
import { toId } from '../../overlay/id.ts';
import { createLog } from '../../overlay/lib/log.ts';
import { ok } from '../../overlay/lib/result.ts';
import { type FromControl, fromControlCodec, toControlCodec } from '../../overlay/messages/control.ts';
import { type ControlHandler, ControlServer } from '../driver/control-server.ts';
import { testVi } from './network.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: the control socket serves nobody else';

async function serve(context: TestContext, handle: ControlHandler): Promise<string> {
  const run = mkdtempSync(join(tmpdir(), 'pxb-control-'));
  const server = new ControlServer(join(run, 'rd.sock'), handle, createLog('test', 'silent'));
  const listening = await server.listen();
  assert.ok(listening.ok);
  context.after(async () => {
    await server.stop();
    rmSync(run, { recursive: true, force: true });
  });
  return run;
}

/** Of about so many MiB. */
function nodesOf(megabytes: number): FromControl & { t: 'nodes' } {
  const about = { name: 'x'.repeat(2 ** 14), ipv4: '10.77.0.2', ipv6: 'fd00::2' };
  const nodes = Array.from({ length: megabytes * 2 ** 6 }, (_, i) => ({ id: toId(BigInt(i)), ...about }));
  return { t: 'nodes', vi: testVi(), complete: true, nodes };
}

test('answers longer than a frame arrive whole, after their progress', { skip }, async (context) => {
  const answer = nodesOf(10);
  assert.ok(fromControlCodec.encode(answer).length > 2 * FRAME_BYTES_MAX);
  const run = await serve(context, async (_question, progress) => {
    progress('looking');
    return ok(answer);
  });
  const steps: string[] = [];
  const answers = await Promise.all(
    [1, 2, 3].map(() => askRd(run, { t: 'nodes' }, 'nodes', { onProgress: (step) => steps.push(step) })),
  );
  for (const got of answers) {
    assert.ok(got.ok, got.ok ? '' : got.message);
    assert.deepEqual(got.value, answer);
  }
  assert.equal(steps.length, 3);
});

test('an answer that is too long is a failure', { skip }, async (context) => {
  const run = await serve(context, async () => ok(nodesOf(65)));
  const got = await askRd(run, { t: 'nodes' }, 'nodes');
  assert.ok(!got.ok && got.code === 'LIMIT_REACHED', got.ok ? '' : got.message);
});

test('who goes away in the middle of an answer disturbs nobody', { skip }, async (context) => {
  const run = await serve(context, async () => ok(nodesOf(10)));
  const socket = connect(join(run, 'rd.sock'));
  socket.write(encodeFrame(toControlCodec.encode({ t: 'nodes' })));
  await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  assert.ok((await askRd(run, { t: 'nodes' }, 'nodes')).ok);
});
