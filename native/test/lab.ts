/** Network namespaces and data planes for tests; all of it goes away with the test. */
import { execFile, execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  createDataPlane,
  type DataPlane,
  type DataPlaneOptions,
  type Endpoint,
  type NativeEvent,
  type NodeHandle,
} from '../index.ts';

const run = promisify(execFile);

/** Why the tests that need real interfaces cannot run here; undefined where they can. */
export function missingForLab(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, to create interfaces and network namespaces';
  try {
    execFileSync('ip', ['-V'], { stdio: 'ignore' });
    execFileSync('ping', ['-V'], { stdio: 'ignore' });
  } catch {
    return 'needs the commands ip and ping (packages iproute2 and iputils-ping)';
  }
  return undefined;
}

let serial = 0;
/** A name that no other run and no other test of this run uses; fits an interface name. */
export function uniqueName(): string {
  serial += 1;
  return `px${process.pid.toString(36)}n${serial}`;
}

export function unwrap<T>(result: { ok: true; value: T } | { ok: false; code: string; message: string }): T {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}

/** Polls until `check` gives something, for at most `limitMs`. */
export async function eventually<T>(what: string, check: () => T | undefined | false, limitMs = 5000): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    const value = check();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await delay(10);
  }
}

export type OpenPlane = { readonly plane: DataPlane; readonly at: Endpoint; readonly events: NativeEvent[] };

/** A data plane on a port of `address`, closed after the test. */
export function openPlane(
  t: TestContext,
  address = '127.0.0.1',
  options: DataPlaneOptions = { keepAliveMs: 100, silenceMs: 500 },
): OpenPlane {
  const plane = unwrap(createDataPlane(options));
  t.after(() => plane.close());
  const events: NativeEvent[] = [];
  plane.onEvents((batch) => events.push(...batch));
  return { plane, at: unwrap(plane.bind({ address, port: 0 })), events };
}

export type LabNode = OpenPlane & {
  readonly node: NodeHandle;
  readonly netns: string;
  readonly tapName: string;
  readonly id: bigint;
  readonly mac: Uint8Array;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Runs a command in the node's namespace. */
  exec(...command: string[]): Promise<{ code: number; stdout: string }>;
};

export type LabNodeOptions = { index: number; id: bigint; mtu?: number };

const VNI = 4711;
export const VI_ID = 'lab';
export const IPV6_PREFIX = 'fd12:3456:789a:1::';
export const LINK_POOL = '10.78.0.0/16';
export const LINK_PREFIX = 'fd12:3456:789a:2::/64';

/**
 * A virtual node whose TAP lives in a network namespace of its own, configured as the resource daemon would: addresses,
 * the VI's prefixes to the TAP, and every key address that is handed up accepted (AnyIP).
 */
export async function openLabNode(t: TestContext, open: OpenPlane, options: LabNodeOptions): Promise<LabNode> {
  const { index, id, mtu = 1400 } = options;
  const netns = uniqueName();
  const tapName = uniqueName();
  const mac = Uint8Array.of(2, 0, 0, 0, 0, index);
  const ipv4 = `10.77.0.${index}`;
  const ipv6 = `${IPV6_PREFIX}${id
    .toString(16)
    .padStart(16, '0')
    .replace(/(.{4})(?=.)/g, '$1:')}`.replace('::', ':');
  await run('ip', ['netns', 'add', netns]);
  t.after(() => run('ip', ['netns', 'del', netns]));
  const sources = { prefixes: ['10.77.0.0/24', `${IPV6_PREFIX}/64`], linkPrefixes: [LINK_POOL, LINK_PREFIX] };
  const node = unwrap(open.plane.openNode({ tapName, mtu, id, viId: VI_ID, vni: VNI, mac, ipv4, ipv6, sources }));
  await run('ip', ['link', 'set', tapName, 'netns', netns]);
  const inside = (...args: string[]) => run('ip', ['-n', netns, ...args]);
  await inside('link', 'set', 'lo', 'up');
  await inside('addr', 'add', `${ipv4}/32`, 'dev', tapName);
  await inside('-6', 'addr', 'add', `${ipv6}/128`, 'dev', tapName, 'nodad');
  await inside('link', 'set', tapName, 'up');
  await inside('route', 'add', '10.77.0.0/24', 'dev', tapName, 'src', ipv4);
  await inside('-6', 'route', 'add', `${IPV6_PREFIX}/64`, 'dev', tapName, 'src', ipv6);
  await inside('-6', 'rule', 'add', 'iif', tapName, 'lookup', '100');
  await inside('-6', 'route', 'add', 'local', `${IPV6_PREFIX}/64`, 'dev', 'lo', 'table', '100');
  const exec = async (...command: string[]) => {
    try {
      const { stdout } = await run('ip', ['netns', 'exec', netns, ...command], { timeout: 20_000 });
      return { code: 0, stdout };
    } catch (error) {
      const { code, stdout } = error as { code?: number; stdout?: string };
      return { code: code ?? -1, stdout: stdout ?? '' };
    }
  };
  return { ...open, node, netns, tapName, id, mac, ipv4, ipv6, exec };
}
