/** nginx at the servers, and wrk at the clients. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { untilTrue } from '../../cli/demo/machine.ts';
import { run } from '../../cli/demo/namespaces.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { addressOf, type Design, END_CPU, type End, type GatewayNetwork, SERVERS } from './network.ts';

export const FILE_BYTES = 2_000_000;
const FILES = 16;
const SMALL_BYTES = 1_000;
const START_MS = 10_000;
/** Beyond it a request counts as failed, seconds. */
const TIMEOUT_S = 30;

export type Load = {
  readonly bytes: number;
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly median: number;
  readonly p99: number;
};

/** What wrk runs: names of files in turn where there is a `%d` in the path, and its summary as JSON. */
const SCRIPT = `
local turn = 0
local files = ${FILES}
request = function()
  turn = turn % files + 1
  return wrk.format(nil, (wrk.path:gsub("N", tostring(turn))))
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"bytes":%d,"requests":%d,"errors":%d,"seconds":%f,"median":%f,"p99":%f}\\n',
    summary.bytes, summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
`;

export class Web {
  readonly #network: GatewayNetwork;
  readonly #script: string;
  readonly #www: string;

  private constructor(network: GatewayNetwork) {
    this.#network = network;
    this.#script = join(network.lab.directory, 'wrk.lua');
    this.#www = join(network.lab.directory, 'www');
  }

  static async open(network: GatewayNetwork): Promise<Web> {
    const web = new Web(network);
    writeFileSync(web.#script, SCRIPT);
    mkdirSync(web.#www);
    for (let i = 1; i <= FILES; i++) web.file(`part-${i}.bin`, FILE_BYTES);
    web.file('small.html', SMALL_BYTES);
    for (const server of SERVERS) web.#serve(server);
    for (const server of SERVERS) {
      const url = `http://127.0.0.1/small.html`;
      const answers = async (): Promise<boolean> =>
        (await run(network.within(server, ['curl', '-sf', '-o', '/dev/null', url]))).code === 0;
      await untilTrue(`nginx of ${server} answers`, START_MS, 50, answers);
    }
    return web;
  }

  /** A file of random bytes at all servers; its size, as it was made the first time. */
  file(name: string, bytes: number): number {
    const path = join(this.#www, name);
    if (!existsSync(path)) writeFileSync(path, randomBytes(bytes));
    return statSync(path).size;
  }

  #serve(server: End): void {
    const { lab } = this.#network;
    const home = join(lab.directory, server);
    mkdirSync(home);
    const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${home}/t;`);
    writeFileSync(
      join(home, 'nginx.conf'),
      `daemon off; worker_processes 1; user root; pid ${home}/pid; error_log ${home}/err;
events { worker_connections 2048; }
http { access_log off; ${places.join(' ')} sendfile on; tcp_nopush on; open_file_cache max=100;
  server { listen 80 backlog=1024; root ${this.#www}; } }
`,
    );
    const command = ['taskset', '-c', String(END_CPU), 'nginx', '-e', `${home}/err`, '-c', `${home}/nginx.conf`];
    lab.start(this.#network.at(server), command, `${server}.log`);
  }

  /** One file after the other over so many connections, a new one for each file. N in the path: the files in turn. */
  async fetch(
    client: End,
    server: End,
    design: Design,
    path: string,
    connections: number,
    seconds: number,
  ): Promise<Load> {
    const { code, stdout, stderr } = await run(
      this.#network.within(client, [
        'wrk',
        '-t1',
        `-c${connections}`,
        `-d${seconds}s`,
        '--timeout',
        `${TIMEOUT_S}s`,
        '-H',
        'Connection: close',
        '-s',
        this.#script,
        `http://${addressOf(server, design)}/${path}`,
      ]),
    );
    const line = stdout.split('\n').find((text) => text.startsWith('{'));
    if (code !== 0 || line === undefined) throw new OverlayError('SYSTEM', `wrk failed: ${(stderr || stdout).trim()}.`);
    return JSON.parse(line) as Load;
  }
}
