/** Starts an overlay manager: data directory, authority, store, HTTPS, address server. */
import { readFileSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type ErrorCode, fail } from '../overlay/errors.ts';
import { type Clock, systemClock } from '../overlay/lib/clock.ts';
import { createLog, type Log, type LogLevel } from '../overlay/lib/log.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import { formatEndpoint, type OmEndpoint } from '../overlay/om-transport.ts';
import { AddressServer } from './addresses/server.ts';
import { Attempts } from './attempts.ts';
import { Authority, type ServerName } from './ca.ts';
import { Departures } from './departures.ts';
import { addressSecret, adminToken, FILES, makeDataDirectory, writeSafely } from './files.ts';
import { type App, createApp, type Tls } from './http/app.ts';
import { Joins } from './joins.ts';
import { Presences } from './presence.ts';
import { Refusals } from './refusals.ts';
import { Revocations } from './revocations.ts';
import type { Services } from './services.ts';
import { Certificates } from './store/certificates.ts';
import { Database } from './store/database.ts';
import { Invitations } from './store/invitations.ts';
import { Leases } from './store/leases.ts';
import { Nodes } from './store/nodes.ts';
import { Vis } from './store/vis.ts';

export type OmOptions = {
  /** Data directory; made if it is missing. */
  readonly data: string;
  /** Port 0 picks a free one. */
  readonly listen: OmEndpoint;
  /** What invitations name: default the listen address, or the first address of an interface. */
  readonly advertise?: { readonly host: string; readonly port?: number };
  /** Of the address server, UDP and TCP; default: the address of `listen` and the port after it, or a free one. */
  readonly addressListen?: OmEndpoint;
  /** That one node may make of the address server. */
  readonly addressRequestsPerSecond?: number;
  readonly logLevel?: LogLevel;
  readonly clock?: Clock;
  /** Lifetime of node certificates, in place of what their VIs say; may be a fraction. */
  readonly certificateDays?: number;
};

export type RunningOm = {
  /** Under which other machines reach it. */
  readonly url: string;
  /** On which it listens. */
  readonly address: OmEndpoint;
  /** Of the address server: UDP and TCP. */
  readonly addressPort: number;
  /** SHA-256 of the CA certificate, 32 bytes. */
  readonly caFingerprint: Uint8Array;
  /** Finishes the requests under way, writes everything down, frees port and data directory. Once is enough. */
  close(): Promise<void>;
};

/** Many times what a node needs that joins, and too few to be a burden. */
export const ADDRESS_REQUESTS_PER_SECOND = 200;
/** How often heartbeats are written down, milliseconds. */
const FLUSH_MS = 5000;
const SWEEP_MS = 60_000;
/** How often the server looks whether its own certificate ends soon, milliseconds. */
const RENEWAL_MS = 86_400_000;
/** How often the revocation list is rid of what has expired, milliseconds; every node fetches it then. */
const PRUNE_MS = 86_400_000;
/** How long requests under way may take when the server ends; then who is silent does not hold it up. */
const CLOSE_MS = 2000;
const LOOPBACK = '127.0.0.1';

/** Fails with CONFLICT where port or data directory are in use, NOT_PERMITTED, or SYSTEM. Nothing is left open then. */
export async function startOm(options: OmOptions): Promise<Result<RunningOm>> {
  try {
    makeDataDirectory(options.data);
    const opened = Database.open(join(options.data, FILES.database));
    if (!opened.ok) return opened;
    const database = opened.value;
    const started = await serve(options, database).catch(failureOf);
    if (!started.ok) database.close();
    return started;
  } catch (error) {
    return failureOf(error);
  }
}

async function serve(options: OmOptions, database: Database): Promise<Result<RunningOm>> {
  const { data, clock = systemClock } = options;
  const log = createLog('om', options.logLevel);
  const authority = await Authority.open(data, clock.wall(), options.certificateDays);
  const known = rememberAuthority(database, authority, data);
  if (!known.ok) return known;
  const advertisedHost = options.advertise?.host ?? defaultHost(options.listen.host);
  let port = options.listen.port;
  const stores = storesOf(database, authority, log, clock.wall());
  const addresses = new AddressServer({
    ...stores,
    secret: addressSecret(data),
    clock,
    log,
    requestsPerSecond: options.addressRequestsPerSecond ?? ADDRESS_REQUESTS_PER_SECOND,
  });
  const services: Services = {
    ...stores,
    addresses,
    authority,
    database,
    attempts: new Attempts(),
    refusals: new Refusals(),
    clock,
    log,
    token: adminToken(data),
    version: readVersion(),
    advertised: () => ({ host: advertisedHost, port: options.advertise?.port ?? port }),
  };
  const names = serverNames(options.listen.host, advertisedHost);
  const tls = async (): Promise<Tls> => ({ ...(await authority.server(data, names, clock.wall())), ca: authority.pem });
  const certificate = await tls();
  const app = await createApp(services, certificate);
  const connections = openConnections(app);
  const address = await listen(app, options.listen);
  if (!address.ok) return address;
  const addressListen = options.addressListen ?? portAfter(address.value, options.listen.port);
  const listening = await addresses.listen(addressListen, certificate).then(
    () => ok(),
    (error: unknown) => failureOf(error, formatEndpoint(addressListen)),
  );
  if (!listening.ok) {
    await app.close();
    return listening;
  }
  port = address.value.port;
  const local = isWildcard(address.value.host) ? LOOPBACK : address.value.host;
  writeSafely(join(data, FILES.endpoint), `${JSON.stringify({ host: local, port })}\n`);
  const renew = async (): Promise<void> => {
    const next = await tls();
    app.server.setSecureContext(next);
    addresses.setCertificate(next);
  };
  const stopChores = startChores(services, renew);
  const stop = async (): Promise<void> => {
    stopChores();
    const cutOff = setTimeout(() => connections.forEach((socket) => socket.destroy()), CLOSE_MS);
    await Promise.all([app.close(), addresses.close()]);
    clearTimeout(cutOff);
    try {
      services.presences.flush(clock.wall());
    } finally {
      database.close();
    }
    log.info('stopped');
  };
  let closing: Promise<void> | undefined;
  const told = { advertised: formatEndpoint(services.advertised()), addressPort: addresses.port };
  log.info({ address: formatEndpoint(address.value), ...told }, 'listening');
  return ok({
    url: `https://${formatEndpoint(services.advertised())}`,
    address: address.value,
    addressPort: addresses.port,
    caFingerprint: authority.fingerprint,
    close() {
      closing ??= stop();
      return closing;
    },
  });
}

type Stores = Pick<
  Services,
  'vis' | 'invitations' | 'nodes' | 'leases' | 'presences' | 'joins' | 'departures' | 'certificates' | 'revocations'
>;

function storesOf(database: Database, authority: Authority, log: Log, now: number): Stores {
  const vis = new Vis(database);
  const invitations = new Invitations(database);
  const nodes = new Nodes(database);
  const leases = new Leases(database, now);
  const presences = new Presences(database, log, now);
  const certificates = new Certificates(database);
  const revocations = new Revocations(authority, certificates);
  const joins = new Joins(database, vis, invitations, nodes, certificates, authority);
  const departures = new Departures(database, nodes, leases, invitations, presences, certificates);
  return { vis, invitations, nodes, leases, presences, joins, departures, certificates, revocations };
}

/** Nodes trust the CA that they joined with: another one in its place would cut them all off. */
function rememberAuthority(database: Database, authority: Authority, data: string): Result<void> {
  const fingerprint = Buffer.from(authority.fingerprint).toString('hex');
  database.run("INSERT OR IGNORE INTO meta (key, value) VALUES ('ca', ?)", fingerprint);
  const known = database.get("SELECT value FROM meta WHERE key = 'ca'")?.['value'];
  if (known === fingerprint) return ok();
  const files = `${FILES.ca} and ${FILES.caKey}`;
  return fail(
    'CONFLICT',
    `The CA in ${data} is not the one that its nodes joined with; restore ${files} from a backup.`,
  );
}

/** Work that is due from time to time; what fails is logged and tried again. Returns what ends it. */
function startChores(services: Services, renewServer: () => Promise<void>): () => void {
  const { certificates, leases, nodes, presences, refusals, clock, log } = services;
  const every = (periodMs: number, name: string, work: () => unknown): NodeJS.Timeout =>
    setInterval(() => {
      Promise.resolve()
        .then(work)
        .catch((error: unknown) => log.error({ err: error, chore: name }, 'a chore failed'));
    }, periodMs);
  const timers = [
    every(FLUSH_MS, 'flush', () => presences.flush(clock.wall())),
    every(SWEEP_MS, 'leases', () => leases.sweep(clock.wall())),
    every(SWEEP_MS, 'places', () => nodes.sweep(clock.wall())),
    every(SWEEP_MS, 'refusals', () => {
      const refused = refusals.take();
      if (refused !== undefined) log.warn({ refused, ms: SWEEP_MS }, 'joins were refused');
    }),
    every(PRUNE_MS, 'revocations', () => certificates.prune(clock.wall())),
    every(RENEWAL_MS, 'renewal', renewServer),
  ];
  return () => timers.forEach((timer) => clearInterval(timer));
}

/** The connections that are open at any time. */
function openConnections(app: App): ReadonlySet<Socket> {
  const open = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return open;
}

const NO_IPV6 = /^(EAFNOSUPPORT|EADDRNOTAVAIL)$/;

/** A machine without IPv6 gets the IPv4 wildcard in place of [::]. */
async function listen(app: App, { host, port }: OmEndpoint): Promise<Result<OmEndpoint>> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (host === '::' && NO_IPV6.test(code)) return listen(app, { host: '0.0.0.0', port });
    await app.close();
    return failureOf(error, formatEndpoint({ host, port }));
  }
  const bound = app.server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the server listens on no address');
  return ok({ host: bound.address, port: bound.port });
}

/** Where the address server listens if nothing else is said: 0 stays 0. */
function portAfter({ host }: OmEndpoint, port: number): OmEndpoint {
  return { host, port: port === 0 ? 0 : port + 1 };
}

function isWildcard(host: string): boolean {
  return host === '::' || host === '0.0.0.0';
}

function defaultHost(listenHost: string): string {
  if (!isWildcard(listenHost)) return listenHost;
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  const first = addresses.find(({ family }) => family === 'IPv4') ?? addresses[0];
  return first?.address ?? LOOPBACK;
}

function serverNames(...hosts: string[]): ServerName[] {
  const names = ['localhost', LOOPBACK, '::1', ...hosts.filter((host) => !isWildcard(host))];
  return [...new Set(names)].map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }));
}

function readVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

const SYSTEM_ERRORS: Readonly<Record<string, { code: ErrorCode; text: (what: string) => string }>> = {
  EADDRINUSE: { code: 'CONFLICT', text: (what) => `${what} is in use by another program; give another port.` },
  EADDRNOTAVAIL: { code: 'SYSTEM', text: (what) => `${what} is no address of this machine; give one that is.` },
  EACCES: { code: 'NOT_PERMITTED', text: (what) => `${what} is not permitted; run this as root or choose another.` },
};

function failureOf(error: unknown, what?: string): Result<never> {
  const { code = '', message, path } = error as NodeJS.ErrnoException;
  const row = SYSTEM_ERRORS[code];
  const subject = what ?? path;
  if (row !== undefined && subject !== undefined) return fail(row.code, row.text(subject));
  if (code !== '') return fail('SYSTEM', `The overlay manager cannot start (${message}).`);
  throw error;
}
