import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { untilTrue } from '../../cli/demo/machine.ts';
import { namespacesWithPrefix, run } from '../../cli/demo/namespaces.ts';
import type { Findings } from '../../cli/demo/tour.ts';
import { World } from '../../cli/demo/world.ts';
import { COMMAND_FILE } from '../../cli/rd-launch.ts';
import { skip } from './topology.ts';

/** What demos have left on this machine, and the namespaces of other people's. */
async function left(): Promise<string[]> {
  const directories = readdirSync(tmpdir()).filter((name) => /^pxd[0-9a-f]{6}-/.test(name));
  return [...(await namespacesWithPrefix('pxd')), ...directories].sort();
}

test('the demo checks itself and cleans up', { skip, timeout: 120_000 }, async (context) => {
  const before = await left();
  const { code, stdout, stderr } = await run([
    process.execPath,
    COMMAND_FILE,
    'demo',
    '--check',
    '--nodes',
    '5',
    '--json',
  ]);
  assert.equal(code, 0, stderr);
  const findings = JSON.parse(stdout) as Findings;
  assert.deepEqual(findings.faults, []);
  assert.equal(findings.nodes, 5);
  assert.equal(findings.pings, 5 * 4 * 2);
  assert.ok(findings.failover !== null && findings.failover.ms < 10_000);
  assert.deepEqual(await left(), before);
  context.diagnostic(
    `5 nodes up after ${findings.upMs} ms, ideal after ${findings.idealMs} ms, checked after ${findings.checkedMs} ms; ` +
      `failover ${findings.failover.ms} ms`,
  );
});

test('a world that is removed while its first namespaces are being made leaves nothing', {
  skip,
  timeout: 30_000,
}, async (context) => {
  const slow = mkdtempSync(join(tmpdir(), 'pxw-slow-'));
  const path = process.env['PATH'] ?? '';
  context.after(() => {
    process.env['PATH'] = path;
    rmSync(slow, { recursive: true });
  });
  const { stdout } = await run(['sh', '-c', 'command -v ip']);
  const script = `#!/bin/sh\n[ "$1" != -batch ] || sleep 0.3\nexec ${stdout.trim()} "$@"\n`;
  writeFileSync(join(slow, 'ip'), script, { mode: 0o755 });
  process.env['PATH'] = `${slow}:${path}`;
  const world = new World({ kind: 'pxw' });
  const made = world.create().catch(() => undefined);
  await world.remove();
  await made;
  assert.deepEqual(await namespacesWithPrefix(world.id), []);
});

test('the demo cleans up when it is interrupted', { skip, timeout: 60_000 }, async () => {
  const before = await left();
  for (const delayMs of [300, 1500, 4000]) {
    const child = spawn(process.execPath, [COMMAND_FILE, 'demo', '--nodes', '3', '--check'], { stdio: 'ignore' });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await sleep(delayMs);
    child.kill('SIGINT');
    // null: the signal came before there was anything to clean up.
    assert.ok([130, null].includes(await ended), `after ${delayMs} ms`);
    assert.deepEqual(await left(), before, `after ${delayMs} ms`);
  }
});

test('a demo that is kept can be removed', { skip, timeout: 90_000 }, async () => {
  const before = await left();
  const { code, stdout, stderr } = await run([process.execPath, COMMAND_FILE, 'demo', '--nodes', '3', '--keep']);
  assert.equal(code, 0, stderr);
  const id = /demo --remove (pxd[0-9a-f]{6})/.exec(stdout)?.[1] ?? assert.fail(stdout);
  assert.ok((await left()).some((name) => name.startsWith(id)));
  const removed = await run([process.execPath, COMMAND_FILE, 'demo', '--remove', id]);
  assert.equal(removed.code, 0, removed.stderr);
  await untilTrue('the demo to be gone', 5000, 100, async () => (await left()).join() === before.join());
});
