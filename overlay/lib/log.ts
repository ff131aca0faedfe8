/** Structured logs of the daemons: one JSON object a line on standard error. Secrets are never given to it. */
import pino from 'pino';

export type Log = pino.Logger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export function createLog(name: string, level: LogLevel = 'info'): Log {
  return pino({ name, level, base: { pid: process.pid } }, pino.destination({ fd: 2, sync: true }));
}
