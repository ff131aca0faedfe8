/** A real FTP server and curl across a router's gateway: data connections of all four kinds are known for what they carry. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { untilTrue } from '../../cli/demo/machine.ts';
import { run, within } from '../../cli/demo/namespaces.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { Clamd, EICAR } from './clamd.ts';
import { CLIENT, PYTHON, RouterLab, SERVER } from './router.ts';
import { skip } from './topology.ts';

const AUDIT = 'audit: {directory: audit}\n';
const EXTENDED_PASSIVE = { name: 'EPSV', words: [] };
const KINDS: readonly { readonly name: string; readonly words: readonly string[] }[] = [
  EXTENDED_PASSIVE,
  { name: 'PASV', words: ['--disable-epsv'] },
  { name: 'EPRT', words: ['-P', CLIENT] },
  { name: 'PORT', words: ['-P', CLIENT, '--disable-eprt'] },
];

class FtpLab {
  readonly lab: RouterLab;
  /** What the server serves. */
  readonly files: string;

  private constructor(lab: RouterLab) {
    this.lab = lab;
    this.files = join(lab.directory, 'ftp');
    mkdirSync(this.files);
  }

  static async create(context: TestContext): Promise<FtpLab> {
    const ftp = new FtpLab(await RouterLab.create(context));
    const { lab, files } = ftp;
    const server = lab.start(lab.server, [PYTHON, '-m', 'pyftpdlib', '-i', SERVER, '-p', '21', '-w', '-d', files]);
    server.stderr?.resume();
    const listens = async (): Promise<boolean> =>
      (await run(within(lab.server, ['ss', '-tln']))).stdout.includes(':21 ');
    await untilTrue('the FTP server listens', 20_000, 100, listens);
    return ftp;
  }

  put(name: string, content: Uint8Array | string): void {
    writeFileSync(join(this.files, name), content);
  }

  /** What has come, whatever became of it. */
  async get(name: string, words: readonly string[], seconds = 5): Promise<{ exit: number; got: Buffer; ms: number }> {
    const to = join(this.lab.directory, 'ftp-got');
    rmSync(to, { force: true });
    const since = systemClock.now();
    const curl = ['curl', '-s', '-m', String(seconds), '-o', to, ...words, `ftp://${SERVER}/${name}`];
    const { code } = await run(within(this.lab.client, curl));
    const got = existsSync(to) ? readFileSync(to) : Buffer.alloc(0);
    return { exit: code, got, ms: systemClock.now() - since };
  }

  async upload(name: string, content: Uint8Array | string, words: readonly string[]): Promise<number> {
    const from = join(this.lab.directory, name);
    writeFileSync(from, content);
    const curl = ['curl', '-s', '-m', '5', '-T', from, ...words, `ftp://${SERVER}/`];
    return (await run(within(this.lab.client, curl))).code;
  }
}

test('files over FTP are filtered and recorded, whichever way their connection goes', {
  skip,
  timeout: 90_000,
}, async (context) => {
  const ftp = await FtpLab.create(context);
  const { lab } = ftp;
  const note = randomBytes(200_000);
  const program = Buffer.concat([Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]), randomBytes(200_000)]);
  ftp.put('note.bin', note);
  ftp.put('song.mp3', note);
  ftp.put('harmless.dat', program);
  await lab.startGateway(`${AUDIT}rules:
  - {name: no songs, when: {file: {name: ["*.mp3"]}}, do: reject}
  - {name: no programs, when: {file: {type: [executable]}}, do: reject}
`);
  for (const { name, words } of KINDS) {
    const whole = await ftp.get('note.bin', words);
    assert.equal(whole.exit, 0, name);
    assert.ok(note.equals(whole.got), name);
    const song = await ftp.get('song.mp3', words);
    assert.notEqual(song.exit, 0, name);
    assert.equal(song.got.length, 0, `${name}: of a song ${song.got.length} bytes came`);
    const code = await ftp.get('harmless.dat', words);
    assert.notEqual(code.exit, 0, name);
    assert.ok(code.got.length < 100_000, `${name}: of a program ${code.got.length} bytes came`);
    assert.equal(await ftp.upload(`up-${name}.bin`, note, words), 0, name);
    assert.ok(note.equals(readFileSync(join(ftp.files, `up-${name}.bin`))), name);
    assert.notEqual(await ftp.upload(`up-${name}.mp3`, note, words), 0, name);
    assert.ok(!existsSync(join(ftp.files, `up-${name}.mp3`)), `${name}: the server has heard of the song`);
  }
  await lab.stopGateway();

  const sha256 = createHash('sha256').update(note).digest('hex');
  const files = lab.told('fileinfo').filter(({ app_proto }) => app_proto === 'ftpData');
  const complete = files
    .map(({ fileinfo }) => fileinfo as Record<string, unknown>)
    .filter((file) => file['state'] === 'complete');
  for (const name of ['note.bin', ...KINDS.map((kind) => `up-${kind.name}.bin`)]) {
    const of = complete.filter((file) => file['filename'] === name);
    assert.equal(of.length, name === 'note.bin' ? KINDS.length : 1, `${name}: ${JSON.stringify(complete)}`);
    for (const file of of) assert.deepEqual([file['sha256'], file['seen']], [sha256, note.length]);
  }
  const rules = lab.told('alert').map(({ alert }) => (alert as { rule: string }).rule);
  assert.equal(rules.filter((rule) => rule === 'no songs').length, 2 * KINDS.length);
  assert.equal(rules.filter((rule) => rule === 'no programs').length, KINDS.length);
});

test('files over FTP are scanned, and their connections limited', { skip, timeout: 90_000 }, async (context) => {
  const ftp = await FtpLab.create(context);
  const { lab } = ftp;
  const clean = randomBytes(2_000_000);
  ftp.put('clean.bin', clean);
  ftp.put('infected.bin', Buffer.concat([clean.subarray(0, 900_000), Buffer.from(EICAR), clean.subarray(900_000)]));
  const clamd = new Clamd(lab);
  await lab.startGateway(
    `${AUDIT}scan: {socket: ${clamd.socket}}\nrules:\n  - {name: scan all, when: {file: {}}, do: scan}\n`,
  );
  await clamd.start();
  for (const { name, words } of [EXTENDED_PASSIVE, ...KINDS.slice(3)]) {
    const whole = await ftp.get('clean.bin', words, 15);
    assert.equal(whole.exit, 0, name);
    assert.ok(clean.equals(whole.got), name);
    const infected = await ftp.get('infected.bin', words, 15);
    assert.notEqual(infected.exit, 0, name);
    assert.ok(infected.got.length < clean.length, name);
  }
  const limits = 'limits:\n  slow: {rate: 8 Mbit/s}\nrules:\n  - {when: {application: ftpData}, do: {limit: slow}}\n';
  await lab.reload(limits);
  const slow = await ftp.get('clean.bin', [], 15);
  assert.ok(clean.equals(slow.got));
  context.diagnostic(`2 MB at 8 Mbit/s: ${slow.ms} ms`);
  assert.ok(slow.ms > 1700, `${slow.ms} ms`);
  await lab.stopGateway();
  const found = lab.told('alert').map(({ alert }) => alert as Record<string, unknown>);
  assert.deepEqual(
    found.map(({ malware, about }) => [malware, about]),
    Array.from({ length: 2 }, () => ['Test-Body.UNOFFICIAL', 'infected.bin']),
  );
});
