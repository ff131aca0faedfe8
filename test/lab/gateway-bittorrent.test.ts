/** Real BitTorrent programs across a router's gateway: recognised, stopped and slowed in all their disguises. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { untilTrue } from '../../cli/demo/machine.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { Exchange, startTracker, TRACKER_PORT, type Way } from './peers/torrents.ts';
import { CLIENT, RouterLab, SERVER } from './router.ts';
import { Sockets } from './sockets.ts';
import { skip } from './topology.ts';

const lib = { program: 'libtorrent', encrypted: false, utp: false, from: 'hand' } as const;
const WAYS: readonly Way[] = [
  { ...lib, name: 'TCP' },
  { ...lib, name: 'TCP, encrypted', encrypted: true },
  { ...lib, name: 'uTP', utp: true },
  { ...lib, name: 'uTP, encrypted', utp: true, encrypted: true },
  { ...lib, name: 'TCP, encrypted, HTTP tracker', encrypted: true, from: 'http' },
  { ...lib, name: 'TCP, encrypted, UDP tracker', encrypted: true, from: 'udp' },
  { ...lib, name: 'TCP, encrypted, DHT', encrypted: true, from: 'dht' },
  { ...lib, name: 'aria2, TCP', program: 'aria2', from: 'http' },
  { ...lib, name: 'aria2, TCP, encrypted', program: 'aria2', encrypted: true, from: 'http' },
];
const FILE_BYTES = 1_000_000;
/** What peers may have said to each other before they are known for what they are. */
const SAID_BYTES_MAX = 4000;
const LISTEN_MS = 3000;
const WHOLE_MS = 25_000;
const MARK_ALL = 'rules:\n  - {name: torrents, when: {application: bittorrent}, do: {mark: 1}}\n';
/** Trackers are let be, so that peers find each other. */
const DENY_PEERS = 'rules:\n  - {name: no peers, when: {application: bittorrent, port: 50000-65535}, do: reject}\n';

function exchanges(lab: RouterLab, ways: readonly Way[], port: number): Exchange[] {
  return ways.map((way, i) => new Exchange(lab, way, port + i, FILE_BYTES));
}

/** Flows between the two programs of an exchange. */
async function flowsOf(lab: RouterLab, exchange: Exchange) {
  const ports = new Set([exchange.port, exchange.port + 100]);
  return (await lab.flows()).filter(({ toPort }) => ports.has(toPort));
}

test('a router’s gateway recognises, denies and limits real BitTorrent programs', {
  skip,
  timeout: 120_000,
}, async (context) => {
  const lab = await RouterLab.create(context);
  lab.file('note.txt', 'hello\n');
  await lab.startGateway(MARK_ALL);
  await startTracker(lab);

  const free = exchanges(lab, WAYS, 51_000);
  await Promise.all(free.map((exchange) => exchange.seed()));
  for (const exchange of free) exchange.fetch();
  await untilTrue('all files are whole', WHOLE_MS, 100, async () => free.every((exchange) => exchange.isWhole()));
  for (const exchange of free) {
    const flows = await flowsOf(lab, exchange);
    const known = flows.filter(({ application }) => application === 'bittorrent');
    const bytes = known.reduce((sum, { bytesUp, bytesDown }) => sum + bytesUp + bytesDown, 0);
    assert.ok(bytes > FILE_BYTES, `${exchange.way.name}: ${bytes} bytes recognised of ${JSON.stringify(flows)}`);
    exchange.stopFetching();
  }

  await lab.reload(DENY_PEERS);
  const denied = exchanges(lab, WAYS, 52_000);
  await Promise.all(denied.map((exchange) => exchange.seed()));
  for (const exchange of denied) exchange.fetch();
  const meets = async (exchange: Exchange): Promise<boolean> =>
    (await flowsOf(lab, exchange)).some(({ state }) => state === 'denied');
  for (const exchange of denied) {
    await untilTrue(`${exchange.way.name} is tried and denied`, WHOLE_MS, 100, () => meets(exchange));
  }
  await setTimeout(LISTEN_MS);
  for (const exchange of denied) {
    const { way, arrived } = exchange;
    assert.equal(arrived, 0, `${way.name}: ${arrived} bytes came through`);
    const flows = await flowsOf(lab, exchange);
    const said = Math.max(...flows.map(({ bytesUp, bytesDown }) => bytesUp + bytesDown));
    context.diagnostic(`${way.name}: denied after ${said} bytes of a connection; of the file, none`);
    assert.ok(said < SAID_BYTES_MAX, `${way.name}: ${said} bytes`);
    exchange.stopFetching();
  }
  assert.equal((await lab.get('note.txt')).status, 200, 'the same two machines may do other things');

  const slow = 'limits:\n  p2p: {rate: 4 Mbit/s}\nrules:\n  - {when: {application: bittorrent}, do: {limit: p2p}}\n';
  await lab.reload(slow);
  const limited = exchanges(
    lab,
    [WAYS[1], WAYS[2]].filter((way) => way !== undefined),
    53_000,
  );
  await Promise.all(limited.map((exchange) => exchange.seed()));
  const since = systemClock.now();
  for (const exchange of limited) exchange.fetch();
  await untilTrue('the limited files are whole', WHOLE_MS, 50, async () =>
    limited.every((exchange) => exchange.isWhole()),
  );
  const seconds = (systemClock.now() - since) / 1000;
  context.diagnostic(`two files of a megabyte at 4 Mbit/s together: ${seconds.toFixed(1)} s`);
  assert.ok(seconds > 3.6, `${seconds} s`);
});

test('noise to a peer that a tracker has named is BitTorrent, and to others is not', {
  skip,
  timeout: 60_000,
}, async (context) => {
  const lab = await RouterLab.create(context);
  await lab.startGateway(DENY_PEERS);
  await startTracker(lab);
  const [near, far] = await Promise.all([Sockets.in(lab, lab.client), Sockets.in(lab, lab.server)]);
  const announce = async (from: Sockets, port: number): Promise<Buffer> => {
    const tracker = await from.connect(SERVER, TRACKER_PORT);
    tracker.send(`GET /a?info_hash=aaaaaaaaaaaaaaaaaaaa&port=${port}&compact=1 HTTP/1.0\r\nHost: t\r\n\r\n`);
    return tracker.readAll();
  };
  // The one behind the router asks; who has the file announced itself on the other side, where no gateway heard it.
  assert.match((await announce(far, 52_000)).toString('latin1'), /5:peers0:/);
  assert.match((await announce(near, 52_100)).toString('latin1'), /5:peers6:/);
  for (const [port, isPeer] of [
    [52_000, true],
    [52_001, false],
  ] as const) {
    const listener = await far.listen(port);
    const end = await near.connect(SERVER, port);
    const there = await listener.next();
    // More than message stream encryption begins with, so that its rhythm does not give it away.
    const noise = randomBytes(20_000);
    end.send(noise);
    const came = await there.read(noise.length, 2000);
    context.diagnostic(`port ${port}: ${came.length} bytes`);
    assert.equal(came.length === 0, isPeer, `${came.length} bytes of noise at port ${port} from ${CLIENT}`);
  }
});
