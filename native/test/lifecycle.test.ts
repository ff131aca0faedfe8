/** Opening and closing: nothing is left behind, whatever the end. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createDataPlane, type DataPlane, type NodeOptions, peerCredentials } from '../index.ts';
import { eventually, missingForLab, openPlane, uniqueName, unwrap } from './lab.ts';

const skip = missingForLab() ?? false;
const run = promisify(execFile);
const TIMERS = { keepAliveMs: 500, silenceMs: 2000 };

function nodeOptions(tapName: string): NodeOptions {
  return {
    tapName,
    mtu: 1400,
    id: 1n,
    viId: 'lab',
    vni: 1,
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    ipv4: '10.78.0.1',
    ipv6: 'fd00::1',
    sources: { prefixes: ['10.78.0.0/16', 'fd00::/64'], linkPrefixes: ['10.79.0.0/16'] },
  };
}

function interfaceExists(name: string): boolean {
  return readdirSync('/sys/class/net').includes(name);
}

const threadCount = () => readdirSync('/proc/self/task').length;
const descriptorCount = () => readdirSync('/proc/self/fd').length;

test('fifty times open and close: no threads, descriptors or interfaces are left', { skip }, () => {
  const cycle = (): void => {
    const plane = unwrap(createDataPlane(TIMERS));
    unwrap(plane.bind({ address: '127.0.0.1', port: 0 }));
    const tapName = uniqueName();
    const node = unwrap(plane.openNode(nodeOptions(tapName)));
    unwrap(
      plane.addTunnel({ node, peer: { address: '127.0.0.1', port: 9 }, peerMac: Uint8Array.of(2, 0, 0, 0, 0, 2) }),
    );
    assert.ok(interfaceExists(tapName));
    plane.close();
    assert.ok(!interfaceExists(tapName));
  };
  cycle();
  const threads = threadCount();
  const descriptors = descriptorCount();
  for (let i = 0; i < 50; i += 1) cycle();
  assert.equal(threadCount(), threads);
  assert.equal(descriptorCount(), descriptors);
});

test('closeNode removes the interface and its threads, and leaves the others', { skip }, (t) => {
  const { plane } = openPlane(t);
  const threads = threadCount();
  const [first, second] = [uniqueName(), uniqueName()];
  const node = unwrap(plane.openNode(nodeOptions(first)));
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 2);
  unwrap(plane.openNode({ ...nodeOptions(second), mac }));
  plane.closeNode(node);
  assert.deepEqual([interfaceExists(first), interfaceExists(second)], [false, true]);
  assert.equal(threadCount(), threads + 1);
  plane.closeNode(node);
  assert.equal(plane.publish(node, { generation: 1, exact: [], prefixes: [], ranges: [] }).ok, false);
});

test('an interface that somebody deletes is told', { skip }, async (t) => {
  const { plane, events } = openPlane(t);
  const tapName = uniqueName();
  const node = unwrap(plane.openNode(nodeOptions(tapName)));
  await run('ip', ['link', 'del', tapName]);
  const event = await eventually('node.failed', () => events.find(({ type }) => type === 'node.failed'));
  assert.ok(event.type === 'node.failed' && event.node === node);
  plane.closeNode(node);
  unwrap(plane.openNode(nodeOptions(tapName)));
});

test('an interface name that is taken is a conflict', { skip }, (t) => {
  const { plane } = openPlane(t);
  const tapName = uniqueName();
  unwrap(plane.openNode(nodeOptions(tapName)));
  const again = plane.openNode({ ...nodeOptions(tapName), vni: 2 });
  assert.ok(!again.ok && again.code === 'CONFLICT', JSON.stringify(again));
});

test('arguments of nodes, tunnels and tables are checked', { skip }, (t) => {
  const { plane } = openPlane(t);
  const wrong: Partial<NodeOptions>[] = [
    { tapName: '' },
    { tapName: 'a/b' },
    { tapName: 'sixteen-bytes-16' },
    { tapName: '..' },
    { tapName: 'x%d' },
    { mtu: 1279 },
    { mtu: 9001 },
    { id: -1n },
    { id: 2n ** 64n },
    { viId: '' },
    { vni: 2 ** 24 },
    { mac: Uint8Array.of(1, 0, 0, 0, 0, 0) },
    { mac: new Uint8Array(5) },
    { ipv4: 'fd00::1' },
    { ipv6: '10.0.0.1' },
    { ipv4: '10.0.0.256' },
    { sources: { prefixes: ['10.0.0.0/33'], linkPrefixes: [] } },
    { sources: { prefixes: [], linkPrefixes: ['fd00::1'] } },
  ];
  for (const change of wrong) {
    const opened = plane.openNode({ ...nodeOptions(uniqueName()), ...change });
    assert.ok(!opened.ok && opened.code === 'BAD_ARGUMENT', JSON.stringify(opened));
  }
  const node = unwrap(plane.openNode(nodeOptions(uniqueName())));
  const empty = { generation: 1, exact: [], prefixes: [], ranges: [] };
  const local = { kind: 'local' } as const;
  const tables = [
    { ...empty, generation: -1 },
    { ...empty, exact: [{ address: '10.0.0.1/32', nextHop: local }] },
    {
      ...empty,
      exact: [
        { address: '10.0.0.1', nextHop: local },
        { address: '::ffff:10.0.0.1', nextHop: local },
      ],
    },
    { ...empty, prefixes: [{ prefix: '10.0.0.0/33', nextHop: local }] },
    {
      ...empty,
      prefixes: [
        { prefix: '10.0.0.0/24', nextHop: local },
        { prefix: '10.0.0.9/24', nextHop: local },
      ],
    },
    {
      ...empty,
      ranges: [
        { until: 2n, nextHop: local },
        { until: 1n, nextHop: local },
      ],
    },
    { ...empty, ranges: [{ until: 2n ** 64n, nextHop: local }] },
  ];
  for (const table of tables) {
    const published = plane.publish(node, table);
    assert.ok(!published.ok && published.code === 'BAD_ARGUMENT', JSON.stringify(published));
  }
  const twice = plane.publish(node, tables[2] as (typeof tables)[number]);
  assert.ok(!twice.ok && twice.message.includes('10.0.0.1 twice'), JSON.stringify(twice));
  assert.equal(plane.counters().nodes[0]?.generation, 0);
  const crowded = { prefixes: Array.from({ length: 17 }, (_, index) => `10.${index}.0.0/16`), linkPrefixes: [] };
  const refused = plane.openNode({ ...nodeOptions(uniqueName()), sources: crowded });
  assert.ok(!refused.ok && refused.code === 'LIMIT_REACHED', JSON.stringify(refused));
});

test('a process that exits without closing ends at once, and its interface with it', { skip }, async () => {
  const tapName = uniqueName();
  const script = `
    const { createDataPlane } = await import(${JSON.stringify(new URL('../index.ts', import.meta.url).href)});
    const plane = createDataPlane(${JSON.stringify(TIMERS)}).value;
    plane.onEvents(() => undefined);
    if (!plane.bind({ address: '127.0.0.1', port: 0 }).ok) process.exit(10);
    const opened = plane.openNode({ tapName: '${tapName}', mtu: 1400, id: 1n, viId: 'lab', vni: 1,
      mac: Uint8Array.of(2, 0, 0, 0, 0, 1), ipv4: '10.78.0.1', ipv6: 'fd00::1',
      sources: { prefixes: ['10.78.0.0/16', 'fd00::/64'], linkPrefixes: [] } });
    if (!opened.ok) process.exit(11);
    process.exit(42);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit', timeout: 10_000 });
  const [code, signal] = await once(child, 'exit');
  assert.deepEqual([code, signal], [42, null]);
  assert.ok(!interfaceExists(tapName));
});

test('a worker thread has a data plane of its own, which ends with it', { skip }, async () => {
  const { Worker } = await import('node:worker_threads');
  const threads = threadCount();
  const source = `
    import { createDataPlane } from ${JSON.stringify(new URL('../index.ts', import.meta.url).href)};
    import { parentPort } from 'node:worker_threads';
    const plane = createDataPlane(${JSON.stringify(TIMERS)}).value;
    parentPort.postMessage(plane.bind({ address: '127.0.0.1', port: 0 }).ok);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const [bound] = await once(worker, 'message');
  assert.equal(bound, true);
  await worker.terminate();
  await eventually('its threads end', () => threadCount() <= threads);
});

test('an idle data plane sleeps', { skip }, async (t) => {
  const { plane } = openPlane(t);
  unwrap(plane.openNode(nodeOptions(uniqueName())));
  /** How often the data plane's own threads have gone to sleep so far. */
  const sleeps = (): number => {
    let count = 0;
    for (const task of readdirSync('/proc/self/task')) {
      const status = readFileSync(`/proc/self/task/${task}/status`, 'utf8');
      if (!/^Name:\tp2px-/m.test(status)) continue;
      count += Number(/^voluntary_ctxt_switches:\t(\d+)$/m.exec(status)?.[1]);
    }
    return count;
  };
  await delay(50);
  const before = sleeps();
  assert.ok(before >= 3, 'reader, underlay and control threads have begun');
  await delay(500);
  assert.ok(sleeps() - before <= 2, `${sleeps() - before} wake-ups`);
});

test('the other end of a Unix socket', async (t) => {
  const path = join(tmpdir(), `${uniqueName()}.sock`);
  const server = createServer();
  server.listen(path);
  t.after(() => server.close());
  await once(server, 'listening');
  const client = createConnection(path);
  t.after(() => client.destroy());
  const [accepted] = await once(server, 'connection');
  const fd = (accepted as Record<'_handle', { fd: number }>)['_handle'].fd;
  const credentials = unwrap(peerCredentials(fd));
  assert.deepEqual(credentials, { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  assert.equal(peerCredentials(99_999).ok, false);
  assert.equal(peerCredentials(-1).ok, false);
});

test('a closed data plane is unusable, and may be closed again', () => {
  const plane: DataPlane = unwrap(createDataPlane(TIMERS));
  plane.close();
  plane.close();
  assert.throws(() => plane.counters(), /closed/);
});

test('timers out of range are refused', () => {
  for (const timers of [
    { keepAliveMs: 49, silenceMs: 1000 },
    { keepAliveMs: 60_001, silenceMs: 1_000_000 },
    { keepAliveMs: 500, silenceMs: 1499 },
    { keepAliveMs: 500.5, silenceMs: 2000 },
  ]) {
    const created = createDataPlane(timers);
    assert.ok(!created.ok && created.code === 'BAD_ARGUMENT');
  }
});
