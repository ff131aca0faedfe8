import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { run, within } from '../../cli/demo/namespaces.ts';
import { RouterLab } from './router.ts';
import { skip } from './topology.ts';

test('packets that waited in the gateway leave with their flow’s mark', { skip, timeout: 120_000 }, async (context) => {
  const lab = await RouterLab.create(context);
  const file = randomBytes(600_000);
  lab.file('file.bin', file);
  const router = `${lab.client.slice(0, -1)}r`;
  // Counts what leaves the router, by mark.
  const rule = ['-t', 'mangle', '-A', 'POSTROUTING', '-p', 'tcp', '--sport', '80', '-m', 'mark', '--mark'];
  for (const mark of ['7', '0']) await run(within(router, ['iptables', ...rule, mark]));
  await lab.startGateway(`limits: {slow: {rate: 4 Mbit/s}}
rules:
  - {name: slow and marked, when: {port: 80}, do: [{limit: slow}, {mark: 7}]}
`);
  const { status, bytes, exit, seconds } = await lab.get('file.bin', { seconds: 20 });
  assert.deepEqual([status, bytes, exit], [200, file.length, 0]);
  assert.ok(seconds > 0.8, 'nothing has waited');
  const { statistics } = await lab.top();
  assert.ok(statistics.released > 5, `${statistics.released} packets have waited`);
  const { stdout } = await run(within(router, ['iptables', '-t', 'mangle', '-L', 'POSTROUTING', '-nvx']));
  const counted = (mark: string): number =>
    Number(
      stdout
        .split('\n')
        .find((line) => line.includes(`mark match 0x${mark}`))
        ?.trim()
        .split(/\s+/)[1],
    );
  assert.ok(counted('7') > file.length, stdout);
  // The answer to the SYN goes before there is a flow.
  assert.ok(counted('0') < 1_000, stdout);
});
