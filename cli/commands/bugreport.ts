import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { release, version as systemVersion, type } from 'node:os';
import { join, resolve } from 'node:path';
import { OverlayError } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { ToControl } from '../../overlay/messages/control.ts';
import { valueOf } from '../command.ts';
import { readYaml } from '../config-file.ts';
import { print, toJson } from '../output.ts';
import { version } from '../program.ts';
import { askRd, controlSocket, runDirectory } from '../rd-client.ts';
import { scenarioOf } from '../scenario.ts';

export type BugreportOptions = {
  readonly run?: string;
  readonly output?: string;
  readonly config?: string;
  /** Write what was recorded of this VI's node as a plan for the simulator into that file, and nothing else. */
  readonly scenario?: string;
  readonly vi?: string;
};

/** Names of fields whose values are left out, whatever they hold. */
const SECRET = /secret|token|key|password|invitation|pem/i;
/** Fields that are named so and hold none: when keys were made, not what they are. */
const NO_SECRET = new Set(['keysAgeMs', 'rekeys', 'rekeySeconds']);

export async function run(options: BugreportOptions): Promise<void> {
  const where = runDirectory(options.run);
  if (options.scenario !== undefined) return writeScenario(where, options.scenario, options.vi);
  const now = new Date(systemClock.wall()).toISOString();
  const status = await said(where, { t: 'status' }, 'status');
  const report = {
    report: 'p2pxbone bugreport, format 1',
    takenAt: now,
    versions: {
      p2pxbone: version(),
      node: process.version,
      openssl: process.versions.openssl,
      system: `${type()} ${release()} ${systemVersion()}`,
      ip: outputOf('ip', ['-V']),
      ping: outputOf('ping', ['-V']),
    },
    configuration: options.config === undefined ? null : withoutSecrets(readYaml(options.config)),
    controlSocket: controlSocket(where),
    status,
    tunnels: await said(where, { t: 'tunnels' }, 'tunnels'),
    routes: await said(where, { t: 'routes' }, 'routes'),
    ring: await said(where, { t: 'nodes' }, 'nodes'),
    history: await said(where, { t: 'history' }, 'history'),
    gateways: await said(where, { t: 'gateway', flows: 0 }, 'gateway'),
    interfaces: outputOf('ip', ['-d', '-s', 'address']),
    rules: { ipv4: outputOf('ip', ['rule']), ipv6: outputOf('ip', ['-6', 'rule']) },
    kernelRoutes: { ipv4: outputOf('ip', ['route']), ipv6: outputOf('ip', ['-6', 'route']) },
  };
  const path = resolve(options.output ?? join('.', `p2pxbone-bugreport-${now.replaceAll(/[:.]/g, '-')}.json`));
  writeFileSync(path, `${toJson(withoutSecrets(report))}\n`, { mode: 0o600, flag: 'wx' });
  print(path);
}

async function writeScenario(where: string, file: string, vi: string | undefined): Promise<void> {
  const question = { t: 'history', ...(vi === undefined ? {} : { vi }) } as const;
  const { nodes } = valueOf(await askRd(where, question, 'history'));
  const [node, another] = nodes;
  if (node === undefined) throw new OverlayError('NOT_FOUND', 'No virtual node runs here; join a VI first.');
  if (another !== undefined)
    throw new OverlayError('BAD_ARGUMENT', 'Several virtual nodes run here; name one with --vi.');
  const path = resolve(file);
  writeFileSync(path, `${toJson(scenarioOf(node))}\n`, { mode: 0o600, flag: 'wx' });
  print(path);
}

/** The answer, or the failure in its place: a report is wanted most where something does not answer. */
async function said(
  where: string,
  question: ToControl,
  answer: 'status' | 'tunnels' | 'routes' | 'nodes' | 'history' | 'gateway',
): Promise<unknown> {
  const result = await askRd(where, question, answer, { timeoutMs: 5000 });
  return result.ok ? result.value : { failed: { code: result.code, message: result.message } };
}

export function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [
      name,
      SECRET.test(name) && !NO_SECRET.has(name) ? '(left out)' : withoutSecrets(part),
    ]),
  );
}

function outputOf(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', timeout: 5000, stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    return `failed: ${(error as Error).message}`;
  }
}
