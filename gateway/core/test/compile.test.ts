/** Mistakes in policies: each has a place and a sentence that says what to do; and what is right compiles. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { USUAL_BOUNDS } from '../bounds.ts';
import type { PolicyFiles } from '../compilation.ts';
import { type Compiled, compilePolicy } from '../compile.ts';
import type { CompiledPolicy } from '../compiled-policy.ts';
import { POLICY_FORMAT } from '../policy-schema.ts';

const HEAD = `policy: ${POLICY_FORMAT}\n`;
const HASH = '0123456789abcdef'.repeat(4);
const FILES: PolicyFiles = {
  readList: (path) =>
    ({
      'words.txt': { path, text: '# words\nsecret\n\n  top secret \n' },
      'bad.txt': { path, text: `${HASH}  virus.exe\n${HASH.toUpperCase()}\n` },
      'wrong.txt': { path, text: 'one\ntwo[\n' },
    })[path] ?? { path, error: 'does not exist; correct the path.' },
  readSignatures: (path) => [
    path === 'own' ? { path: 'own/game.pat', text: '# x\nourgame\n^hello\n' } : { path, text: '#\n' },
  ],
};

function compile(text: string): Compiled {
  return compilePolicy('p.yaml', HEAD + text, FILES);
}

/** Line 1 is the head. */
function complaints(text: string): string[] {
  return compile(text).problems.map(
    ({ file, line, column, severity, message }) => `${file}:${line}:${column} ${severity} ${message}`,
  );
}

function good(text: string): CompiledPolicy {
  const { policy, problems } = compile(text);
  assert.deepEqual(problems, []);
  return policy ?? assert.fail();
}

test('an empty policy accepts everything', () => {
  const { rules, defaultVerdict, dryRun, denyForMs, services } = good('');
  assert.deepEqual(
    { rules, defaultVerdict, dryRun, denyForMs },
    { rules: [], defaultVerdict: 'accept', dryRun: false, denyForMs: 600_000 },
  );
  assert.equal(services.audit, undefined);
  assert.equal(services.scan.socket, '/run/clamav/clamd.ctl');
});

test('bounds are counts, sizes and times; what is not said is as usual', () => {
  const { bounds } = good('bounds: {flows: 1000, heldMemory: 2 MB, gapTimeout: 5s}\n').services;
  assert.deepEqual(bounds, { ...USUAL_BOUNDS, flows: 1000, heldMemory: 2_000_000, gapTimeout: 5000 });
  assert.deepEqual(good('').services.bounds, USUAL_BOUNDS);
});

const MISTAKES: readonly (readonly [string, RegExp])[] = [
  // Shape.
  ['mode: enforc\n', /^p.yaml:2:7 error mode: give one of enforce, dry-run\.$/],
  ['defaults: drop\n', /^p.yaml:2:1 error There is no field 'defaults' in the policy; do you mean 'default'\?$/],
  ['rules:\n  - when: {}\n', /^p.yaml:3:5 error rules\[1\]\.do is missing; give accept, drop, .*$/],
  [
    'rules: [{do: [log, {limt: x}]}]\n',
    /^p.yaml:2:21 error There is no field 'limt' in rules\[1\]\.do\[2\]; do you mean 'limit'\?$/,
  ],
  ['rules: [{do: acept}]\n', /^p.yaml:2:14 error rules\[1\]\.do: give accept, drop, reject, /],
  [
    'rules: [{when: {port: [80, -1]}, do: drop}]\n',
    /^p.yaml:2:28 error rules\[1\]\.when\.port\[2\]: give a port from 0 to 65535/,
  ],
  ['mode: enforce\nmode: dry-run\n', /^p.yaml:3:1 error This is not YAML: Map keys must be unique/],
  ['mode: "x\n', /error This is not YAML: Missing closing "quote/],
  ['policy: 5\n', /error This is not YAML: Map keys must be unique/],
  ['bounds: {flows: 10}\n', /^p.yaml:2:17 error bounds\.flows: give a whole number from 64 to 4194304\.$/],
  ['bounds: {heldMemory: 1 kB}\n', /^p.yaml:2:22 error bounds\.heldMemory: give a size from 1 MB to 64 GB\.$/],
  ['bounds: {gapTimeout: soon}\n', /^p.yaml:2:22 error bounds\.gapTimeout: give a time from 1s to 10m\.$/],
  ['bounds: {flow: 100}\n', /^p.yaml:2:10 error There is no field 'flow' in bounds; do you mean 'flows'\?$/],
  // Names.
  [
    'sets: {students: [10.0.0.0/8]}\nrules: [{when: {from: student}, do: drop}]\n',
    /^p.yaml:3:23 error No set is called 'student'; do you mean 'students'\?$/,
  ],
  ['sets: {a: [b], b: [a]}\n', /^p.yaml:2:\d+ error The set 'a' names itself/],
  ['sets: {a: [10.0.0.1/8]}\n', /^p.yaml:2:12 error '10.0.0.1\/8' is no address; give one, a prefix without host bits/],
  ['sets: {a: [10.0.0.9-10.0.0.1]}\n', /is no address/],
  [
    'rules: [{when: {application: [http, bitorrent]}, do: drop}]\n',
    /^p.yaml:2:37 error No application is called 'bitorrent'; do you mean 'bittorrent'\?$/,
  ],
  [
    'rules: [{when: {time: office}, do: drop}]\n',
    /^p.yaml:2:23 error No entry in times is called 'office'; there are none yet; add it\.$/,
  ],
  ['rules: [{do: {limit: x}}]\n', /^p.yaml:2:22 error No limit is called 'x'/],
  [
    'rules: [{when: {chat: {text: secret}}, do: drop}]\n',
    /^p.yaml:2:30 error No list \(a word is written as \['secret'\]\) is called 'secret'/,
  ],
  [
    'rules: [{when: {protocol: tpc}, do: drop}]\n',
    /^p.yaml:2:27 error No protocol is called 'tpc'; give one of icmp, tcp, udp, gre, esp, sctp, or its number\.$/,
  ],
  [
    'rules: [{when: {file: {type: exe}}, do: drop}]\n',
    /^p.yaml:2:30 error No file type is called 'exe'; kinds are unknown, archive, /,
  ],
  // Values.
  ['times: {a: {from: 8}}\n', /^p.yaml:2:\d+ error times\.a\.from: give a time of day such as '08:00'\.$/],
  ['times: {a: {from: "8:60"}}\n', /^p.yaml:2:\d+ error '8:60' is no time of day/],
  ['times: {a: {from: "08:00", to: "08:00"}}\n', /error It begins when it ends/],
  ['limits: {a: {rate: 5}}\n', /^p.yaml:2:\d+ error limits\.a\.rate: give a rate such as '20 Mbit\/s'/],
  ['limits: {a: {rate: 20 MB}}\n', /error '20 MB' is no rate/],
  ['limits: {a: {rate: 2 Mbit/s, ceiling: 1 Mbit/s}}\n', /error ceiling: give at least the rate\.$/],
  [
    'limits: {a: {rate: 1 Mbit/s, parent: b}, b: {rate: 1 Mbit/s, parent: a}}\n',
    /error The limit 'a' is its own ancestor/,
  ],
  [
    'limits: {a: {rate: 1 Mbit/s}, b: {rate: 2 Mbit/s, parent: a}}\n',
    /error 'b' may take more than the ceiling of its parent 'a'/,
  ],
  ['limits: {a: {rate: 1 Mbit/s, per: address}}\n', /error per: address goes with way: up or way: down/],
  [
    'limits: {a: {rate: 1 Mbit/s, per: source}, b: {rate: 1 Mbit/s, parent: a}}\n',
    /^p.yaml:2:\d+ error Packets of one 'b' would belong to several of its parent 'a'/,
  ],
  ['limits: {a: {rate: 1 Mbit/s, queue: 9 MB}}\n', /error '9 MB' is no size from 1500 B to 8388608 B/],
  ['rules: [{when: {file: {size: "~ 5 MB"}}, do: drop}]\n', /error '~ 5 MB' is no size; write it as '> 1 MB'/],
  ['connectionCache: {denyFor: soon}\n', /^p.yaml:2:28 error 'soon' is no time up to 30 days/],
  ['lists: {a: {sha256: [abc]}}\n', /^p.yaml:2:\d+ error 'abc' is no SHA-256; it has 64 hexadecimal digits\.$/],
  ['lists: {a: {sha256: {file: none.txt}}}\n', /^p.yaml:2:28 error none\.txt does not exist; correct the path\.$/],
  [
    'lists: {a: {patterns: {file: wrong.txt}}}\n',
    /^wrong\.txt:2:1 error The pattern 'two\[' cannot be used, character 4: this '\[' has no '\]'/,
  ],
  [
    'lists: {a: {patterns: ["/a(b/"]}}\n',
    /^p.yaml:2:24 error The pattern '\/a\(b\/' cannot be used, character 3: this \( is not closed/,
  ],
  ['signatures: [empty]\n', /^empty:1:1 error It names no protocol/],
  // Rules.
  ['rules: [{do: [drop, reject]}]\n', /^p.yaml:2:14 error A rule has one of drop, reject; take the others out\.$/],
  ['rules: [{do: [scan, scan]}]\n', /error scan is there twice; give it once\.$/],
  ['rules: [{when: {file: {}, chat: {}}, do: drop}]\n', /error A message is not sent with a file/],
  ['rules: [{do: [scan, drop]}]\n', /error What is to be dropped cannot be scanned or stored/],
  ['rules: [{do: store}]\n', /error store needs a place; add audit/],
  ['rules: [{do: accept, denyFor: 1h}]\n', /error denyFor goes with drop and reject/],
  [
    'rules: [{when: {application: http}, do: {redirect: 10.0.0.1}}]\n',
    /error A redirect has to begin with the first packet, and application is known later/,
  ],
  ['rules: [{do: {redirect: "10.0.0.1:3128"}}]\n', /error Only TCP and UDP have ports to redirect to/],
  ['rules: [{when: {port: 80}, do: {redirect: "10.0.0.1:0"}}]\n', /error '10.0.0.1:0' is no target/],
  // More than is feasible.
  [
    'rules: [{when: {application: skype}, do: scan}]\n',
    /^p.yaml:2:16 error 'skype' can be blocked and limited, but its files cannot be scanned; that is so for gnutella, fasttrack, /,
  ],
  [
    'rules: [{when: {application: [http, skype], file: {}}, do: drop}]\n',
    /error 'skype' can be blocked and limited, but its files are not seen/,
  ],
  [
    'rules: [{when: {application: bittorrent, file: {type: zip}}, do: drop}]\n',
    /error 'bittorrent' can be blocked and limited, but the content of its files/,
  ],
  [
    'rules: [{when: {application: http, chat: {}}, do: drop}]\n',
    /error 'http' can be blocked and limited, but no messages of it are seen/,
  ],
  [
    'rules: [{when: {application: ssh, host: ["*.x"]}, do: drop}]\n',
    /error 'ssh' can be blocked and limited, but it names no host/,
  ],
];

for (const [text, expected] of MISTAKES) {
  test(`refused: ${text.trim().replaceAll('\n', ' ')}`, () => {
    const { policy } = compile(text);
    assert.equal(policy, undefined);
    const list = complaints(text);
    assert.equal(list.length, 1, list.join('\n'));
    assert.match(list[0] as string, expected);
  });
}

test('every mistake is told, in the order of lines', () => {
  const lines = complaints('mode: x\nfastPass: 5\ndefault: drop\nrules: [{do: dorp}]\n').map(
    (text) => text.split(' ')[0],
  );
  assert.deepEqual(lines, ['p.yaml:2:7', 'p.yaml:3:11', 'p.yaml:5:14']);
});

test('rules that cannot match, promises that cannot be kept, and records that go nowhere are warned of', () => {
  const text = `limits: {a: {rate: 1 Mbit/s}, b: {rate: 800 kbit/s, parent: a}, c: {rate: 800 kbit/s, parent: a}}
rules:
  - {name: web, when: {application: http}, do: accept}
  - {name: exe, when: {application: http, file: {type: pe}}, do: drop}
  - {when: {application: tls}, do: log}
`;
  const list = complaints(text);
  assert.equal(list.length, 3);
  assert.match(list[0] as string, /^p.yaml:2:\d+ warning The children of 'a' \(b, c\) are promised more than its rate/);
  assert.match(list[1] as string, /^p.yaml:5:5 warning 'exe' never matches, because 'web' in line 4 matches before/);
  assert.match(list[2] as string, /^p.yaml:6:\d+ warning log has no effect without audit/);
  assert.ok(compile(text).policy !== undefined);
});

test('lists come from files, sets from sets, limits in order, signatures give names', () => {
  const policy = good(`sets: {all: [some, 10.0.1.0/24], some: [10.0.0.0/24, 10.0.0.128-10.0.1.5]}
lists: {words: {patterns: {file: words.txt}}, bad: {sha256: {file: bad.txt}}}
limits: {child: {rate: 1 Mbit/s, parent: top}, top: {rate: 20 Mbit/s}}
signatures: [own]
rules:
  - {when: {between: all, application: [ourgame, kazaa]}, do: {limit: child}}
  - {when: {chat: {text: words}}, do: drop}
  - {when: {file: {sha256: bad}}, do: drop}
`);
  assert.deepEqual(policy.addressSets, [
    { ranges: [{ first: 0xffff_0a00_0000n, last: 0xffff_0a00_01ffn }], names: [] },
  ]);
  assert.deepEqual(
    policy.limits.map(({ name, parent }) => [name, parent]),
    [
      ['top', 0],
      ['child', 1],
    ],
  );
  assert.equal(policy.rules[0]?.limit, 2);
  assert.deepEqual(policy.ownApplications, ['ourgame']);
  assert.deepEqual(policy.rules[0]?.conditions[0], { kind: 'application', numbers: [4, 1024] });
  assert.deepEqual(
    policy.expressions.map(({ group, line }) => [group, line]),
    [
      [0, 2],
      [0, 4],
    ],
  );
  assert.deepEqual(
    policy.hashLists.map((list) => list.length),
    [1],
  );
});
