/** `p2pxbone gateway check`: what it says of policies on the disk, and how it ends. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { COMMAND_FILE } from '../rd-launch.ts';

const directory = mkdtempSync(join(tmpdir(), 'p2pxbone-policy-'));
after(() => rmSync(directory, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

function check(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND_FILE, 'gateway', 'check', ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const HEAD = 'policy: p2pxbone gateway, format 1\n';

test('the example of the documentation can be used', () => {
  const document = readFileSync(new URL('../../docs/gateway-policy.md', import.meta.url), 'utf8');
  const [, example] = /```yaml\n([\s\S]*?)```/.exec(document) ?? [];
  const path = file('example.yaml', example as string);
  const { status, stdout } = check(path);
  assert.equal(stdout, `${path}: 7 rules, default accept; it can be used.\n`);
  assert.equal(status, 0);
});

test('files beside the policy are read from its directory', () => {
  mkdirSync(join(directory, 'own'));
  file('own/game.pat', 'ourgame\n^hello\n');
  file('bad.txt', `${'ab'.repeat(32)}  virus.exe\n`);
  const path = file(
    'lists.yaml',
    `${HEAD}lists: {bad: {sha256: {file: bad.txt}}}\nsignatures: [own]\nrules: [{when: {application: ourgame}, do: drop}, {when: {file: {sha256: bad}}, do: reject}]\n`,
  );
  assert.deepEqual(check(path), {
    status: 0,
    stdout: `${path}: 2 rules, default accept; it can be used.\n`,
    stderr: '',
  });
});

test('mistakes end with 1, each with its place', () => {
  const path = file(
    'wrong.yaml',
    `${HEAD}mode: enforc\nlists: {a: {sha256: {file: none.txt}}}\nrules:\n  - do: acept\n`,
  );
  const { status, stdout } = check(path);
  assert.equal(status, 1);
  assert.match(stdout, /wrong\.yaml:2:7: error: mode: give one of enforce, dry-run\.\n/);
  assert.match(stdout, /wrong\.yaml: 2 errors; it cannot be used\.\n$/);
});

test('--json has the same', () => {
  const path = file('json.yaml', `${HEAD}mode: dry-run\nrules: [{name: a, do: drop}, {name: b, do: drop}]\n`);
  const good = check(path, '--json');
  assert.equal(good.status, 0);
  const { ok, problems, rules } = JSON.parse(good.stdout) as {
    ok: boolean;
    problems: { severity: string; line: number }[];
    rules: unknown[];
  };
  assert.equal(ok, true);
  assert.deepEqual(
    problems.map(({ severity, line }) => [severity, line]),
    [['warning', 3]],
  );
  assert.deepEqual(rules[1], { number: 2, name: 'b', line: 3, verdict: 'drop' });
  const bad = check(file('bad.yaml', `${HEAD}lists: {a: {patterns: {file: none.txt}}}\n`), '--json');
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /"message": "none\.txt does not exist; correct the path\."/);
});

test('a policy that cannot be read is a wrong argument', () => {
  assert.deepEqual(check(join(directory, 'absent.yaml')), {
    status: 2,
    stdout: '',
    stderr: `p2pxbone: ${join(directory, 'absent.yaml')} does not exist; correct the path.\n`,
  });
  assert.equal(check(directory).status, 2);
});

function explain(policy: string, ...args: string[]) {
  const ends = ['--from', '10.77.8.3', '--to', '192.0.2.1'];
  const command = [COMMAND_FILE, 'gateway', 'explain', policy, ...ends, ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('a policy explains itself', () => {
  const path = file(
    'explained.yaml',
    `${HEAD}times:
  night: {from: "22:00", to: "06:00", zone: utc}
limits:
  slow: {rate: 1 Mbit/s}
rules:
  - {name: no songs, when: {file: {name: ["*.mp3"]}}, do: [log, reject]}
  - {name: no programs, when: {file: {type: [executable]}}, do: drop}
  - {name: no secrets, when: {chat: {text: [secret]}}, do: drop}
  - {name: at night, when: {application: bittorrent, time: night}, do: {limit: slow}}
  - {name: never, when: {application: edonkey}, do: reject}
`,
  );
  const said = (...args: string[]) => explain(path, ...args).stdout.trim();
  assert.match(
    said('--application', 'edonkey'),
    /^reject by rule 5, "never" \(.*explained\.yaml:11\); the connection is refused for 600 s\.$/,
  );
  assert.match(
    said('--application', 'http', '--file', 'a/song.mp3'),
    /^reject by rule 1, "no songs" .*; recorded as an alert\.$/,
  );
  const program = file('tool', '\u007fELF\u0002\u0001\u0001');
  assert.match(said('--application', 'ftp', '--file', program), /^drop by rule 2, "no programs"/);
  assert.match(said('--application', 'irc', '--chat', 'a Secret!'), /^drop by rule 3, "no secrets"/);
  assert.match(said('--application', 'irc', '--chat', 'secretary'), /^accept by default/);
  assert.match(said(), /^Not decided yet: .*application/);
  const night = explain(path, '--application', 'bittorrent', '--at', '2026-01-01T23:00Z', '--json');
  const answer = JSON.parse(night.stdout) as { limit?: string; rule: string };
  assert.equal(answer.limit ?? answer.rule, 'slow');
  const day = explain(path, '--application', 'bittorrent', '--at', '2026-01-01T12:00Z', '--json');
  assert.equal((JSON.parse(day.stdout) as { limit?: string }).limit, undefined);

  for (const [args, message] of [
    [['--application', 'nonsense'], /no application is called nonsense/],
    [['--protocol', 'x'], /'x' is no protocol/],
    [['--at', 'soon'], /'soon' is no time/],
    [['--file', 'a', '--chat', 'b'], /give --file or --chat/],
  ] as const) {
    const { status, stderr } = explain(path, ...args);
    assert.notEqual(status, 0);
    assert.match(stderr, message);
  }
  const broken = explain(file('broken.yaml', `${HEAD}rules: [{do: nothing}]\n`));
  assert.equal(broken.status, 2);
  assert.match(broken.stderr, /broken\.yaml:2:/);
});

test('a redirect is explained with its target, also while rules before it may still deny the flow', () => {
  const rules = [
    '{name: no torrents, when: {application: bittorrent}, do: reject}',
    '{name: proxy, when: {protocol: tcp, port: 80}, do: {redirect: "10.0.0.5:3128"}}',
    '{name: other, when: {protocol: tcp, port: 81}, do: {redirect: "[fd00::5]:3128"}}',
    '{name: names, when: {protocol: udp, port: 53}, do: {redirect: 10.0.0.5}}',
  ];
  const text = (from: number): string =>
    `${HEAD}rules:\n${rules
      .slice(from)
      .map((rule) => `  - ${rule}\n`)
      .join('')}`;
  const open = explain(file('redirect-open.yaml', text(0)), '--port', '80').stdout.trim();
  assert.match(open, /^Not decided yet: the flow goes on to 10\.0\.0\.5:3128, and application will be looked at\.$/);
  const path = file('redirect.yaml', text(1));
  assert.match(explain(path, '--port', '80').stdout, /^redirect by rule 1, "proxy" .*; sent to 10\.0\.0\.5:3128\.$/m);
  assert.match(explain(path, '--port', '81').stdout, /; sent to \[fd00::5\]:3128\.$/m);
  const names = explain(path, '--port', '53', '--protocol', 'udp', '--json').stdout;
  assert.deepEqual((JSON.parse(names) as { redirect: unknown }).redirect, { address: '10.0.0.5', port: 0 });
});
