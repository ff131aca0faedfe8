/** An overlay manager as a process of its own, and nodes of three VIs, one for each way to its address server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { valueOf } from '../../cli/command.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import { COMMAND_FILE } from '../../cli/rd-launch.ts';
import { readLocalAccess } from '../../om-server/files.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { parseInvitation } from '../../overlay/invitation.ts';
import { createNodeKey } from '../../overlay/node-key.ts';
import { createOmClient } from '../../overlay/om-client.ts';
import type { OmEndpoint } from '../../overlay/om-transport.ts';
import { serialOf } from '../../overlay/revocation-list.ts';
import type { AddressTransport } from '../../overlay/vi.ts';

const HOST = '127.0.0.1';
const START_MS = 30_000;
const POLL_MS = 20;
/** The limit for one node is not what is measured. */
const REQUESTS_PER_SECOND = 1_000_000;

export class AddressServerLab {
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'pxb-addresses-'));
  #om: ChildProcess | undefined;
  #port = 0;

  /** Of the overlay manager. */
  get pid(): number {
    return this.#om?.pid ?? 0;
  }

  /** ADDRESS:PORT of the address server. */
  get endpoint(): string {
    return `${HOST}:${this.#port}`;
  }

  /** Where the overlay manager listens. */
  get manager(): OmEndpoint {
    const { host, port } = valueOf(readLocalAccess(this.#data));
    return { host, port };
  }

  get caFile(): string {
    return join(this.#data, 'ca.pem');
  }

  get #data(): string {
    return join(this.#directory, 'om');
  }

  /** `p2pxbone om start`; resolves when it listens. */
  async start(): Promise<void> {
    const config = join(this.#directory, 'om.yaml');
    const settings = { addressRequestsPerSecond: REQUESTS_PER_SECOND, logLevel: 'warn' };
    writeFileSync(config, stringify({ listen: `${HOST}:0`, data: this.#data, ...settings }));
    const om = spawn(process.execPath, [COMMAND_FILE, 'om', 'start', '--config', config], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#om = om;
    process.once('exit', () => om.kill('SIGKILL'));
    await untilTrue('the overlay manager to listen', START_MS, POLL_MS, () => {
      if (om.exitCode !== null) throw new OverlayError('SYSTEM', 'The overlay manager ended; see what it said.');
      return Promise.resolve(existsSync(join(this.#data, 'endpoint.json')));
    });
  }

  /** Makes a VI with so many nodes. The path of a file that says to the load generator who they are. */
  async addNodes(transport: AddressTransport, count: number): Promise<string> {
    const access = valueOf(readLocalAccess(this.#data));
    const admin = createOmClient(access);
    valueOf(await admin.createVi({ name: transport, definition: { addressServer: { transport } } }));
    const { text } = valueOf(await admin.createInvitation(transport, { expiresSeconds: 3600, uses: count }));
    admin.close();
    const lines: string[] = [];
    for (let i = 0; i < count; i++) lines.push(await this.#addNode(access, text, `${transport}${i}`));
    const path = join(this.#directory, `${transport}.txt`);
    writeFileSync(path, lines.join(''), { mode: 0o600 });
    return path;
  }

  /** Joins as a resource daemon does, and asks for the secret. */
  async #addNode({ host, port }: OmEndpoint, invitation: string, name: string): Promise<string> {
    const { vi, secret, caFingerprint } = valueOf(parseInvitation(invitation));
    const { csrPem, keyPem } = await createNodeKey(name);
    const joiner = createOmClient({ host, port, caFingerprint });
    const order = { vi, secret: Buffer.from(secret).toString('base64'), name, csr: csrPem };
    const { certificate: certPem, ca: caPem } = valueOf(await joiner.join(order));
    joiner.close();
    const node = createOmClient({ host, port, caPem, clientCertificate: { certPem, keyPem } });
    const server = valueOf(await node.addressServer());
    node.close();
    this.#port = server.port;
    const [certFile, keyFile] = [join(this.#directory, `${name}.pem`), join(this.#directory, `${name}-key.pem`)];
    writeFileSync(certFile, certPem);
    writeFileSync(keyFile, keyPem, { mode: 0o600 });
    const hex = Buffer.from(server.secret ?? '', 'base64').toString('hex') || '-';
    return `${serialOf(certPem)} ${hex} ${certFile} ${keyFile}\n`;
  }

  /** Pairs leased in the VI, as the overlay manager counts them. */
  async leased(vi: AddressTransport): Promise<number> {
    const admin = createOmClient(valueOf(readLocalAccess(this.#data)));
    const { linkPairsLeased } = valueOf(await admin.showVi(vi));
    admin.close();
    return linkPairsLeased;
  }

  remove(): void {
    this.#om?.kill('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}
