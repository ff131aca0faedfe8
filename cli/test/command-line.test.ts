/** The command as a user runs it: exit codes, sentences, and JSON. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { idAddress, parseCidr } from '../../overlay/addresses.ts';
import { formatId, type Id, idOfKey, toId } from '../../overlay/id.ts';
import { formatInvitation } from '../../overlay/invitation.ts';
import type { FromControl, HistoryEvent, NodeStatus, ToControl, TunnelStatus } from '../../overlay/messages/control.ts';
import { gatewayFlow, gatewayStatistics } from '../../overlay/test/samples.ts';
import { parseViDefinition } from '../../overlay/vi.ts';
import { parsePlan } from '../../test/sim/plan.ts';
import { runPlan } from '../../test/sim/run.ts';
import { COMMAND_FILE } from '../rd-launch.ts';
import { type ControlServer, controlServer } from './control-server.ts';

type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

function p2pxbone(...args: string[]): Promise<Ran> {
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const { P2PXBONE_RUN: _run, P2PXBONE_OM_DATA: _data, ...env } = process.env;
  const child = spawn(process.execPath, [COMMAND_FILE, ...args], { env });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.on('close', (code) => resolve({ code, stdout, stderr }));
  return promise;
}

const definition = parseViDefinition({});
assert.ok(definition.ok);
const vi = {
  id: 'vi-0123456789abcdef',
  name: 'lab',
  prefix: 'fd12:3456:789a:1::/64',
  linkPrefix: 'fd12:3456:789a:2::/64',
  vni: 7,
  definition: definition.value,
};
const self = toId(1n << 60n);
const other = toId(1n << 63n);
const prefix = parseCidr(vi.prefix) ?? assert.fail();
const known = [
  { id: self, name: 'n1', ipv4: '10.77.0.1', ipv6: idAddress(prefix, self) },
  { id: other, name: 'n2', ipv4: '10.77.0.2', ipv6: idAddress(prefix, other) },
];
const node: NodeStatus = {
  vi,
  name: 'n1',
  id: self,
  incarnation: 1,
  ipv4: '10.77.0.1',
  ipv6: idAddress(prefix, self),
  groups: [],
  netns: null,
  interface: 'pxb0',
  phase: 'forming',
  predecessor: other,
  successors: [other],
  fingers: [],
  p2pdPid: 12,
  p2pdRestarts: 0,
  generation: 3,
  tunnels: 1,
  security: [
    {
      peer: other,
      peerName: 'n2',
      secure: true,
      why: 'groups: a',
      cipher: 'aes-128-gcm',
      keysAgeMs: 62_000,
      rekeys: 0,
    },
  ],
  problem: null,
  certificateExpiresAt: 4_000_000_000_000,
  revocations: { number: 7, certificates: 1, issuedAt: 1_790_000_000_000, confirmedAt: null },
  leasedPairs: 8,
};

const tunnel: TunnelStatus = {
  peer: other,
  peerName: 'n2',
  peerIpv4: '10.77.0.2',
  state: 'up',
  endpoint: { address: '192.0.2.2', port: 4780 },
  local: '10.112.0.0',
  remote: '10.112.0.1',
  security: { secure: true, why: 'groups: a', cipher: 'aes-128-gcm', keysAgeMs: 62_000, rekeys: 0 },
  held: true,
  heldByPeer: false,
  uses: ['successor'],
  rttMs: 0.5,
  mtu: 1380,
  shape: { out: null, in: null },
  packetsIn: 1,
  packetsOut: 2,
  bytesIn: 3,
  bytesOut: 4,
  ageMs: 5,
};
const plainTunnel: TunnelStatus = {
  ...tunnel,
  security: { secure: false, why: 'no common group', cipher: null, keysAgeMs: null, rekeys: 0 },
};

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function answer(question: ToControl): FromControl[] {
  switch (question.t) {
    case 'status':
      return [
        {
          t: 'status',
          pid: process.pid,
          version: '0.1.0',
          underlay: { address: '::', port: 4780 },
          startedAt: 0,
          nodes: [node],
          drops: { noTunnel: 3 },
        },
      ];
    case 'nodes':
      return [{ t: 'nodes', vi, complete: true, nodes: known }];
    case 'lookup':
      return [{ t: 'found', owner: known[1] ?? assert.fail(), hops: 1 }];
    case 'routes':
      return [
        {
          t: 'routes',
          nodes: [
            {
              vi: 'lab',
              id: self,
              netns: null,
              generation: 3,
              routes: [
                { after: other, until: self, to: self },
                { after: self, until: other, to: other },
              ],
            },
          ],
        },
      ];
    case 'history': {
      const ring = (agoMs: number, neighbours: Id[]) => ({ agoMs, what: 'ring' as const, peer: null, neighbours });
      const of = (agoMs: number, what: HistoryEvent['what'], peer: Id | null = null): HistoryEvent => {
        return { agoMs, what, peer, neighbours: [] };
      };
      const third = toId(3n << 61n);
      const events = [
        of(90_000, 'started'),
        of(89_000, 'peer', other),
        ring(88_000, [other, other]),
        of(70_000, 'peer', third),
        ring(69_000, [other, third]),
        of(50_000, 'p2pd.down'),
        of(49_000, 'p2pd.up'),
        of(30_000, 'tunnel.down', other),
        ring(29_900, [third, third]),
        of(10_000, 'peer', other),
        ring(9000, [other, third]),
      ];
      return [{ t: 'history', nodes: [{ vi, id: self, events }] }];
    }
    case 'tunnels':
      return [{ t: 'tunnels', nodes: [{ vi: 'lab', id: self, netns: null, tunnels: [tunnel, plainTunnel] }] }];
    case 'qos':
    case 'qos.set':
    case 'qos.clear': {
      const shape = question.t === 'qos.set' ? (question.out ?? null) : null;
      const inwards = question.t === 'qos.set' ? (question.in ?? null) : null;
      const peer = {
        peer: other,
        peerName: 'n2',
        peerIpv4: '10.77.0.2',
        hasTunnel: true,
        out: { shape, from: shape === null ? ('none' as const) : ('command' as const) },
        in: { shape: inwards, from: inwards === null ? ('none' as const) : ('command' as const) },
      };
      return [{ t: 'qos', nodes: [{ vi: 'lab', id: self, netns: null, peers: [peer] }] }];
    }
    case 'gateway': {
      const { flows } = question;
      const shown = { total: 1, flows: [gatewayFlow].slice(0, flows) };
      return [{ t: 'gateway', nodes: [{ vi: 'lab', id: self, netns: null, statistics: gatewayStatistics, ...shown }] }];
    }
    case 'gateway.reload': {
      if (question.vi !== 'lab') return [{ t: 'failed', code: 'BAD_CONFIG', message: 'policy.yaml:2:1: error: x' }];
      const names = [
        { name: 'group:staff', nodes: ['n1', 'n2'], count: 9 },
        { name: 'node:n4', nodes: [], count: 0 },
      ];
      const inForce = { rules: 3, dryRun: true, warnings: ['policy.yaml:3:1: warning: y'], names };
      return [{ t: 'gateway.reload', nodes: [{ vi: 'lab', id: self, netns: null, ...inForce }] }];
    }
    case 'gateway.names': {
      const nodes = [
        { name: 'n1', groups: ['staff'], addresses: ['10.77.0.1', 'fd00::1'] },
        { name: 'n2', groups: [], addresses: ['10.77.0.2', 'fd00::2', '10.78.0.5'] },
      ];
      const known = { isListed: true, prefixes: ['10.77.0.0/16', 'fd00::/64'], nodes };
      return [{ t: 'gateway.names', nodes: [{ vi: 'lab', id: self, netns: null, ...known }] }];
    }
    case 'leave':
      return [{ t: 'failed', code: 'NOT_FOUND', message: `No node of ${question.vi} is here.` }];
    case 'join':
      return [
        { t: 'progress', step: 'asking the overlay manager' },
        { t: 'joined', node },
      ];
  }
}

let server: ControlServer;
let scratch: string;
before(async () => {
  server = await controlServer(answer);
  scratch = mkdtempSync(join(tmpdir(), 'pxc-'));
});
after(() => {
  server.close();
  rmSync(scratch, { recursive: true, force: true });
});

const at = (...args: string[]): Promise<Ran> => p2pxbone(...args, '--run', server.run);

test('whom a policy means by names is asked of a virtual node', async () => {
  const policy = join(scratch, 'named.yaml');
  const rules =
    'rules:\n  - {name: staff only, when: {to: node:n2, from: "group:staff"}, do: accept}\n  - {when: {to: node:n2}, do: drop}\n  - {when: {from: node:n9}, do: drop}\n';
  writeFileSync(policy, `policy: p2pxbone gateway, format 1\n${rules}`);
  const router = await p2pxbone('gateway', 'check', policy);
  assert.equal(router.code, 1);
  assert.match(router.stdout, /named\.yaml:3:.*'node:n2' is known in a virtual Internet only: name it in sets/);
  const checked = await at('gateway', 'check', policy, '--vi', 'lab');
  assert.equal(checked.code, 0, checked.stderr);
  assert.match(checked.stdout, /named\.yaml:5:.* warning: Nobody in the virtual Internet is 'node:n9' now/);
  assert.match(checked.stdout, /\ngroup:staff: n1\nnode:n2: n2\nnode:n9: nobody now\n/);
  const asked = await at('gateway', 'explain', policy, '--vi', 'lab', '--from', 'node:n1', '--to', '10.78.0.5');
  assert.match(asked.stdout, /^accept by rule 1, "staff only"/);
  assert.match(asked.stdout, /\nfrom is node n1, in staff\nto is node n2, in no group\n/);
  const refused = await at(
    'gateway',
    'explain',
    policy,
    '--vi',
    'lab',
    '--from',
    'fd00:0::9',
    '--to',
    'node:n2',
    '--json',
  );
  const answer = JSON.parse(refused.stdout) as {
    number: number;
    names: unknown;
    ends: Record<string, { name: string }>;
  };
  assert.equal(answer.number, 2);
  assert.equal(answer.ends['to']?.name, 'n2');
  assert.deepEqual(answer.names, [
    { name: 'group:staff', nodes: ['n1'], count: 1 },
    { name: 'node:n2', nodes: ['n2'], count: 1 },
    { name: 'node:n9', nodes: [], count: 0 },
  ]);
  const nobody = await at('gateway', 'explain', policy, '--vi', 'lab', '--from', 'node:n9', '--to', 'node:n2');
  assert.match(nobody.stderr, /No node that is known is node:n9; give an address/);
});

test('a virtual node’s gateway is watched, and takes another policy', async () => {
  const shown = await at('gateway', 'top', '--vi', 'lab');
  assert.match(shown.stdout, /^12 packets, 3400 bytes, 1 flows\n/);
  assert.match(shown.stdout, /drops: gatewayRejected 1\n/);
  assert.match(shown.stdout, /tcp +10\.77\.0\.1:40000 +10\.77\.0\.2:80 +http +denied +no songs/);
  const json = JSON.parse((await at('gateway', 'top', '--vi', 'lab', '--flows', '0', '--json')).stdout) as {
    nodes: { statistics: unknown; flows: unknown[] }[];
  };
  assert.deepEqual(json.nodes[0]?.statistics, gatewayStatistics);
  assert.deepEqual(json.nodes[0]?.flows, []);
  const reloaded = await at('gateway', 'reload', '--vi', 'lab');
  assert.equal(
    reloaded.stdout,
    'policy.yaml:3:1: warning: y\ngroup:staff: n1, n2, and 7 more\nnode:n4: nobody now\nThe policy is in force: 3 rules, dry run.\n',
  );
  const refused = await at('gateway', 'reload', '--vi', 'other');
  assert.equal(refused.code, 2);
  assert.equal(refused.stderr, 'p2pxbone: policy.yaml:2:1: error: x\n');
});

test('help shows an example and ends with 0', async () => {
  for (const command of [
    ['join'],
    ['vi', 'create'],
    ['invite'],
    ['ring'],
    ['trace'],
    ['demo'],
    ['om', 'start'],
    ['qos', 'set'],
  ]) {
    const { code, stdout } = await p2pxbone(...command, '--help');
    assert.equal(code, 0, command.join(' '));
    assert.match(stdout, /Example:\n {2}p2pxbone /, command.join(' '));
  }
});

test('a wrong use ends with 2 and one sentence', async () => {
  for (const args of [
    ['nonsense'],
    ['join'],
    ['status', '--nonsense'],
    ['invite', 'lab', '--expires', 'soon'],
    ['invite', 'lab', '--groups', 'A'],
  ]) {
    const { code, stdout, stderr } = await p2pxbone(...args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /^p2pxbone: /);
  }
});

test('a wrong use in JSON mode says so in JSON', async () => {
  const { code, stdout } = await p2pxbone('ring', 'superfluous', '--json');
  assert.equal(code, 2);
  assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, 'BAD_ARGUMENT');
});

test('without a daemon a command ends with 4 and says what to do', async () => {
  for (const command of [
    ['status'],
    ['ring'],
    ['tunnels'],
    ['routes'],
    ['key', 'x'],
    ['ping', 'n2'],
    ['leave', 'lab'],
  ]) {
    const { code, stdout, stderr } = await p2pxbone(...command, '--run', scratch);
    assert.equal(code, 4, command.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr.trim().split('\n').at(-1) ?? '', /^p2pxbone: No resource daemon answers at .*rd start/);
  }
});

test('errors in JSON mode are on both streams', async () => {
  const { code, stdout, stderr } = await p2pxbone('status', '--json', '--run', scratch);
  assert.equal(code, 4);
  assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, 'RD_UNREACHABLE');
  assert.match(stderr, /^p2pxbone: /);
});

test('without an overlay manager an admin command says where it looked', async () => {
  const { code, stderr } = await p2pxbone('vi', 'list', '--data', scratch);
  assert.notEqual(code, 0);
  assert.match(stderr, /^p2pxbone: .*om start/);
});

test('status tells the ring and the drops', async () => {
  const { code, stdout } = await at('status');
  assert.equal(code, 0);
  assert.match(stdout, /n1 in VI lab/);
  assert.match(stdout, /noTunnel 3/);
  assert.match(stdout, /groups +none/);
  assert.match(stdout, /security +policy groups/);
  assert.match(stdout, /n2: secure \(groups: a\), aes-128-gcm, keys 1m2s old/);
  assert.ok(!stdout.includes('\u001b'), 'colour without a terminal');
});

test('status as JSON has ids as text', async () => {
  const { stdout } = await at('status', '--json');
  const status = JSON.parse(stdout) as { nodes: { id: string; successors: string[] }[] };
  assert.equal(status.nodes[0]?.id, formatId(self));
  assert.deepEqual(status.nodes[0]?.successors, [formatId(other)]);
});

test('ring lists the nodes with ranges and roles', async () => {
  const { stdout } = await at('ring', '--json');
  const ring = JSON.parse(stdout) as { nodes: { name: string; range: { after: string }; roles: string[] }[] };
  assert.deepEqual(
    ring.nodes.map(({ name, range, roles }) => [name, range.after, roles]),
    [
      ['n1', formatId(other), ['this node']],
      ['n2', formatId(self), ['predecessor', 'successor 1']],
    ],
  );
  const picture = (await at('ring')).stdout;
  assert.match(picture, /● n1|n1/);
  assert.match(picture, /predecessor, successor 1/);
});

test('key says id, address and owner', async () => {
  const { stdout } = await at('key', 'hello', '--json');
  const key = JSON.parse(stdout) as { id: string; address: string; owner: { name: string } };
  assert.equal(key.id, formatId(idOfKey('hello')));
  assert.equal(key.address, idAddress(prefix, idOfKey('hello')));
  assert.equal(key.owner.name, 'n2');
});

test('routes and tunnels are tables', async () => {
  const routes = (await at('routes')).stdout;
  assert.match(routes, /this node +n1/);
  assert.match(routes, new RegExp(`${formatId(other)} +n2`));
  const tunnels = (await at('tunnels')).stdout;
  assert.match(tunnels, /^PEER/);
  assert.match(tunnels, /secure \(groups: a\) +aes-128-gcm +1m2s /);
  assert.match(tunnels, /plain \(no common group\) +- +- /);
});

test('thousands of tunnels are shown, as text and as JSON', async (context) => {
  const count = 20_000;
  const tunnels = Array.from({ length: count }, () => tunnel);
  const [row = assert.fail()] = node.security;
  const security = Array.from({ length: count }, () => row);
  const crowd = await controlServer((question) => {
    if (question.t === 'tunnels') return [{ t: 'tunnels', nodes: [{ vi: 'lab', id: self, netns: 'blue', tunnels }] }];
    return answer(question).map((said) => (said.t === 'status' ? { ...said, nodes: [{ ...node, security }] } : said));
  });
  context.after(() => crowd.close());
  const json = await p2pxbone('tunnels', '--json', '--run', crowd.run);
  assert.equal(json.code, 0, json.stderr);
  const { nodes } = JSON.parse(json.stdout) as { nodes: { netns: string; tunnels: { peerName: string }[] }[] };
  assert.deepEqual([nodes[0]?.netns, nodes[0]?.tunnels.length], ['blue', count]);
  const text = await p2pxbone('tunnels', '--run', crowd.run);
  assert.equal(text.stdout.trimEnd().split('\n').length, count + 1);
  const status = await p2pxbone('status', '--json', '--run', crowd.run);
  assert.equal((JSON.parse(status.stdout) as { nodes: { security: unknown[] }[] }).nodes[0]?.security.length, count);
  const short = await p2pxbone('status', '--run', crowd.run);
  assert.match(short.stdout, /and 19968 more; 'p2pxbone tunnels' lists them all/);
  assert.ok(short.stdout.split('\n').length < 60);
});

test('a question goes to the nodes of one namespace', async () => {
  const asked: ToControl[] = [];
  const listening = await controlServer((question) => {
    asked.push(question);
    return answer(question);
  });
  for (const name of ['tunnels', 'routes']) {
    await p2pxbone(name, '--json', '--vi', 'lab', '--netns', 'blue', '--run', listening.run);
    assert.deepEqual(asked.shift(), { t: name, vi: 'lab', netns: 'blue' });
  }
  listening.close();
});

test('qos says what is now in effect, and only the direction given is set', async () => {
  const set = await at('qos', 'set', 'n2', '--out', '--rate', '10mbit', '--delay', '0.5s', '--loss', '1%');
  assert.equal(set.code, 0, set.stderr);
  assert.match(set.stdout, /n2 10\.77\.0\.2 +out +rate 10mbit, delay 500ms, loss 1% +command\n +in +none +-\n/);
  const { stdout } = await at('qos', 'set', 'n2', '--delay', '20ms', '--json');
  const { nodes } = JSON.parse(stdout) as { nodes: { peers: { out: { shape: unknown }; in: { shape: unknown } }[] }[] };
  assert.deepEqual(nodes[0]?.peers[0]?.out.shape, { delayMs: 20 });
  assert.deepEqual(nodes[0]?.peers[0]?.in.shape, { delayMs: 20 });
  assert.match((await at('qos', 'show')).stdout, /^PEER/);
  assert.equal((await at('qos', 'clear', '--all')).code, 0);
});

test('qos that makes no sense ends with 2 and says how to write it', async () => {
  for (const [args, text] of [
    [['set', 'n2'], /Give at least --rate/],
    [['set', 'n2', '--rate', '10'], /--rate: '10' is not a rate from 8kbit to 100gbit, such as 10mbit/],
    [['set', 'n2', '--jitter', '2ms'], /--jitter: give a delay/],
    [['set', 'n2', '--reorder', '5%', '--rate', '1mbit'], /--reorder: give a delay too/],
    [['set', 'n2', '--burst', '15kB', '--loss', '1%'], /--burst: give a rate too/],
    [['set', 'n2', '--queue', '15kB', '--delay', '1ms'], /--queue: give a rate too/],
    [['clear'], /either a peer or --all/],
    [['clear', 'n2', '--all'], /either a peer or --all/],
  ] as const) {
    const { code, stderr } = await at('qos', ...args);
    assert.equal(code, 2, args.join(' '));
    assert.match(stderr, text);
  }
});

test('a failure of the daemon is shown with its exit code', async () => {
  const { code, stderr } = await at('leave', 'lab');
  assert.equal(code, 1);
  assert.equal(stderr.trim().split('\n').at(-1), 'p2pxbone: No node of lab is here.');
});

const invitationOf = (expires: number): string =>
  formatInvitation({
    host: '127.0.0.1',
    port: 4781,
    caFingerprint: new Uint8Array(32),
    vi: 'lab',
    secret: new Uint8Array(16),
    expires,
  });

test('join waits until the node is on the ring and tells its addresses', async () => {
  const { code, stdout, stderr } = await at('join', invitationOf(4_000_000_000));
  assert.equal(code, 0, stderr);
  assert.match(stdout, /joined +VI lab as n1/);
  assert.match(stderr, /asking the overlay manager/);
});

test('join reads the invitation from standard input, and hides its arguments meanwhile', async () => {
  const child = spawn(process.execPath, [COMMAND_FILE, 'join', '-', '--run', server.run]);
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const closed = once(child, 'close');
  const commandLine = (): string => readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  for (let wait = 0; wait < 200 && commandLine() !== 'p2pxbone join'; wait++) await sleep(25);
  assert.equal(commandLine(), 'p2pxbone join');
  child.stdin.end(`${invitationOf(4_000_000_000)}\n`);
  assert.deepEqual(await closed, [0, null]);
  assert.match(stdout, /joined +VI lab as n1/);
});

test('a mangled or stale invitation is refused before anything is asked', async () => {
  const whole = invitationOf(4_000_000_000);
  for (const text of [whole.slice(0, -1), whole.slice(1), `${whole.slice(0, 40)}B${whole.slice(41)}`, 'x']) {
    const { code, stderr } = await p2pxbone('join', text, '--run', scratch);
    assert.equal(code, 2, text);
    assert.match(stderr, /not a whole invitation/);
  }
  const stale = await p2pxbone('join', invitationOf(1_000_000_000), '--run', scratch);
  assert.equal(stale.code, 3);
  assert.match(stale.stderr, /has expired/);
});

test('a name that the VI has not is an error that says what there is', async () => {
  const { code, stderr } = await at('ping', 'n9');
  assert.equal(code, 1);
  assert.match(stderr, /no node 'n9'/);
  const family = await at('ping', '10.77.0.2', '-6');
  assert.equal(family.code, 2);
});

test('a bug report has no secrets and is for its owner only', async () => {
  const config = join(scratch, 'rd.yaml');
  writeFileSync(config, 'listen: "[::]:4780"\nadminToken: hush\n');
  const output = join(scratch, 'report.json');
  const { code, stdout } = await at('bugreport', '--output', output, '--config', config);
  assert.equal(code, 0);
  assert.equal(stdout.trim(), output);
  assert.equal(statSync(output).mode & 0o777, 0o600);
  const text = readFileSync(output, 'utf8');
  assert.ok(!text.includes('hush'));
  assert.match(text, /"listen": "\[::\]:4780"/);
  const { tunnels, status } = JSON.parse(text) as { tunnels: unknown; status: unknown };
  for (const part of [tunnels, status]) assert.match(JSON.stringify(part), /"cipher":"aes-128-gcm".*"keysAgeMs":62000/);
  assert.match(JSON.stringify(status), /"rekeySeconds":3600/);
});

test('what was recorded of a node is a plan that the simulator takes', async () => {
  const output = join(scratch, 'plan.json');
  const { code, stdout } = await at('bugreport', '--scenario', output);
  assert.equal(code, 0);
  assert.equal(stdout.trim(), output);
  const plan = parsePlan(JSON.parse(readFileSync(output, 'utf8')));
  assert.ok(plan.ok, plan.ok ? '' : plan.message);
  assert.deepEqual(plan.value.setting.ids, [self, other, toId(3n << 61n)].map(formatId));
  assert.deepEqual(
    plan.value.steps.map((step) => ({ ...step, at: 0 })),
    [
      { at: 0, do: 'join', node: 0 },
      { at: 0, do: 'join', node: 1 },
      { at: 0, do: 'join', node: 2 },
      { at: 0, do: 'p2pd', node: 0, forMs: 1000 },
      { at: 0, do: 'crash', node: 1, state: true, forMs: 22_000 },
    ],
  );
  const outcome = runPlan(plan.value);
  assert.equal(outcome.failure, undefined);
});

test('the demo without root says what it needs', {
  skip: process.getuid?.() !== 0 && 'needs root to drop it',
}, async () => {
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const child = spawn(process.execPath, [COMMAND_FILE, 'demo'], { uid: 65_534, gid: 65_534 });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.on('close', (code) => resolve({ code, stdout: '', stderr }));
  const ran = await promise;
  assert.equal(ran.code, 3);
  assert.match(ran.stderr, /takes root/);
});
