import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { idAddress, parseCidr } from '../../overlay/addresses.ts';
import { type Id, toId } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { Lab, obstacle, type Started, until } from './lab.ts';

const NOBODY = 65_534;
const why = obstacle();

function keyAddress(node: NodeStatus, key: Id): string {
  const prefix = parseCidr(node.vi.prefix);
  assert.ok(prefix !== undefined);
  return idAddress(prefix, key);
}

/** What a virtual node leaves on the machine. */
function traces(lab: Lab, host: string): string[] {
  const rules = lab
    .inside(host, '-6', 'rule')
    .split('\n')
    .filter((line) => line.includes('iif'));
  const links = lab
    .inside(host, '-br', 'link')
    .split('\n')
    .filter((line) => line.startsWith('pxb-'));
  const routes = lab
    .inside(host, '-6', 'route', 'show', 'table', 'all')
    .split('\n')
    .filter((line) => /local fd.*\/64/.test(line));
  return [...rules, ...links, ...routes];
}

/** Sends bytes to a socket of the daemon, and waits until it hangs up. */
function feed(path: string, bytes: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(path);
  socket.on('connect', () => socket.write(bytes));
  socket.on('error', () => resolve());
  socket.on('close', () => resolve());
  socket.resume();
  return promise;
}

describe('two resource daemons', { skip: why ?? false, timeout: 180_000 }, () => {
  let lab: Lab;
  let [first, second] = ['', ''];
  let invitation = '';
  let daemons: [Started, Started];
  let nodes: [NodeStatus, NodeStatus];

  before(async () => {
    lab = new Lab();
    [first, second] = lab.hosts;
    invitation = await lab.startOm();
    daemons = [await lab.startRdAndWait(first), await lab.startRdAndWait(second)];
    nodes = [await lab.join(first, invitation, 'one'), await lab.join(second, invitation, 'two')];
    await until('the ring has both', async () => {
      const [a, b] = [await lab.node(first), await lab.node(second)];
      return a.successors.includes(b.id) && b.successors.includes(a.id);
    });
  });
  after(() => lab.close());

  test('reach each other by IPv4, IPv6 and the addresses of keys', async () => {
    assert.equal(await lab.ping(first, nodes[1].ipv4, 3, 50), 3);
    assert.equal(await lab.ping(second, nodes[0].ipv4, 3, 50), 3);
    assert.equal(await lab.ping(first, nodes[1].ipv6, 3, 50), 3);
    for (let n = 0n; n < 8n; n++) {
      const key = toId((n << 61n) + 12_345n);
      assert.equal(await lab.ping(first, keyAddress(nodes[0], key), 1, 50), 1);
      const found = await lab.ask(first, { t: 'lookup', id: key });
      assert.ok(found.t === 'found');
      assert.ok(['one', 'two'].includes(found.owner.name));
    }
  });

  test('show one tunnel, agreed at both ends', async () => {
    const [here, there] = [await lab.ask(first, { t: 'tunnels' }), await lab.ask(second, { t: 'tunnels' })];
    assert.ok(here.t === 'tunnels' && there.t === 'tunnels');
    const [a, b] = [here.nodes[0]?.tunnels, there.nodes[0]?.tunnels];
    assert.equal(a?.length, 1);
    assert.equal(b?.length, 1);
    assert.equal(a[0]?.local, b[0]?.remote);
    assert.equal(a[0]?.remote, b[0]?.local);
    assert.equal(a[0]?.held, b[0]?.heldByPeer);
    assert.equal(a[0]?.peerName, 'two');
  });

  test('keep their secrets to themselves', () => {
    for (const host of lab.hosts) {
      assert.equal(statSync(lab.data(host)).mode & 0o777, 0o700);
      assert.equal(statSync(join(lab.data(host), 'key.pem')).mode & 0o777, 0o600);
      assert.equal(statSync(join(lab.run(host), 'rd.sock')).mode & 0o777, 0o600);
      const [directory] = readdirSync(join(lab.data(host), 'nodes'));
      const file = join(lab.data(host), 'nodes', directory ?? '', 'membership.json');
      assert.equal(statSync(file).mode & 0o777, 0o600);
    }
  });

  test('do not start twice in one place', async () => {
    const again = lab.startRd(first);
    assert.equal(await again.ended, 1);
    assert.match(again.output(), /runs already/);
    assert.equal((await lab.node(first)).name, 'one');
  });

  test('say what they need where they may not work', async () => {
    const unprivileged = lab.startRd(first, NOBODY);
    assert.equal(await unprivileged.ended, 3);
    assert.match(unprivileged.output(), /run it as root/);
  });

  test('refuse a second node of the VI in the same namespace, and broken invitations', async () => {
    const again = await lab.ask(first, { t: 'join', invitation, name: 'three' });
    assert.ok(again.t === 'failed' && again.code === 'CONFLICT');
    const twin = await lab.ask(first, { t: 'join', invitation, name: 'one', netns: 'elsewhere' });
    assert.ok(twin.t === 'failed' && twin.code === 'DUPLICATE_NAME');
    const invalid = await lab.ask(first, { t: 'join', invitation: 'pxb1_nonsense' });
    assert.ok(invalid.t === 'failed' && invalid.code === 'INVITATION_MALFORMED');
    const unknown = await lab.ask(first, { t: 'leave', vi: 'nowhere' });
    assert.ok(unknown.t === 'failed' && unknown.code === 'NOT_FOUND');
  });

  test('cut off whoever talks nonsense, and go on', async () => {
    const garbage = Uint8Array.from({ length: 300 }, (_, index) => (index * 37) & 0xff);
    const frame = Uint8Array.of(0, 0, 0, 4, 1, 0xa1, 0x61, 0x74);
    for (const socket of ['rd.sock', 'p2pd.sock']) {
      await feed(join(lab.run(first), socket), garbage);
      await feed(join(lab.run(first), socket), frame);
    }
    const status = await lab.ask(first, { t: 'status' });
    assert.ok(status.t === 'status');
    assert.equal(status.drops['p2pdRefused'], 2);
    assert.equal(status.drops['controlRefused'], 2);
  });

  test('take a second node of the VI into a namespace of its own, and remove that with it', async () => {
    const netns = `${first}x`;
    const joined = await lab.ask(first, { t: 'join', invitation, name: 'three', netns });
    assert.ok(joined.t === 'joined' && joined.node.netns === netns);
    const { ipv4, interface: name } = joined.node;
    assert.match(lab.inside(netns, 'addr', 'show', 'dev', name), new RegExp(`inet ${ipv4}/32`));
    for (const host of lab.hosts) {
      await until('the third node is reached', async () => (await lab.ping(host, ipv4, 1, 50)) === 1);
    }
    const neighbours = await lab.ask(first, { t: 'tunnels' });
    assert.ok(neighbours.t === 'tunnels' && neighbours.nodes.length === 2);
    const left = await lab.ask(first, { t: 'leave', vi: 'lab' });
    assert.ok(left.t === 'failed' && left.code === 'CONFLICT', 'which of the two?');
    const none = await lab.ask(second, { t: 'leave', vi: 'lab', netns });
    assert.ok(none.t === 'failed' && none.code === 'NOT_FOUND');
    assert.deepEqual(await lab.ask(first, { t: 'leave', vi: joined.node.vi.id, netns }), { t: 'done' });
    assert.ok(!lab.ip('netns', 'list').split(/\s/).includes(netns));
    await until('the ring has two again', async () => (await lab.node(first)).successors.length === 1);
  });

  test('take a node down that its overlay manager has removed, also one in their own namespace', async () => {
    const netns = `${first}y`;
    const joined = await lab.ask(first, { t: 'join', invitation, name: 'four', netns });
    assert.ok(joined.t === 'joined');
    lab.command(first, 'node', 'delete', 'lab', 'four', '--data', join(lab.directory, 'om'));
    // A node whose interface is made anew says so to its overlay manager.
    lab.inside(netns, 'link', 'del', joined.node.interface);
    await until('the node has gone', async () => {
      const status = await lab.ask(first, { t: 'status' });
      return status.t === 'status' && status.nodes.length === 1;
    });
    assert.ok(!lab.ip('netns', 'list').split(/\s/).includes(netns));
    assert.equal(readdirSync(join(lab.data(first), 'nodes')).length, 1);
    await until('the ring has two again', async () => (await lab.node(first)).successors.length === 1);
  });

  test('keep a node listed that cannot come up, try it again, and let it leave', async () => {
    const netns = `${second}z`;
    const joined = await lab.ask(second, { t: 'join', invitation, name: 'five', netns });
    assert.ok(joined.t === 'joined');
    assert.equal(await lab.stop(daemons[1]), 0);
    // No namespace can be made where a directory has its name.
    const obstacle = `/run/netns/${netns}`;
    mkdirSync(obstacle);
    const five = async (): Promise<NodeStatus | undefined> => {
      const status = await lab.ask(second, { t: 'status' });
      return status.t === 'status' ? status.nodes.find(({ name }) => name === 'five') : undefined;
    };
    try {
      daemons[1] = await lab.startRdAndWait(second);
      assert.match((await five())?.problem ?? '', /cannot come up/);
    } finally {
      rmdirSync(obstacle);
    }
    await until('it has come up', async () => ['forming', 'formed'].includes((await five())?.phase ?? ''));
    assert.deepEqual(await lab.ask(second, { t: 'leave', vi: 'lab', netns }), { t: 'done' });
    assert.ok(!lab.ip('netns', 'list').split(/\s/).includes(netns));
    await until('the ring has two again', async () => (await lab.node(first)).successors.length === 1);
  });

  test('are refused the data directory of another', async () => {
    const elsewhere = lab.startRd(first, undefined, lab.run('elsewhere'));
    assert.equal(await elsewhere.ended, 1);
    assert.match(elsewhere.output(), /runs already with the data directory/);
  });

  test('stop in good order also while they start', async () => {
    assert.equal(await lab.stop(daemons[1]), 0);
    const starting = lab.startRd(second);
    await until('it has begun', () => existsSync(join(lab.run(second), 'rd.sock')));
    assert.equal(await lab.stop(starting), 0);
    assert.deepEqual(traces(lab, second), []);
    daemons[1] = await lab.startRdAndWait(second);
    await until('packets flow again', async () => (await lab.ping(first, nodes[1].ipv4, 1, 50)) === 1);
  });

  test('lose no packet when a P2P daemon is killed', async () => {
    const { p2pdPid, generation } = await lab.node(second);
    assert.ok(p2pdPid !== null);
    const answered = lab.ping(first, nodes[1].ipv4, 200, 20);
    await sleep(500);
    process.kill(p2pdPid, 'SIGKILL');
    assert.equal(await answered, 200);
    await until('another P2P daemon is there', async () => {
      const node = await lab.node(second);
      return node.p2pdPid !== null && node.p2pdPid !== p2pdPid && node.problem === null;
    });
    const node = await lab.node(second);
    assert.equal(node.p2pdRestarts, 1);
    assert.ok(node.generation <= generation + 2, 'the resync changed what need not change');
  });

  test('are back soon after they are killed, with the same P2P daemon', async () => {
    const before = await lab.node(second);
    await lab.stop(daemons[1], 'SIGKILL');
    assert.ok(traces(lab, second).length > 0, 'a killed daemon leaves its rule');
    const killedAt = systemClock.now();
    daemons[1] = await lab.startRdAndWait(second);
    await until('packets flow again', async () => (await lab.ping(first, nodes[1].ipv4, 1, 50)) === 1);
    assert.ok(systemClock.now() - killedAt < 5000);
    const node = await lab.node(second);
    assert.equal(node.p2pdPid, before.p2pdPid, daemons[1].output());
    assert.ok(node.incarnation > before.incarnation);
    const rules = traces(lab, second).filter((line) => line.includes('iif'));
    assert.equal(rules.length, 1);
  });

  test('make an interface anew that somebody removed, also while nothing can be saved', async () => {
    const [directory] = readdirSync(join(lab.data(second), 'nodes'));
    const obstacle = join(lab.data(second), 'nodes', directory ?? '', 'membership.json.new');
    mkdirSync(obstacle);
    lab.inside(second, 'link', 'del', (await lab.node(second)).interface);
    await until('the node says so', async () => /not saved/.test((await lab.node(second)).problem ?? ''));
    rmdirSync(obstacle);
    await until('packets flow again', async () => (await lab.ping(first, nodes[1].ipv4, 1, 50)) === 1);
    assert.equal(traces(lab, second).filter((line) => line.includes('iif')).length, 1);
  });

  test('leave nothing behind, and come back to their place', async () => {
    assert.equal(await lab.stop(daemons[1]), 0);
    assert.deepEqual(traces(lab, second), []);
    assert.deepEqual(readdirSync(lab.run(second)), []);
    assert.equal(existsSync(join(lab.data(second), 'undo.json')), false);
    daemons[1] = await lab.startRdAndWait(second);
    await until('packets flow again', async () => (await lab.ping(first, nodes[1].ipv4, 1, 50)) === 1);
    assert.equal((await lab.node(second)).id, nodes[1].id);
  });

  test('leave for good when told to', async () => {
    assert.deepEqual(await lab.ask(second, { t: 'leave', vi: 'lab', netns: '' }), { t: 'done' });
    assert.deepEqual(traces(lab, second), []);
    assert.deepEqual(readdirSync(join(lab.data(second), 'nodes')), []);
    await until('the other one knows', async () => (await lab.node(first)).successors.length === 0);
    for (const daemon of daemons) assert.equal(await lab.stop(daemon), 0);
    assert.deepEqual(traces(lab, first), []);
  });
});
