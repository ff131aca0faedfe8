/** Builds and runs probe.cpp: UDP datagrams from one namespace to another, paced at one end and measured at the other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { run, within } from '../../cli/demo/namespaces.ts';

const SOURCE = fileURLToPath(new URL('./probe.cpp', import.meta.url));
const DIRECTORY = fileURLToPath(new URL('../../build/bench/', import.meta.url));
const PROGRAM = join(DIRECTORY, 'probe');
const PORT = '5201';

export type Traffic = {
  readonly fromNamespace: string;
  readonly toNamespace: string;
  /** IPv4. */
  readonly address: string;
  readonly payloadBytes: number;
  readonly perSecond: number;
  readonly seconds: number;
  /** How long nothing may come before the receiver ends; more than the path's delay. */
  readonly idleMs: number;
};

export type Sample = {
  readonly sent: number;
  readonly received: number;
  /** The time after a warm-up in which windowPackets with windowBytes of payload arrived. */
  readonly windowSeconds: number;
  readonly windowBytes: number;
  readonly windowPackets: number;
  /** Packets with a lower number than one before them. */
  readonly overtaken: number;
  readonly underHalfOfMedian: number;
  /** One-way delays. */
  readonly ms: Readonly<Record<'least' | 'p05' | 'median' | 'mean' | 'p95' | 'p99' | 'most' | 'deviation', number>>;
};

export async function buildProbe(): Promise<void> {
  if (existsSync(PROGRAM) && statSync(PROGRAM).mtimeMs > statSync(SOURCE).mtimeMs) return;
  mkdirSync(DIRECTORY, { recursive: true });
  const built = await run(['c++', '-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', SOURCE, '-o', PROGRAM]);
  if (built.code !== 0) throw new Error(`bench/tools/probe.cpp does not build: ${built.stderr}`);
}

export async function probe(traffic: Traffic): Promise<Sample> {
  const { fromNamespace, toNamespace, address, payloadBytes, perSecond, seconds, idleMs } = traffic;
  const limit = String(Math.ceil(seconds + idleMs / 1000 + 30));
  const [program = '', ...rest] = within(toNamespace, ['timeout', limit, PROGRAM, 'receive', PORT, String(idleMs)]);
  const receiver = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
  const ended = once(receiver, 'close');
  await lines.next();
  const numbers = [payloadBytes, perSecond, seconds].map(String);
  const sender = await run(within(fromNamespace, ['timeout', limit, PROGRAM, 'send', address, PORT, ...numbers]));
  if (sender.code !== 0) {
    receiver.kill('SIGKILL');
    throw new Error(`the probe's sender ended with ${sender.code}: ${sender.stderr}`);
  }
  const { value } = await lines.next();
  await ended;
  const measured = JSON.parse(String(value)) as Omit<Sample, 'sent'>;
  if (measured.received < 2) throw new Error('none of the probes arrived');
  return { ...measured, sent: (JSON.parse(sender.stdout) as { sent: number }).sent };
}
