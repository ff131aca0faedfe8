/** Runs the system's ping, in a namespace where one is given, and reads what it prints. */
import { spawn } from 'node:child_process';
import { type ErrorCode, OverlayError } from '../overlay/errors.ts';
import { type Family, inNamespace } from './target.ts';

export type Reply = { readonly seq: number; readonly from: string; readonly hopLimit: number; readonly ms: number };
export type PingResult = {
  readonly transmitted: number;
  readonly received: number;
  readonly replies: readonly Reply[];
  /** Senders of ICMP errors, with their words. */
  readonly errors: readonly { readonly from: string; readonly text: string }[];
};

export type PingOptions = {
  readonly namespace: string | undefined;
  readonly address: string;
  readonly family: Family;
  readonly count: number;
  /** Seconds between requests. */
  readonly interval?: number;
  /** Seconds to wait for the last reply. */
  readonly wait?: number;
  readonly hopLimit?: number;
  /** Each line as ping prints it. */
  readonly onLine?: (line: string) => void;
};

export async function ping(options: PingOptions): Promise<PingResult> {
  const command = ['ping', '-n', `-${options.family}`, '-c', String(options.count), '-W', String(options.wait ?? 2)];
  if (options.interval !== undefined) command.push('-i', String(options.interval));
  if (options.hopLimit !== undefined) command.push('-t', String(options.hopLimit));
  const lines: string[] = [];
  await runLines(inNamespace(options.namespace, [...command, options.address]), (line) => {
    lines.push(line);
    options.onLine?.(line);
  });
  return parsePing(lines);
}

/** Reads the output of ping of iputils, with -n and in the C locale. */
export function parsePing(lines: readonly string[]): PingResult {
  const replies: Reply[] = [];
  const errors: { from: string; text: string }[] = [];
  let transmitted = 0;
  let received = 0;
  for (const line of lines) {
    const reply = /^\d+ bytes from (\S+): icmp_seq=(\d+) ttl=(\d+) time=([\d.]+) ms/.exec(line);
    const error = /^From (\S+?):? icmp_seq=\d+ (.+)$/.exec(line);
    const totals = /^(\d+) packets transmitted, (\d+) received/.exec(line);
    if (reply !== null) {
      const [, from = '', seq, hopLimit, ms] = reply;
      replies.push({ seq: Number(seq), from, hopLimit: Number(hopLimit), ms: Number(ms) });
    } else if (error !== null) {
      errors.push({ from: error[1] ?? '', text: error[2] ?? '' });
    } else if (totals !== null) {
      transmitted = Number(totals[1]);
      received = Number(totals[2]);
    }
  }
  return { transmitted, received, replies, errors };
}

function runLines(command: readonly string[], onLine: (line: string) => void): Promise<void> {
  const [program = '', ...rest] = command;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  let pending = '';
  let complaints = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (pending + text).split('\n');
    pending = parts.pop() ?? '';
    for (const line of parts) onLine(line);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  child.on('error', (error: NodeJS.ErrnoException) => {
    const missing = error.code === 'ENOENT';
    const text = missing ? `${program} is not installed; install it and try again.` : `${program}: ${error.message}.`;
    reject(new OverlayError('SYSTEM', text));
  });
  const codeOf = (text: string): ErrorCode => {
    if (/permitted|permission/i.test(text)) return 'NOT_PERMITTED';
    return /unreachable|no route/i.test(text) ? 'PEER_UNREACHABLE' : 'SYSTEM';
  };
  // ping ends with 1 where nothing answered, which its output says; 2 and more are its own troubles.
  child.on('close', (code) => {
    if (code === 0 || code === 1) resolve();
    else reject(new OverlayError(codeOf(complaints), said(complaints)));
  });
  return promise;
}

function said(complaints: string): string {
  return complaints.trim().split('\n').at(-1) ?? 'ping failed.';
}
