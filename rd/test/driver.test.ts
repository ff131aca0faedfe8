import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { NAME_PATTERN } from '../../overlay/fields.ts';
import { encodeFrame, FrameReader } from '../../overlay/frames.ts';
import type { Millis } from '../../overlay/lib/clock.ts';
import { type FromControl, fromControlCodec, type ToControl, toControlCodec } from '../../overlay/messages/control.ts';
import { Complaints, EVERY_MS } from '../driver/complaints.ts';
import { lockData } from '../driver/data-lock.ts';
import { ownEndpoints, ownFamilies, parseEndpoint, selfEndpoint } from '../driver/endpoints.ts';
import { DataDirectory, type Membership } from '../driver/files.ts';
import { loadIdentity } from '../driver/identity.ts';
import { MessageSocket } from '../driver/message-socket.ts';
import { birthName, interfaceName, isNamespaceName, nodeNameOf } from '../driver/names.ts';
import { recordsOf } from '../driver/records.ts';
import { run } from '../driver/shell.ts';
import { testVi } from './network.ts';

const directory = mkdtempSync(join(tmpdir(), 'pxb-rd-'));
after(() => rmSync(directory, { recursive: true, force: true }));

describe('endpoints', () => {
  test('are read in every usual form', () => {
    const good: [string, string, number][] = [
      ['192.0.2.1:4780', '192.0.2.1', 4780],
      ['[::]:0', '::', 0],
      ['[2001:db8::1]:9', '2001:db8::1', 9],
      ['192.0.2.1', '192.0.2.1', 7],
      ['2001:db8::1', '2001:db8::1', 7],
      ['[2001:db8::1]', '2001:db8::1', 7],
    ];
    for (const [text, address, port] of good) {
      assert.deepEqual(parseEndpoint(text, 7), { ok: true, value: { address, port } });
    }
    for (const text of ['', 'example.net:1', '192.0.2.1:70000', '[::1', '1.2.3:4', '::1:x', '192.0.2.1']) {
      assert.equal(parseEndpoint(text).ok, false, text);
    }
  });

  test('are those advertised, or the bound one, or what the interfaces have', () => {
    const bound = { address: '192.0.2.1', port: 5 };
    const other = { address: '203.0.113.1', port: 6 };
    assert.deepEqual(ownEndpoints(bound, [other]), [other]);
    assert.deepEqual(ownEndpoints(bound, []), [bound]);
    const found = ownEndpoints({ address: '::', port: 5 }, []);
    assert.ok(found.length >= 1 && found.length <= 3);
    assert.ok(found.every((endpoint) => endpoint.port === 5 && !endpoint.address.startsWith('fe80')));
    assert.deepEqual(ownFamilies(bound), [4]);
    assert.deepEqual(selfEndpoint({ address: '0.0.0.0', port: 5 }), { address: '127.0.0.1', port: 5 });
    assert.deepEqual(selfEndpoint(bound), bound);
  });
});

describe('names', () => {
  test('fit what the kernel and the protocols take', () => {
    assert.equal(interfaceName('lab', 0), 'pxb-lab');
    for (const attempt of [0, 1, 10]) {
      assert.ok(interfaceName('a-very-long-name-of-a-vi', attempt).length <= 15);
    }
    assert.notEqual(interfaceName('a-very-long-name', 1), interfaceName('a-very-long-name', 2));
    assert.ok(birthName(4_194_304, 100_000).length <= 15);
    for (const host of ['Alpha.example.net', '-x-', '', '日本', 'a'.repeat(80), 'under_score']) {
      assert.match(nodeNameOf(host), new RegExp(NAME_PATTERN));
    }
    assert.ok(isNamespaceName('blue-1'));
    for (const name of ['', '..', 'a/b', '-n', 'a b']) assert.equal(isNamespaceName(name), false);
  });
});

describe('the data directory', () => {
  const data = new DataDirectory(join(directory, 'data'));
  const membership: Membership = {
    om: { host: '192.0.2.1', port: 8443 },
    vi: testVi(),
    name: 'one',
    id: '0123456789abcdef',
    ipv4: '10.77.0.1',
    ipv6: 'fd00::1',
    groups: [],
    certificate: 'PEM',
    ca: 'PEM',
    netns: null,
    p2pdPort: 4747,
    incarnation: 1,
    pairs: [1, 2],
    leasedUntil: 5,
    peers: [],
  };

  test('keeps memberships, readable to nobody else', () => {
    assert.ok(data.prepare().ok);
    assert.ok(data.saveMembership(membership).ok);
    assert.deepEqual(data.memberships(), { found: [membership], unreadable: [] });
    const file = join(data.path, data.nodePath(membership), 'membership.json');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    writeFileSync(file, '{"half":');
    assert.equal(data.memberships().unreadable.length, 1);
    assert.ok(data.removeMembership(membership).ok);
    assert.deepEqual(data.memberships(), { found: [], unreadable: [] });
  });

  test('reads a membership of an earlier release, whose VI had no security', () => {
    const { security: _, ...definition } = membership.vi.definition;
    const earlier = { ...membership, vi: { ...membership.vi, definition } } as Membership;
    assert.ok(data.saveMembership(earlier).ok);
    assert.deepEqual(data.memberships(), { found: [membership], unreadable: [] });
    assert.ok(data.removeMembership(membership).ok);
  });

  test('keeps one key', () => {
    const first = loadIdentity(data);
    assert.deepEqual(loadIdentity(data), first);
    assert.ok(first.ok);
    assert.match(first.value.fingerprint, /^[0-9a-f]{32}$/);
    assert.equal(statSync(join(data.path, 'key.pem')).mode & 0o777, 0o600);
  });

  test('that refuses a file gives a reason, and the old text stays', () => {
    assert.ok(data.saveMembership(membership).ok);
    const blocked = join(data.path, data.nodePath(membership), 'membership.json.new');
    mkdirSync(blocked);
    const saved = data.saveMembership({ ...membership, incarnation: 2 });
    assert.ok(!saved.ok && saved.code === 'SYSTEM' && saved.message.includes(blocked));
    rmSync(blocked, { recursive: true });
    assert.deepEqual(data.memberships().found, [membership]);
    assert.ok(data.removeMembership(membership).ok);
  });

  test('belongs to one daemon', async () => {
    const path = join(directory, 'a-directory-with-a-long-name-'.repeat(5));
    mkdirSync(path);
    const lock = await lockData(path);
    assert.ok(lock.ok);
    const second = await lockData(path);
    assert.ok(!second.ok && second.code === 'CONFLICT' && second.message.includes(path));
    await lock.value.release();
    const third = await lockData(path);
    assert.ok(third.ok, 'released');
    await third.value.release();
  });

  test('that cannot be used is told of', () => {
    const prepared = new DataDirectory('/dev/null/here').prepare();
    assert.ok(!prepared.ok && prepared.code === 'NOT_PERMITTED');
  });
});

describe('records of nodes', () => {
  test('are dropped where a P2P daemon could not be told of them', () => {
    const good = { id: '0123456789abcdef', incarnation: 7, contact: 'AQID' };
    const bad = [
      { ...good, id: 'nonsense' },
      { ...good, incarnation: 2 ** 53 },
      { ...good, incarnation: -1 },
      { ...good, contact: '' },
      { ...good, contact: Buffer.alloc(97).toString('base64') },
    ];
    const known = recordsOf([...bad, good]);
    assert.deepEqual(known, [{ id: 0x0123456789abcdefn, incarnation: 7, contact: Uint8Array.of(1, 2, 3) }]);
  });
});

describe('complaints', () => {
  test('are logged once a while for each kind, with the number of those untold', () => {
    let now = 0;
    const logged: unknown[] = [];
    const complaints = new Complaints(
      { warn: (...told: unknown[]) => void logged.push(told) },
      {
        now: () => now as Millis,
      },
    );
    for (now = 0; now < EVERY_MS; now += EVERY_MS / 10) complaints.warn({ pid: now }, 'a');
    complaints.warn({}, 'b');
    complaints.warn({ pid: 1 }, 'a');
    assert.deepEqual(logged, [
      [{ pid: 0, untold: 0 }, 'a'],
      [{ untold: 0 }, 'b'],
      [{ pid: 1, untold: 9 }, 'a'],
    ]);
  });
});

describe('tools of the system', () => {
  test('give what they print, or why they failed', async () => {
    assert.deepEqual(await run('cat', ['-'], 'text'), { ok: true, value: 'text' });
    const failed = await run('sh', ['-c', 'echo wrong >&2; exit 3']);
    assert.ok(!failed.ok && failed.code === 'SYSTEM' && failed.message.includes('wrong'));
    const missing = await run('no-such-tool-here', []);
    assert.ok(!missing.ok && missing.message.includes('install it'));
    assert.ok((await run('true', [], 'x'.repeat(1 << 20))).ok, 'input that nobody reads harms nobody');
  });
});

describe('a message socket', () => {
  let sockets = 0;

  /** A server that echoes what it hears as progress, and counts what else happens. */
  async function echoServer(): Promise<{ path: string; events: string[]; close: () => void }> {
    sockets += 1;
    const path = join(directory, `echo-${sockets}.sock`);
    const events: string[] = [];
    const open = new Set<Socket>();
    const server = createServer((socket) => {
      open.add(socket);
      const messages = new MessageSocket<ToControl, FromControl>(socket, toControlCodec, fromControlCodec, {
        message: (message) => {
          events.push(message.t);
          messages.send({ t: 'progress', step: message.t });
        },
        garbage: (failure) => events.push(`garbage ${failure.code}`),
        closed: () => events.push('closed'),
      });
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(path, resolve);
    await promise;
    const close = (): void => {
      for (const socket of open) socket.destroy();
      server.close();
    };
    return { path, events, close };
  }

  async function talk(path: string, pieces: readonly Uint8Array[], answers: number): Promise<FromControl[]> {
    const socket = connect(path);
    const reader = new FrameReader();
    const heard: FromControl[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.on('data', (bytes: Uint8Array) => {
      const frames = reader.push(bytes);
      assert.ok(frames.ok);
      for (const frame of frames.value) {
        const message = fromControlCodec.decode(frame);
        assert.ok(message.ok);
        heard.push(message.value);
      }
      if (heard.length >= answers) resolve();
    });
    socket.on('close', () => resolve());
    for (const piece of pieces) socket.write(piece);
    await promise;
    socket.destroy();
    return heard;
  }

  test('hears messages however they are cut', async () => {
    const server = await echoServer();
    const bytes = Buffer.concat([1, 2, 3].map(() => encodeFrame(toControlCodec.encode({ t: 'status' }))));
    const pieces = Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));
    const heard = await talk(server.path, pieces, 3);
    assert.equal(heard.length, 3);
    server.close();
  });

  test('hangs up on garbage', async () => {
    const server = await echoServer();
    await talk(server.path, [Uint8Array.of(0xff, 0xff, 0xff, 0xff, 9, 9)], 1);
    await talk(server.path, [encodeFrame(Uint8Array.of(0xa0))], 1);
    await talk(server.path, [encodeFrame(toControlCodec.encode({ t: 'status' })), encodeFrame(Uint8Array.of(0))], 2);
    const garbage = server.events.filter((event) => event.startsWith('garbage'));
    assert.equal(garbage.length, 3);
    server.close();
  });
});
