import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeFrame, FrameReader } from '../../overlay/frames.ts';
import { formatId, toId } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { toP2pdCodec, toRdCodec } from '../../overlay/messages/p2pd-rd.ts';
import { parseViDefinition, type ViConfig } from '../../overlay/vi.ts';
import { ModelRd, type World } from './model-rd.ts';

const MAIN = new URL('../driver/main.ts', import.meta.url).pathname;
const NOBODY = 65_534;
const UID = process.getuid?.() === 0 ? NOBODY : (process.getuid?.() ?? NOBODY);
const PORT = 20_000 + (process.pid % 20_000);

const directory = mkdtempSync(join(tmpdir(), 'p2pd-test-'));
const children: ChildProcess[] = [];
const servers: Server[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true });
});

function createVi(): ViConfig {
  const definition = parseViDefinition({});
  assert.ok(definition.ok);
  const prefixes = { prefix: 'fd00:0:0:2::/64', linkPrefix: 'fd00:0:0:1::/64' };
  return { id: 'vi-0000000000000001', name: 'test', ...prefixes, vni: 7, definition: definition.value };
}

/** Modelled resource daemons, with real P2P daemons on the loopback interface: one port each, all at ::1. */
function createWorld(rds: ModelRd[]): World {
  const port = (rd: ModelRd): number => PORT + rds.indexOf(rd);
  return {
    vi: createVi(),
    port,
    endpoint: (link, side) => ({ address: '::1', port: port(link.ends[side].rd) }),
    now: () => systemClock.now(),
    after: (ms, run) => void setTimeout(run, ms).unref(),
    delay: () => 2,
    resolve: (contact) => rds[contact[0] as number],
    connected: () => true,
    bootstrap: (asker) =>
      asker === rds[0] ? { nodes: [], found: true } : { nodes: [(rds[0] as ModelRd).record], found: false },
    linkUp: () => undefined,
    linkDown: () => undefined,
    left: () => undefined,
  };
}

/** Gives the modelled resource daemon a Unix socket. */
async function serve(rd: ModelRd, path: string): Promise<{ server: Server; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    const reader = new FrameReader();
    rd.connect((message) => void socket.write(encodeFrame(toP2pdCodec.encode(message))));
    socket.on('error', () => undefined);
    socket.on('close', () => rd.connect(undefined));
    socket.on('data', (bytes) => {
      const frames = reader.push(bytes);
      assert.ok(frames.ok);
      for (const frame of frames.value) {
        const message = toRdCodec.decode(frame);
        assert.ok(message.ok, message.ok ? '' : message.message);
        rd.handle(message.value);
      }
    });
  });
  servers.push(server);
  server.listen({ path, readableAll: true, writableAll: true });
  await once(server, 'listening');
  return { server, sockets };
}

function startP2pd(rd: ModelRd, path: string, uid: number = UID): ChildProcess {
  const args = ['--socket', path, '--vi', 'vi-0000000000000001', '--node', formatId(rd.id), '--uid', String(uid)];
  const child = spawn(process.execPath, [MAIN, ...args, '--log-level', 'error'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  return child;
}

async function until(what: string, condition: () => boolean, msMax: number): Promise<void> {
  const start = systemClock.now();
  while (!condition()) {
    assert.ok(systemClock.now() - start < msMax, `${what}: not within ${msMax} ms`);
    await sleep(20);
  }
}

const sees = (rd: ModelRd, phase: string, successors: readonly ModelRd[]): boolean =>
  rd.report?.phase === phase && String(rd.report.successors) === String(successors.map(({ id }) => id));

test('three P2P daemons over real sockets: unprivileged, one ring, and all ends of it', {
  timeout: 60_000,
}, async () => {
  const rds: ModelRd[] = [];
  const world = createWorld(rds);
  for (const [i, id] of [1n << 62n, 1n << 63n, 3n << 62n].entries()) {
    rds.push(new ModelRd(world, { id: toId(id), incarnation: 1, contact: Uint8Array.of(i) }));
  }
  const [a, b, c] = rds as [ModelRd, ModelRd, ModelRd];
  const paths = rds.map((_, i) => join(directory, `rd-${i}.sock`));
  const links = await Promise.all(rds.map((rd, i) => serve(rd, paths[i] as string)));
  chmodSync(directory, 0o755);
  const processes = rds.map((rd, i) => startP2pd(rd, paths[i] as string));
  await until(
    'a ring of three',
    () => sees(a, 'forming', [b, c]) && sees(b, 'forming', [c, a]) && sees(c, 'forming', [a, b]),
    20_000,
  );

  const status = readFileSync(`/proc/${(processes[0] as ChildProcess).pid}/status`, 'utf8');
  assert.match(status, new RegExp(`^Uid:\\s+${UID}\\s+${UID}\\s+${UID}`, 'm'));
  if (UID === NOBODY) assert.match(status, /^Groups:\s*$/m);

  a.tell({ t: 'lookup', request: 1, id: a.id });
  await until('the lookup is answered', () => a.lookups.get(1)?.owner === a.id, 2000);

  const { publishes } = a;
  for (const socket of links[0]?.sockets ?? []) socket.destroy();
  await until('the connection is made again', () => (links[0]?.sockets.length ?? 0) === 2, 2000);
  await until('its routes are named again', () => a.commits >= 2, 5000);
  await sleep(500);
  assert.equal(a.publishes, publishes, 'a lost connection changes no routes');
  assert.ok(sees(a, 'forming', [b, c]));

  b.tell({ t: 'leave' });
  const [code] = (await once(processes[1] as ChildProcess, 'exit')) as [number];
  assert.equal(code, 0);
  await until('a ring of two', () => sees(a, 'forming', [c]) && sees(c, 'forming', [a]), 5000);

  processes[0]?.kill('SIGTERM');
  const [stopped] = (await once(processes[0] as ChildProcess, 'exit')) as [number];
  assert.equal(stopped, 0);
});

test('it does not run as root, and says how to start it', { timeout: 20_000 }, async () => {
  const rd = new ModelRd(createWorld([]), { id: toId(1n), incarnation: 1, contact: Uint8Array.of(0) });
  const child = startP2pd(rd, join(directory, 'none.sock'), 0);
  let said = '';
  child.stderr?.on('data', (bytes) => (said += bytes));
  const [code] = (await once(child, 'close')) as [number];
  assert.equal(code, 3);
  assert.match(said, /does not run as root/);
});

test('arguments that are wrong', { timeout: 20_000 }, async () => {
  for (const args of [[], ['--node', 'x', '--vi', 'x', '--socket', 'x', '--uid', String(UID)], ['--nonsense']]) {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'ignore' });
    children.push(child);
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 2);
  }
});
