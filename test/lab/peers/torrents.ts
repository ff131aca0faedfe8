/** Real BitTorrent programs on both sides of the router: libtorrent and aria2, and a tracker. */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { run } from '../../../cli/demo/namespaces.ts';
import { CLIENT, PYTHON, type RouterLab, SERVER } from '../router.ts';

const TORRENT = fileURLToPath(new URL('../programs/torrent.py', import.meta.url));
const TRACKER = fileURLToPath(new URL('../programs/tracker.ts', import.meta.url));

export type Way = {
  readonly name: string;
  readonly program: 'libtorrent' | 'aria2';
  readonly encrypted: boolean;
  readonly utp: boolean;
  /** Where the one who wants the file learns who has it: told by hand, or over the router. */
  readonly from: 'hand' | 'http' | 'udp' | 'dht';
};

type Status = { readonly seeding: boolean; readonly done: number; readonly payload: number; readonly peers: number };

/** Port of the tracker, on the server's side of the router. */
export const TRACKER_PORT = 6969;

export async function startTracker(lab: RouterLab): Promise<void> {
  const tracker = lab.start(lab.server, [process.execPath, TRACKER, String(TRACKER_PORT)]);
  if (tracker.stdout !== null) await once(tracker.stdout, 'data');
}

/** One file, one that has it on the server's side, one that wants it on the client's. */
export class Exchange {
  readonly way: Way;
  /** Where the seeder is reached. */
  readonly port: number;
  readonly #lab: RouterLab;
  readonly #content: Uint8Array;
  readonly #directory: string;
  #leecher: ChildProcess | undefined;
  #status: Status = { seeding: false, done: 0, payload: 0, peers: 0 };

  constructor(lab: RouterLab, way: Way, port: number, bytes: number) {
    this.way = way;
    this.port = port;
    this.#lab = lab;
    this.#content = randomBytes(bytes);
    this.#directory = join(lab.directory, `torrent-${port}`);
  }

  async seed(): Promise<void> {
    const { way, port } = this;
    const file = join(this.#directory, 'seed', 'shared.bin');
    for (const side of ['seed', 'leech']) mkdirSync(join(this.#directory, side), { recursive: true });
    writeFileSync(file, this.#content);
    const torrent = this.#torrent();
    const tracker = { http: [`http://${SERVER}:${TRACKER_PORT}/a`], udp: [`udp://${SERVER}:${TRACKER_PORT}`] };
    const announced = way.from === 'http' || way.from === 'udp' ? tracker[way.from] : [];
    const made = await run([PYTHON, TORRENT, 'make', file, torrent, ...announced]);
    if (made.code !== 0) throw new Error(made.stderr);
    this.#lab.start(this.#lab.server, this.#command('seed', `${SERVER}:${port}`));
  }

  fetch(): void {
    const child = this.#lab.start(this.#lab.client, this.#command('leech', `${CLIENT}:${this.port + 100}`));
    this.#leecher = child;
    child.stderr?.resume();
    if (child.stdout === null) return;
    if (this.way.program === 'aria2') return void child.stdout.resume();
    createInterface(child.stdout).on('line', (line) => (this.#status = JSON.parse(line) as Status));
  }

  #torrent(): string {
    return join(this.#directory, 'shared.torrent');
  }

  #command(side: 'seed' | 'leech', at: string): string[] {
    const { way } = this;
    const directory = join(this.#directory, side);
    if (way.program === 'libtorrent') {
      const words = [PYTHON, TORRENT, 'run', this.#torrent(), directory, at];
      if (way.encrypted) words.push('--encrypted');
      if (way.utp) words.push('--utp');
      if (way.from === 'hand' && side === 'leech') words.push('--peer', `${SERVER}:${this.port}`);
      if (way.from === 'dht') words.push('--dht');
      if (way.from === 'dht' && side === 'leech') words.push('--node', `${SERVER}:${this.port}`);
      return words;
    }
    // Each its own copy: it writes a file of its own beside the torrent's.
    const torrent = join(directory, 'own.torrent');
    copyFileSync(this.#torrent(), torrent);
    return [
      'aria2c',
      `--dir=${directory}`,
      `--listen-port=${at.split(':')[1]}`,
      '--enable-dht=false',
      '--enable-peer-exchange=false',
      '--bt-enable-lpd=false',
      '--seed-ratio=0',
      '--check-integrity=true',
      '--summary-interval=0',
      '--bt-tracker-interval=2',
      `--bt-require-crypto=${way.encrypted}`,
      `--bt-min-crypto-level=${way.encrypted ? 'arc4' : 'plain'}`,
      torrent,
    ];
  }

  /** Bytes of the file that have arrived. */
  get arrived(): number {
    if (this.way.program === 'libtorrent') return Math.max(this.#status.done, this.#status.payload);
    // What aria2 has is told by its file alone, which has no holes to speak of here.
    const path = join(this.#directory, 'leech', 'shared.bin');
    if (!existsSync(path)) return 0;
    const got = readFileSync(path);
    return this.#content.length - this.#missing(got);
  }

  #missing(got: Uint8Array): number {
    const BLOCK = 16_384;
    let missing = 0;
    for (let at = 0; at < this.#content.length; at += BLOCK) {
      const block = this.#content.subarray(at, at + BLOCK);
      if (!Buffer.from(block).equals(got.subarray(at, at + BLOCK))) missing += block.length;
    }
    return missing;
  }

  isWhole(): boolean {
    if (this.way.program === 'libtorrent' && !this.#status.seeding) return false;
    const path = join(this.#directory, 'leech', 'shared.bin');
    return existsSync(path) && Buffer.from(this.#content).equals(readFileSync(path));
  }

  stopFetching(): void {
    this.#leecher?.kill('SIGKILL');
  }
}
