/**
 * What is done to make a gateway see another stream than the receiver does, with a real kernel and a real web server as
 * receiver. Each trick is first tried without a gateway: there it works, or shows that this receiver does not fall for it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run, within } from '../../cli/demo/namespaces.ts';
import { PYTHON, RouterLab, SERVER } from './router.ts';
import { skip } from './topology.ts';

const PROGRAM = fileURLToPath(new URL('programs/odd_tcp.py', import.meta.url));
/** Addresses for which no kernel answers, on either side. */
const ODD_CLIENT = '10.91.1.77';
const ODD_SERVER = '10.91.2.77';
const NO_SONGS =
  'connectionCache: {denyFor: 0s}\nrules:\n  - {name: no songs, when: {file: {name: ["*.mp3"]}}, do: reject}\n';
const SONG = 'SONG'.repeat(10);
const NOTE = 'NOTE'.repeat(10);
/** What this receiver does not fall for by itself. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set(['overlap_decoy_first', 'fragments_overlap']);
/** What the gateway does not let pass, harmless or not: overlapping fragments; and the urgent byte becomes part of the name. */
const REFUSED: ReadonlySet<string> = new Set(['fragments_overlap', 'urgent']);

async function create(context: TestContext): Promise<RouterLab> {
  const lab = await RouterLab.create(context);
  lab.file('song.mp3', SONG);
  lab.file('note.txt', NOTE);
  await lab.adoptAddress('client', ODD_CLIENT);
  await lab.adoptAddress('server', ODD_SERVER);
  return lab;
}

/** What came back, by the way in which it was asked for. */
async function askOddly(lab: RouterLab, path: string, port: number): Promise<ReadonlyMap<string, string>> {
  const words = ['client', `${ODD_CLIENT}:${port}`, `${SERVER}:80`, path, await lab.routerMac('client')];
  const { stdout, stderr } = await run(within(lab.client, [PYTHON, PROGRAM, ...words]));
  assert.ok(stdout !== '', stderr);
  return new Map(Object.entries(JSON.parse(stdout) as Record<string, string>));
}

test('whatever a sender does with TCP and IP, a forbidden file does not come', {
  skip,
  timeout: 90_000,
}, async (context) => {
  const lab = await create(context);
  // As long as the harmless one, which takes its place in some of the ways.
  const song = '/song.mp3?xxx';
  for (const [way, answer] of await askOddly(lab, song, 20_000)) {
    assert.equal(answer.includes(SONG), !WITHOUT_EFFECT.has(way), `${way} without a gateway: ${answer}`);
  }
  await lab.startGateway(NO_SONGS);
  const answers = await askOddly(lab, song, 21_000);
  assert.ok(answers.size > 20);
  for (const [way, answer] of answers) {
    assert.ok(!answer.includes(SONG), `${way}: the song came`);
    const heard = answer.includes(NOTE) ? 'the server was asked for what the gateway had read' : 'nothing came';
    context.diagnostic(`${way.replaceAll('_', ' ')}: ${heard}`);
  }
  for (const [way, answer] of await askOddly(lab, '/note.txt?yyy', 22_000)) {
    assert.equal(answer.includes(NOTE), !REFUSED.has(way), `${way}: ${answer}`);
  }
  assert.equal((await lab.get('note.txt')).status, 200);
});

test('a server that turns the handshake round is followed', { skip, timeout: 60_000 }, async (context) => {
  const lab = await create(context);
  const words = ['server', `${ODD_SERVER}:80`, `${SERVER}:1`, SONG, await lab.routerMac('server')];
  const server = lab.start(lab.server, [PYTHON, PROGRAM, ...words]);
  if (server.stdout !== null) await once(server.stdout, 'data');
  const get = async (name: string): Promise<string> =>
    (await run(within(lab.client, ['curl', '-s', '-m', '3', `http://${ODD_SERVER}/${name}`]))).stdout;
  const kinds = ['split', 'simultaneous', 'honest'];
  for (const kind of kinds) assert.equal(await get('song.mp3'), SONG, `${kind}, without a gateway`);
  await lab.startGateway(NO_SONGS);
  for (const kind of kinds) assert.equal(await get('song.mp3'), '', kind);
  for (const kind of kinds) assert.equal(await get('note.txt'), SONG, kind);
});
