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
