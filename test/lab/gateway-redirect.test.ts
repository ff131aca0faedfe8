import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run, within } from '../../cli/demo/namespaces.ts';
import { CLIENT, RouterLab, SERVER } from './router.ts';
import { skip } from './topology.ts';

const OTHER = '10.91.2.3';

test('a router’s gateway redirects connections, and the client notices nothing', {
  skip,
  timeout: 120_000,
}, async (context) => {
  const lab = await RouterLab.create(context);
  const big = randomBytes(5_000_000);
  lab.file('big.bin', big);
  lab.file('here.txt', 'the one that was called\n');
  await run(within(lab.server, ['ip', 'addr', 'add', `${OTHER}/24`, 'dev', 'eth0']));
  const program = fileURLToPath(new URL('programs/other-server.ts', import.meta.url));
  const other = lab.start(lab.server, [process.execPath, program, OTHER, '3128', join(lab.directory, 'www')]);
  await new Promise<void>((resolve) => void other.stdout?.once('data', () => resolve()));

  await lab.startGateway(`audit: {directory: audit}
rules:
  - {name: to the other, when: {to: [${SERVER}], protocol: tcp, port: 80}, do: {redirect: "${OTHER}:3128"}}
  - {name: names, when: {protocol: udp, port: 53}, do: {redirect: ${OTHER}}}
`);
  const redirected = await lab.get('here.txt');
  assert.deepEqual([redirected.status, redirected.exit], [200, 0]);
  assert.equal(Buffer.from(lab.got()).toString(), `the other one, to ${CLIENT}\n`);
  // Another port of the same server is not concerned.
  assert.equal((await lab.get('here.txt', { port: 81 })).status, 200);
  assert.equal(Buffer.from(lab.got()).toString(), 'the one that was called\n');
  // Large ones in both directions: super-packets, acknowledgements, what waits.
  const large = await lab.get('big.bin', { seconds: 20 });
  assert.deepEqual([large.status, large.bytes, large.exit], [200, big.length, 0]);
  assert.ok(big.equals(lab.got()));
  const sent = await run(
    within(lab.client, [
      'curl',
      '-s',
      '-m',
      '20',
      '--data-binary',
      `@${join(lab.directory, 'www/big.bin')}`,
      `http://${SERVER}/upload`,
    ]),
  );
  assert.equal(sent.stdout, `${big.length} bytes\n`);
  const asked = await run(within(lab.client, [process.execPath, '-e', ASK, SERVER]));
  assert.equal(asked.stdout, `answer from ${SERVER}: question`);

  const { statistics, flows } = await lab.top();
  assert.equal(statistics.queue.unsent + statistics.queue.unknown, 0);
  assert.ok(statistics.redirects.begun >= 4);
  assert.equal(statistics.redirects.refused, 0);
  assert.ok(
    flows.every(({ to }) => to !== OTHER),
    'flows are between the ends that the client knows',
  );

  // Connections that exist stay where they are; and what was not queued before it is routed cannot be redirected.
  const slow = lab.get('big.bin', { seconds: 20 });
  lab.writePolicy('audit: {directory: audit}\n');
  assert.equal((await lab.command('reload')).code, 0);
  assert.equal((await slow).bytes, big.length);
  await lab.get('here.txt');
  assert.equal(Buffer.from(lab.got()).toString(), 'the one that was called\n');
  await lab.stopGateway();
  const verdicts = lab.told('flow').map(({ flow }) => (flow as { verdict: { action: string; rule: string } }).verdict);
  assert.ok(verdicts.some(({ action, rule }) => action === 'redirect' && rule === 'to the other'));

  await lab.startGateway('rules: []\n');
  lab.writePolicy(`rules: [{when: {protocol: tcp, port: 80}, do: {redirect: "${OTHER}:3128"}}]\n`);
  const refused = await lab.command('reload');
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /start the gateway again/);
});

/** One question by UDP. */
const ASK = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (text, from) => { process.stdout.write('answer from ' + from.address + ': ' + text); socket.close(); });
socket.send('question', 53, process.argv[1]);
setTimeout(() => process.exit(1), 3000).unref();
`;
