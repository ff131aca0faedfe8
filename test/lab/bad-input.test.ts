import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pingAllPairs } from '../../cli/demo/check.ts';
import { run, within } from '../../cli/demo/namespaces.ts';
import { ringFor, skip, sum } from './topology.ts';

const STRANGER = fileURLToPath(new URL('./programs/strange-datagrams.ts', import.meta.url));
const DATAGRAMS = 2000;

test('strange datagrams are not answered and every one is counted', { skip, timeout: 60_000 }, async (context) => {
  const { world, members } = await ringFor(context, 3, { order: 'at once' });
  const [stranger] = await world.addMachines(1);
  const victim = members[0] ?? assert.fail();
  assert.ok(stranger);
  const before = await victim.machine.status();
  for (const address of [victim.machine.ipv4, victim.machine.ipv6]) {
    const command = [process.execPath, STRANGER, address, String(before.underlay.port), String(DATAGRAMS)];
    const { code, stdout, stderr } = await run(within(stranger.namespace, command));
    assert.equal(code, 0, stderr);
    const { sent, answers } = JSON.parse(stdout) as { sent: number; answers: number };
    assert.equal(sent, DATAGRAMS);
    assert.equal(answers, 0, `datagrams came back from ${address}`);
  }
  const after = await victim.machine.status();
  const counted = sum(after.drops) - sum(before.drops);
  context.diagnostic(`${2 * DATAGRAMS} datagrams sent, ${counted} drops counted: ${JSON.stringify(after.drops)}`);
  assert.ok(counted >= 2 * DATAGRAMS, `${counted} drops`);
  assert.equal(after.pid, before.pid);
  assert.deepEqual((await pingAllPairs(members)).faults, []);
});

/** Writes to a Unix socket and resolves when the other end closes, or after a while. */
function write(path: string, bytes: Uint8Array): Promise<'closed' | 'open'> {
  const { promise, resolve } = Promise.withResolvers<'closed' | 'open'>();
  const socket = connect(path);
  socket.setTimeout(1000, () => {
    resolve('open');
    socket.destroy();
  });
  socket.on('connect', () => socket.write(bytes));
  socket.on('data', () => undefined);
  socket.on('error', () => undefined);
  socket.on('close', () => resolve('closed'));
  return promise;
}

test('garbage on both Unix sockets ends that connection and nothing else', {
  skip,
  timeout: 60_000,
}, async (context) => {
  const { members } = await ringFor(context, 2, { order: 'at once' });
  const { machine } = members[0] ?? assert.fail();
  const before = await machine.status();
  const frames = [
    Buffer.from([0xff, 0xff, 0xff, 0xff, 1]),
    Buffer.from([0, 0, 0, 0, 1]),
    Buffer.from([0, 0, 0, 3, 9, 1, 1]),
    Buffer.from([0, 0, 0, 4, 1, 0xa1, 0x61, 0x74]),
    Buffer.concat([Buffer.from([0, 0, 0, 101, 1]), randomBytes(100)]),
    Buffer.from([0, 0, 0, 33, 1, ...Array<number>(32).fill(0x81)]),
  ];
  for (const name of ['rd.sock', 'p2pd.sock']) {
    const ends = await Promise.all(frames.map((frame) => write(join(machine.run, name), frame)));
    assert.deepEqual(new Set(ends), new Set(['closed']), `${name}: ${ends.join(' ')}`);
    for (let i = 0; i < 50; i++) void write(join(machine.run, name), randomBytes(200));
  }
  const after = await machine.status();
  assert.equal(after.pid, before.pid);
  assert.equal(after.nodes[0]?.p2pdPid, before.nodes[0]?.p2pdPid);
  assert.deepEqual((await pingAllPairs(members)).faults, []);
});

test('a certificate from another CA is refused by a resource daemon', { skip, timeout: 60_000 }, async (context) => {
  const { world, members } = await ringFor(context, 2, { order: 'at once' });
  const [stranger] = await world.addMachines(1);
  const victim = members[0] ?? assert.fail();
  assert.ok(stranger);
  const [key, certificate] = [join(stranger.directory, 'key.pem'), join(stranger.directory, 'certificate.pem')];
  const claims = `p2pxbone:${victim.node.vi.id}/0123456789abcdef/mallory/10.77.0.99/`;
  writeFileSync(key, '');
  const made = await run(
    [
      'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=mallory',
      `-addext subjectAltName=URI:${claims} -keyout ${key} -out ${certificate}`,
    ]
      .join(' ')
      .split(' '),
  );
  assert.equal(made.code, 0, made.stderr);
  const { port } = (await victim.machine.status()).underlay;
  const before = await victim.machine.status();
  const connect = `timeout 5 openssl s_client -dtls1_2 -connect ${victim.machine.ipv4}:${port}`;
  const credentials = `-servername ${victim.node.vi.id} -cert ${certificate} -key ${key}`;
  const attempt = await run(within(stranger.namespace, `${connect} ${credentials}`.split(' ')));
  const said = attempt.stdout + attempt.stderr;
  context.diagnostic(`openssl s_client ended with ${attempt.code}: ${/alert[^\n]*/.exec(said)?.[0] ?? 'no alert'}`);
  assert.doesNotMatch(said, /Cipher is (?!\(NONE\))[\s\S]*Verify return code: 0/);
  const after = await victim.machine.status();
  assert.equal(after.nodes[0]?.tunnels, before.nodes[0]?.tunnels);
  assert.deepEqual((await pingAllPairs(members)).faults, []);
});
