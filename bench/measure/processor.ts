/** Processor time of the whole machine and of single processes, from /proc. */
import { readFileSync } from 'node:fs';

/** USER_HZ, in which /proc counts; the same on every Linux that we run on. */
const TICKS_PER_SECOND = 100;

/** Seconds that all cores together were busy since boot: everything but idle, waiting for I/O and stolen. */
export function parseBusySeconds(stat: string): number {
  const fields = (stat.split('\n')[0] ?? '').trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields;
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND;
}

/** User and system time in a process's stat, seconds. */
export function parseProcessSeconds(stat: string): number {
  const fields = stat.split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function busySeconds(): number {
  return parseBusySeconds(readFileSync('/proc/stat', 'utf8'));
}

export function processSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + parseProcessSeconds(readFileSync(`/proc/${pid}/stat`, 'utf8')), 0);
}

export function residentMegabytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024e-6;
}

export type ProcessorTime = { readonly machineSeconds: number; readonly daemonSeconds: number };

/** Processor time that passes while `work` runs, of the machine and of these processes. */
export async function timed<T>(pids: readonly number[], work: () => Promise<T>): Promise<[T, ProcessorTime]> {
  const before = { machine: busySeconds(), daemons: processSeconds(pids) };
  const value = await work();
  return [
    value,
    { machineSeconds: busySeconds() - before.machine, daemonSeconds: processSeconds(pids) - before.daemons },
  ];
}
