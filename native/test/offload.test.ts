/** TCP through real TAPs: super-packets in and out, and the kernel's own VXLAN at the other end. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import type { NextHop, ReceivePath } from '../index.ts';
import { type LabNode, missingForLab, openLabNode, openPlane, uniqueName, unwrap } from './lab.ts';

const skip = missingForLab() ?? false;
const run = promisify(execFile);

const TRANSFER_BYTES = 12_000_000;
const PORT = 5001;
/** Prints a digest of what came; both ends send the same. */
const PROGRAM = `
const net = require('node:net');
const { createHash } = require('node:crypto');
const [, role, host] = process.argv;
const content = Buffer.alloc(${TRANSFER_BYTES});
for (let i = 0; i < content.length; i += 4) content.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
const expected = createHash('sha256').update(content).digest('hex');
const exchange = (socket) => {
  const hash = createHash('sha256');
  socket.on('data', (chunk) => hash.update(chunk));
  socket.on('end', () => console.log(hash.digest('hex') === expected ? 'same' : 'different'));
  socket.on('close', () => process.exit(0));
  socket.end(content);
};
if (role === 'server') net.createServer({ allowHalfOpen: true }, exchange).listen(${PORT}, host, () => console.log('listening'));
else exchange(net.connect({ port: ${PORT}, host, allowHalfOpen: true }));
`;

function inNamespace(netns: string, role: 'server' | 'client', host: string): Promise<{ stdout: string }> {
  return run('ip', ['netns', 'exec', netns, process.execPath, '-e', PROGRAM, role, host], { timeout: 30_000 });
}

/** Both ways at once over one connection. */
async function exchange(server: string, client: string, address: string): Promise<void> {
  const serving = inNamespace(server, 'server', address);
  for (let attempt = 0; ; attempt += 1) {
    const { stdout } = await run('ip', ['netns', 'exec', server, 'ss', '-Hltn', `sport = :${PORT}`]);
    if (stdout.includes(`:${PORT}`)) break;
    assert.ok(attempt < 500, 'the server does not listen');
  }
  const { stdout } = await inNamespace(client, 'client', address);
  assert.match(stdout, /^same$/m);
  assert.match((await serving).stdout, /^same$/m);
}

type Traffic = { readonly packets: number; readonly bytes: number };

/** What the kernel has counted on an interface: a super-packet is one. */
async function traffic(netns: string, device: string, way: 'rx' | 'tx'): Promise<Traffic> {
  const { stdout } = await run('ip', ['-n', netns, '-s', '-j', 'link', 'show', 'dev', device]);
  const [link] = JSON.parse(stdout) as [{ stats64: { rx: Traffic; tx: Traffic } }];
  return link.stats64[way];
}

function publish(node: LabNode, other: { ipv4: string; ipv6?: string }, nextHop: NextHop): void {
  const local: NextHop = { kind: 'local' };
  const exact = [
    { address: node.ipv4, nextHop: local },
    { address: node.ipv6, nextHop: local },
    { address: other.ipv4, nextHop },
  ];
  if (other.ipv6 !== undefined) exact.push({ address: other.ipv6, nextHop });
  unwrap(node.plane.publish(node.node, { generation: 1, exact, prefixes: [], ranges: [] }));
}

async function openPair(t: TestContext, receive: ReceivePath): Promise<[LabNode, LabNode]> {
  const timers = { keepAliveMs: 100, silenceMs: 500, receive };
  const a = await openLabNode(t, openPlane(t, '127.0.0.1', timers), { index: 1, id: 1n });
  const b = await openLabNode(t, openPlane(t, '127.0.0.1', timers), { index: 2, id: 2n });
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const tunnel = unwrap(from.plane.addTunnel({ node: from.node, peer: to.at, peerMac: to.mac }));
    publish(from, to, { kind: 'tunnel', tunnel });
  }
  return [a, b];
}

for (const receive of ['direct', 'queue', 'aio', 'uring'] as const) {
  test(`TCP enters and leaves TAPs as super-packets, received by way of ${receive}`, { skip }, async (t) => {
    const [a, b] = await openPair(t, receive);
    for (const address of [b.ipv4, b.ipv6]) await exchange(b.netns, a.netns, address);
    for (const node of [a, b]) {
      for (const way of ['rx', 'tx'] as const) {
        const { packets, bytes } = await traffic(node.netns, node.tapName, way);
        assert.ok(bytes > 2 * TRANSFER_BYTES);
        // Acknowledgements are among them; single packets would be 1,400 bytes at most.
        assert.ok(bytes / packets > 4000, `${way}: ${bytes} bytes in ${packets} packets`);
      }
    }
    // Counted as on the wire, so both ends agree: what one sent, the other delivered or dropped.
    const [sent, received] = [a.plane.counters(), b.plane.counters()];
    const out = sent.tunnels[0]?.packetsOut ?? 0n;
    assert.ok(out > (2n * BigInt(TRANSFER_BYTES)) / 1400n);
    const arrived = (received.tunnels[0]?.packetsIn ?? 0n) + received.drops.receiveOverflow + sent.drops.sendBlocked;
    assert.equal(arrived, out);
    // What AIO has under way is not counted yet.
    if (receive === 'aio') return;
    assert.equal((received.nodes[0]?.packetsToTap ?? 0n) + received.drops.ringFull, received.tunnels[0]?.packetsIn);
  });
}

const VNI = 4711;

/** A namespace with a VXLAN device of the kernel whose peer is `address`:`port` at the other end of a veth pair. */
async function openKernelEnd(t: TestContext, address: string, peer: string, at: { mac: string; ipv4: string }) {
  const netns = uniqueName();
  const [outside, inside] = [uniqueName(), uniqueName()];
  await run('ip', ['netns', 'add', netns]);
  t.after(() => run('ip', ['netns', 'del', netns]));
  await run('ip', ['link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', netns]);
  await run('ip', ['addr', 'add', `${peer}/30`, 'dev', outside]);
  await run('ip', ['link', 'set', outside, 'up']);
  const ip = (...args: string[]) => run('ip', ['-n', netns, ...args]);
  await ip('link', 'set', 'lo', 'up');
  await ip('addr', 'add', `${address}/30`, 'dev', inside);
  await ip('link', 'set', inside, 'up');
  // A network card completes the inner checksums that a VXLAN device leaves to it; a veth passes them on as they are.
  await run('ip', ['netns', 'exec', netns, 'ethtool', '-K', inside, 'tx', 'off']);
  return {
    netns,
    connect: async (port: number, node: LabNode) => {
      const vxlan = ['type', 'vxlan', 'id', `${VNI}`, 'local', address, 'remote', peer, 'dstport', `${port}`];
      // One source port, so that it is one peer to us.
      await ip('link', 'add', 'vx', 'address', at.mac, ...vxlan, 'srcport', `${port}`, `${port + 1}`);
      await ip('link', 'set', 'vx', 'mtu', '1400', 'up');
      await ip('addr', 'add', `${at.ipv4}/24`, 'dev', 'vx');
      const mac = [...node.mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
      await ip('neigh', 'add', node.ipv4, 'lladdr', mac, 'dev', 'vx');
    },
  };
}

/** Why the test with the kernel's VXLAN cannot run here; false where it can. */
function missingForKernelEnd(): string | false {
  const missing = missingForLab();
  if (missing !== undefined) return missing;
  try {
    execFileSync('ethtool', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'needs the command ethtool';
  }
}

test("the kernel's VXLAN at the other end: TCP both ways with all offloads", {
  skip: missingForKernelEnd(),
}, async (t) => {
  const third = 1 + (process.pid % 250);
  const [kernelAddress, ownAddress] = [`198.18.${third}.1`, `198.18.${third}.2`];
  const end = await openKernelEnd(t, kernelAddress, ownAddress, { mac: '02:00:00:00:00:02', ipv4: '10.77.0.2' });
  const node = await openLabNode(t, openPlane(t, ownAddress), { index: 1, id: 1n });
  const peer = { address: kernelAddress, port: node.at.port };
  const tunnel = unwrap(node.plane.addTunnel({ node: node.node, peer, peerMac: Uint8Array.of(2, 0, 0, 0, 0, 2) }));
  publish(node, { ipv4: '10.77.0.2' }, { kind: 'tunnel', tunnel });
  await end.connect(node.at.port, node);
  await exchange(end.netns, node.netns, '10.77.0.2');
  await exchange(node.netns, end.netns, node.ipv4);
  for (const way of ['rx', 'tx'] as const) {
    const { packets, bytes } = await traffic(node.netns, node.tapName, way);
    assert.ok(bytes / packets > 4000, `${way}: ${bytes} bytes in ${packets} packets`);
  }
});
