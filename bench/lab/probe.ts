/** Runs bench/tools/probe.cpp: UDP datagrams from one namespace to another, paced at one end and measured at the other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { run, within } from '../../cli/demo/namespaces.ts';
import { toolPath } from './tool.ts';

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

export async function probe(traffic: Traffic): Promise<Sample> {
  const { fromNamespace, toNamespace, address, payloadBytes, perSecond, seconds, idleMs } = traffic;
  const limit = String(Math.ceil(seconds + idleMs / 1000 + 30));
  const tool = toolPath('probe');
  const [program = '', ...rest] = within(toNamespace, ['timeout', limit, tool, 'receive', PORT, String(idleMs)]);
  const receiver = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
  const ended = once(receiver, 'close');
  await lines.next();
  const numbers = [payloadBytes, perSecond, seconds].map(String);
  const sender = await run(within(fromNamespace, ['timeout', limit, tool, 'send', address, PORT, ...numbers]));
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
