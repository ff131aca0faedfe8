/** The resource daemon of a base node: everything wired together, started and stopped. */
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createDataPlane, type DataPlane } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { FromControl, RdStatus, ToControl } from '../../overlay/messages/control.ts';
import type { RdConfig } from '../../overlay/rd-config.ts';
import type { ViConfig } from '../../overlay/vi.ts';
import type { Endpoint } from '../core/contact.ts';
import type { NodeRef } from '../core/io.ts';
import { answerControl } from './answers.ts';
import { ControlServer } from './control-server.ts';
import { Credentials } from './credentials.ts';
import { type DataLock, lockData } from './data-lock.ts';
import { ownEndpoints, ownFamilies, parseEndpoint, selfEndpoint } from './endpoints.ts';
import { Engine } from './engine.ts';
import { DataDirectory } from './files.ts';
import type { Host } from './host.ts';
import { loadIdentity, type RdIdentity } from './identity.ts';
import { checkPrivileges, Kernel } from './kernel.ts';
import { Members } from './members.ts';
import { checkPolicies } from './node-gateways.ts';
import { P2pdServer } from './p2pd-server.ts';
import { Readings } from './readings.ts';
import { Revocations } from './revocations.ts';
import { nodeStatus } from './status.ts';
import { VERSION } from './version.ts';

export const CONTROL_SOCKET = 'rd.sock';
export const P2PD_SOCKET = 'p2pd.sock';

/** Timers of the data plane where no VI says otherwise, milliseconds. */
const TIMERS = { keepAliveMs: 500, silenceMs: 2000 };
const DEFAULT_PORT = 4780;
const OTHERS_ENTER = 0o001;

export type RunningRd = {
  /** Where tunnels end here, on the base network. */
  readonly underlay: Endpoint;
  /** Every node leaves its ring and hands over, everything made on the machine is removed; memberships stay. */
  stop(): Promise<void>;
};

/**
 * NOT_PERMITTED without privileges, CONFLICT where another daemon runs here, BAD_CONFIG for an address that is none,
 * SYSTEM where the port cannot be had. Nothing is left behind then.
 */
export async function startRd(config: RdConfig, log: Log): Promise<Result<RunningRd>> {
  const permitted = checkPrivileges();
  if (!permitted.ok) return permitted;
  const addresses = parseAddresses(config);
  if (!addresses.ok) return addresses;
  const policies = checkPolicies(config);
  if (!policies.ok) return policies;
  const data = new DataDirectory(config.data);
  const prepared = data.prepare();
  if (!prepared.ok) return prepared;
  const run = prepareRun(config.run);
  if (!run.ok) return run;
  const lock = await lockData(config.data);
  if (!lock.ok) return lock;
  const started = await startLocked(config, data, addresses.value, log, lock.value);
  if (!started.ok) await lock.value.release();
  return started;
}

async function startLocked(
  config: RdConfig,
  data: DataDirectory,
  addresses: Addresses,
  log: Log,
  lock: DataLock,
): Promise<Result<RunningRd>> {
  const identity = loadIdentity(data);
  return identity.ok ? new Daemon(config, data, identity.value, addresses, log, lock).start() : identity;
}

type Addresses = { readonly listen: Endpoint; readonly advertise: readonly Endpoint[] };

class Daemon {
  readonly #config: RdConfig;
  readonly #log: Log;
  readonly #startedAt = systemClock.wall();
  #plane: DataPlane | undefined;
  #timers = TIMERS;
  #underlay: Endpoint;
  readonly #engine: Engine;
  readonly #members: Members;
  readonly #p2pds: P2pdServer;
  readonly #control: ControlServer;
  readonly #lock: DataLock;
  #stopping: Promise<void> | undefined;

  constructor(
    config: RdConfig,
    data: DataDirectory,
    identity: RdIdentity,
    addresses: Addresses,
    log: Log,
    lock: DataLock,
  ) {
    this.#config = config;
    this.#log = log;
    this.#lock = lock;
    this.#underlay = addresses.listen;
    const plane = (): DataPlane => this.#openPlane();
    const underlay = (): Endpoint => this.#underlay;
    const setup = {
      key: identity.fingerprint,
      get self() {
        return selfEndpoint(underlay());
      },
      get families() {
        return ownFamilies(underlay());
      },
    };
    const revocations = new Revocations(log);
    this.#engine = new Engine(setup, plane, revocations, log);
    const p2pdSocket = join(config.run, P2PD_SOCKET);
    let nodes = 0;
    const host: Host = {
      config,
      data,
      identity,
      kernel: new Kernel(data, log),
      credentials: new Credentials(plane, identity.privateKeyPem, revocations),
      revocations,
      engine: this.#engine,
      plane,
      endpoints: () => ownEndpoints(this.#underlay, withPort(addresses.advertise, this.#underlay.port)),
      p2pdSocket,
      nextRef: () => ++nodes as NodeRef,
      log,
    };
    revocations.onChange((caPem) => {
      // New handshakes first, or who is cut off would be there again at once.
      const refreshed = host.credentials.refresh(caPem);
      if (!refreshed.ok) log.error({ problem: refreshed.message }, 'the data plane does not take the revocation list');
      this.#engine.revoked(caPem);
    });
    this.#members = new Members(host, (vi, others) => this.#fitTimers(vi, others));
    this.#p2pds = new P2pdServer({
      path: p2pdSocket,
      uid: config.p2pdUid,
      connectionsMax: 2 * config.nodesMax + 16,
      engine: this.#engine,
      nodes: () => this.#members.all(),
      log,
    });
    const answer = async (question: ToControl, progress: (step: string) => void): Promise<Result<FromControl>> => {
      if (this.#plane === undefined) return fail('NOT_READY', 'The resource daemon is starting or stopping.');
      return answerControl(question, progress, {
        members: this.#members,
        engine: this.#engine,
        readings: () => this.#readings(),
        status: () => this.#status(),
      });
    };
    this.#control = new ControlServer(join(config.run, CONTROL_SOCKET), answer, log);
  }

  async start(): Promise<Result<RunningRd>> {
    // The control socket comes first: it tells whether another daemon runs here.
    const controlled = await this.#control.listen();
    if (!controlled.ok) return controlled;
    const bound = this.#createPlane(TIMERS);
    this.#members.load();
    const served = bound.ok ? await this.#p2pds.listen() : bound;
    if (!served.ok) {
      await this.stop();
      return served;
    }
    await this.#members.resume();
    this.#log.info({ underlay: this.#underlay, run: this.#config.run, version: VERSION }, 'resource daemon ready');
    return ok({ underlay: this.#underlay, stop: () => this.stop() });
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    await this.#members.stop();
    await this.#p2pds.stop();
    this.#engine.stop();
    this.#plane?.close();
    this.#plane = undefined;
    await this.#control.stop();
    await this.#lock.release();
    this.#log.info('resource daemon stopped');
  }

  #openPlane(): DataPlane {
    if (this.#plane === undefined) throw new Error('the data plane is not open');
    return this.#plane;
  }

  #createPlane(timers: typeof TIMERS): Result<void> {
    const { receive } = this.#config;
    const created = createDataPlane({ ...timers, ...(receive === undefined ? {} : { receive }) });
    if (!created.ok) return created;
    const plane = created.value;
    plane.onEvents((events) => this.#engine.events(events));
    let bound = plane.bind(this.#underlay);
    if (!bound.ok && this.#underlay.address === '::') {
      // The kernel may have no IPv6 at all.
      const retried = plane.bind({ ...this.#underlay, address: '0.0.0.0' });
      if (retried.ok) bound = retried;
    }
    if (!bound.ok) {
      plane.close();
      return bound;
    }
    this.#plane = plane;
    this.#timers = timers;
    this.#underlay = bound.value;
    return ok();
  }

  /** Keep-alives are the data plane's, so the first VI's timers count for all; before that, it is made anew. */
  #fitTimers({ name, definition }: ViConfig, others: number): Result<void> {
    const { keepAliveMs, silenceMs } = definition.timers;
    if (keepAliveMs === this.#timers.keepAliveMs && silenceMs === this.#timers.silenceMs) return ok();
    if (others > 0) {
      const text = 'another VI was here first: its keep-alive timers count for both';
      this.#log.warn({ vi: name, wanted: { keepAliveMs, silenceMs }, used: this.#timers }, text);
      return ok();
    }
    this.#plane?.close();
    this.#plane = undefined;
    this.#engine.planeClosed();
    return this.#createPlane({ keepAliveMs, silenceMs });
  }

  #readings(): Readings {
    return new Readings(this.#openPlane().counters());
  }

  #status(): RdStatus {
    const readings = this.#readings();
    const drops: Record<string, number> = {};
    for (const [reason, count] of Object.entries(readings.counters.drops))
      if (count > 0n) drops[reason] = Number(count);
    const own = {
      controlGarbage: this.#engine.garbage,
      p2pdRefused: this.#p2pds.refused,
      controlRefused: this.#control.refused,
    };
    for (const [reason, count] of Object.entries(own)) if (count > 0) drops[reason] = count;
    return {
      pid: process.pid,
      version: VERSION,
      underlay: this.#underlay,
      startedAt: this.#startedAt,
      nodes: [...this.#members.all()].map((node) => nodeStatus(node, this.#engine, readings)),
      drops,
    };
  }
}

function parseAddresses(config: RdConfig): Result<Addresses> {
  const listen = parseEndpoint(config.listen, DEFAULT_PORT);
  if (!listen.ok) return fail('BAD_CONFIG', `Configuration: listen: ${listen.message}`);
  const advertise: Endpoint[] = [];
  for (const text of config.advertise) {
    const parsed = parseEndpoint(text, 0);
    if (!parsed.ok) return fail('BAD_CONFIG', `Configuration: advertise: ${parsed.message}`);
    advertise.push(parsed.value);
  }
  return ok({ listen: listen.value, advertise });
}

/** An advertised address without a port is reached at the one that is bound. */
function withPort(endpoints: readonly Endpoint[], port: number): Endpoint[] {
  return endpoints.map((endpoint) => (endpoint.port === 0 ? { ...endpoint, port } : endpoint));
}

/** P2P daemons, which are nobody, must be able to reach their socket. */
function prepareRun(path: string): Result<void> {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 });
    chmodSync(path, 0o755);
    for (let at = resolve(path); at !== dirname(at); at = dirname(at)) {
      if ((statSync(at).mode & OTHERS_ENTER) !== 0) continue;
      const need = `P2P daemons, which have no privileges, cannot enter ${at}`;
      return fail('BAD_CONFIG', `Configuration: run: ${need}; choose another directory, or 'chmod o+x' that one.`);
    }
    return ok();
  } catch (error) {
    return fail('NOT_PERMITTED', `The run directory cannot be used: ${(error as Error).message}.`);
  }
}
