import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { processesIn } from '../../cli/demo/namespaces.ts';
import { COMMAND_FILE } from '../../cli/rd-launch.ts';
import { parseInvitation } from '../../overlay/invitation.ts';
import { ringFor, skip, VI } from './topology.ts';

const P2PD_UID = 64_747;
const NOBODY = 65_534;

function statusField(pid: number, field: string): string {
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
}

function runAsNobody(args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number | null; stderr: string }>();
  const child = spawn(process.execPath, [COMMAND_FILE, ...args], { uid: NOBODY, gid: NOBODY });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.on('close', (code) => resolve({ code, stderr }));
  return promise;
}

/** Files below that somebody else than their owner may open. */
function openToOthers(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => (statSync(path).mode & 0o077) !== 0);
}

test('P2P daemons have no privileges, strangers have no access, secrets stay secret', {
  skip,
  timeout: 60_000,
}, async (context) => {
  const { world, members } = await ringFor(context, 2, { order: 'at once' });
  const { machine, node } = members[0] ?? assert.fail();
  const p2pd = node.p2pdPid ?? assert.fail();
  assert.deepEqual(new Set(statusField(p2pd, 'Uid').split('\t')), new Set([String(P2PD_UID)]));
  assert.deepEqual(new Set(statusField(p2pd, 'Gid').split('\t')), new Set([String(P2PD_UID)]));
  for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb']) assert.match(statusField(p2pd, set), /^0+$/, set);

  for (const directory of [machine.data, world.om.data]) {
    assert.equal(statSync(directory).mode & 0o077, 0, directory);
    // Behind a directory that only its owner may enter, a database need not be closed once more.
    assert.deepEqual(
      openToOthers(directory).filter((path) => !/\.sqlite(-wal|-shm)?$/.test(path)),
      [],
    );
  }
  assert.equal(statSync(join(machine.run, 'rd.sock')).mode & 0o077, 0);
  const refused = await runAsNobody(['status', '--run', machine.run]);
  assert.equal(refused.code, 3, refused.stderr);
  assert.match(refused.stderr, /run this as root/);
  // Even with the socket open to all, the daemon asks who calls.
  chmodSync(join(machine.run, 'rd.sock'), 0o666);
  const turnedAway = await runAsNobody(['status', '--run', machine.run]);
  assert.notEqual(turnedAway.code, 0);
  assert.ok(((await machine.status()).drops['controlRefused'] ?? 0) > 0);

  const token = readFileSync(join(world.om.data, 'admin-token'), 'utf8').trim();
  const invitation = await world.invite(VI);
  const parsed = parseInvitation(invitation);
  assert.ok(parsed.ok);
  const secrets = [token, invitation, Buffer.from(parsed.value.secret).toString('base64')];
  const logs = [world.om.logTail('om.log', 10_000), machine.logTail(join('data', 'rd.log'), 10_000)];
  const pids = [...(await processesIn(machine.namespace)), ...(await processesIn(world.om.namespace))];
  const lines = pids.map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  for (const text of [...logs, ...lines]) {
    for (const secret of secrets) assert.ok(!text.includes(secret), 'a secret is in a log or a command line');
    assert.doesNotMatch(text, /PRIVATE KEY/);
  }
});
