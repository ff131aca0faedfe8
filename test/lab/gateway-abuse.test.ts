/** What is done to exhaust a gateway: its memory stays within bounds, and others go on meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { run, within } from '../../cli/demo/namespaces.ts';
import { Clamd, EICAR } from './clamd.ts';
import { PYTHON, RouterLab } from './router.ts';
import { skip } from './topology.ts';

const FLOOD = fileURLToPath(new URL('programs/flood.py', import.meta.url));
const ENDLESS = fileURLToPath(new URL('programs/endless.ts', import.meta.url));
/** On the server's side, where nobody takes what comes. */
const NOBODY = '10.91.2.200';
const PER_SECOND = 20_000;
/** Whatever else this machine has to do, none is to be lost before the gateway has seen it. */
const QUEUE_PACKETS = '200000';
const PATIENCE_S = 20;
const MB = 1e6;

type Flood = {
  readonly kind: 'syn' | 'udp';
  readonly count: number;
  readonly datagrams?: number;
  readonly bytes?: number;
};

/** Does it again and again until that has ended. */
async function meanwhile(end: Promise<unknown>, pauseMs: number, each: () => Promise<void>): Promise<void> {
  const over = end.then(() => true);
  while (!(await Promise.race([over, setTimeout(pauseMs, false)]))) await each();
}

/** Floods, and fetches a small file again and again meanwhile; resolves with the slowest of these, ms. */
async function flood(lab: RouterLab, { kind, count, datagrams = 1, bytes = 100 }: Flood): Promise<number> {
  const words = [
    kind,
    String(count),
    String(PER_SECOND),
    NOBODY,
    await lab.routerMac('client'),
    String(datagrams),
    String(bytes),
  ];
  const flooding = run(within(lab.client, [PYTHON, FLOOD, ...words]));
  let slowest = 0;
  let fetched = 0;
  await meanwhile(flooding, 200, async () => {
    const { status, seconds } = await lab.get('note.txt', { seconds: PATIENCE_S });
    assert.equal(status, 200, `after ${fetched} files that came`);
    slowest = Math.max(slowest, seconds * 1000);
    ++fetched;
  });
  const { code, stderr } = await flooding;
  assert.equal(code, 0, stderr);
  assert.ok(fetched >= 5);
  return Math.round(slowest);
}

test('floods of new flows stay within the memory for them, and others go on', {
  skip,
  timeout: 120_000,
}, async (context) => {
  const lab = await RouterLab.create(context);
  lab.file('note.txt', 'hello\n');
  await lab.adoptAddress('server', NOBODY);
  await lab.startGateway('rules:\n  - {when: {application: bittorrent}, do: reject}\n', '--packets', QUEUE_PACKETS);
  assert.equal((await lab.get('note.txt')).status, 200);
  const atFirst = lab.residentBytes();
  const look = async (what: string, slowest: number) => {
    const statistics = await lab.statistics();
    assert.equal(statistics.queue.overruns, 0, 'packets were lost before the gateway saw them');
    const grown = lab.residentBytes() - atFirst;
    const kept = Math.round((statistics.memory['kept'] ?? 0) / MB);
    context.diagnostic(
      `${what}: ${statistics.flows} flows, ${Math.round(grown / MB)} MB more, ${kept} MB kept of flows' data; the slowest small file took ${slowest} ms`,
    );
    return { ...statistics, grown };
  };

  const halfOpen = await look('200,000 half-open connections', await flood(lab, { kind: 'syn', count: 200_000 }));
  assert.ok(halfOpen.packets >= 200_000, `${halfOpen.packets} packets`);
  assert.ok(halfOpen.flows < 1000);
  assert.ok(halfOpen.grown < 48 * MB);

  const idle = await look('100,000 idle flows', await flood(lab, { kind: 'udp', count: 100_000 }));
  assert.ok(idle.flows >= 100_000);
  assert.ok(idle.grown < 200 * MB);

  // They would keep 200 MB, if they could.
  const hungry = { kind: 'udp', count: 20_000, datagrams: 7, bytes: 1400 } as const;
  const fed = await look('20,000 flows with much to keep', await flood(lab, hungry));
  const { kept = 0, keptMax = 0 } = fed.memory;
  assert.ok(kept <= keptMax + MB && keptMax < 140 * MB, `${kept} of ${keptMax}`);
  assert.ok((fed.applications['hurried'] ?? 0) > 1000);
  assert.ok(fed.grown < 420 * MB);
});

async function scanning(context: TestContext): Promise<RouterLab> {
  const lab = await RouterLab.create(context);
  lab.file('note.txt', 'hello\n');
  const clamd = new Clamd(lab);
  await lab.startGateway(
    `connectionCache: {denyFor: 0s}\nscan: {socket: ${clamd.socket}}\nconditions: {scanTooBig: dropFlow}\nrules:\n  - {when: {file: {}}, do: scan}\n`,
  );
  await clamd.start();
  return lab;
}

test('a file that never ends, and a compressed bomb, are scanned in bounded memory', {
  skip,
  timeout: 90_000,
}, async (context) => {
  const lab = await scanning(context);
  const endless = lab.start(lab.server, [process.execPath, ENDLESS, '8080']);
  if (endless.stdout !== null) await once(endless.stdout, 'data');
  const bomb = gzipSync(Buffer.alloc(300 * MB));
  lab.file('bomb.gz', gzipSync(bomb));
  lab.file('bomb', bomb);
  lab.file('eicar', gzipSync(EICAR));
  lab.file('page', gzipSync('a page\n'));
  assert.equal((await lab.get('note.txt')).status, 200);
  const atFirst = lab.residentBytes();
  let most = 0;
  const others = (end: Promise<unknown>): Promise<void> =>
    meanwhile(end, 100, async () => {
      assert.equal((await lab.get('note.txt', { seconds: PATIENCE_S, to: 'other' })).status, 200);
      most = Math.max(most, lab.residentBytes() - atFirst);
    });

  const never = lab.get('', { port: 8080, seconds: 6 });
  await others(never);
  const { bytes } = await never;
  context.diagnostic(
    `${Math.round(bytes / MB)} MB of a file without an end were scanned; ${Math.round(most / MB)} MB more at most`,
  );
  assert.ok(bytes > 5 * MB);
  assert.ok(most < 100 * MB);

  for (const name of ['bomb.gz', 'coded/bomb']) {
    const exploding = lab.get(name, { seconds: 20 });
    await others(exploding);
    const { exit } = await exploding;
    assert.notEqual(exit, 0, `${name} came through`);
    assert.ok(lab.got().length < bomb.length, name);
  }
  assert.ok(most < 100 * MB, `${most} bytes more`);
  const infected = await lab.get('coded/eicar');
  assert.notEqual(infected.exit, 0);
  assert.equal(lab.got().length, 0, 'an infected page came, because it was compressed');
  assert.equal((await lab.get('coded/page')).status, 200);
  assert.ok(((await lab.statistics()).scanner?.tooBig ?? 0) >= 2);
});
