/** What the base network below a tunnel lost by itself, from the kernel's counters of a namespace. */
import { mustRun } from '../lab/lab.ts';

export type BaseLosses = Readonly<Record<string, number>>;

/** Counters of /proc/net/snmp and /proc/net/netstat in which a datagram can end. */
const LOSSES: Readonly<Record<string, readonly string[]>> = {
  Ip: ['InHdrErrors', 'InAddrErrors', 'InDiscards', 'OutDiscards', 'OutNoRoutes', 'ReasmFails', 'FragFails'],
  IpExt: ['InNoRoutes', 'InTruncatedPkts', 'InCsumErrors'],
  Udp: ['NoPorts', 'InErrors', 'RcvbufErrors', 'SndbufErrors', 'InCsumErrors', 'MemErrors'],
};

/** Lines of names and of values take turns. A receive overflow is in both InErrors and RcvbufErrors. */
export function parseLosses(text: string): BaseLosses {
  const lines = text.trim().split('\n');
  const losses: Record<string, number> = {};
  for (let i = 0; i + 1 < lines.length; i++) {
    const names = (lines[i] ?? '').split(/\s+/);
    const values = (lines[i + 1] ?? '').split(/\s+/);
    const group = (names[0] ?? '').slice(0, -1);
    if (names[0] !== values[0] || !/^\d/.test(values[1] ?? '')) continue;
    for (const name of LOSSES[group] ?? []) {
      const at = names.indexOf(name);
      if (at > 0) losses[`${group}.${name}`] = Number(values[at]);
    }
  }
  return losses;
}

type Link = { readonly stats64?: Record<'rx' | 'tx', { readonly dropped: number; readonly errors: number }> };
type Discipline = { readonly kind: string; readonly drops: number };

export async function baseLosses(namespace: string, device: string): Promise<BaseLosses> {
  const text = await mustRun(namespace, ['cat', '/proc/net/snmp', '/proc/net/netstat']);
  const [link] = JSON.parse(await mustRun(namespace, ['ip', '-s', '-json', 'link', 'show', device])) as Link[];
  const shown = await mustRun(namespace, ['tc', '-s', '-json', 'qdisc', 'show', 'dev', device]);
  const disciplines = JSON.parse(shown) as Discipline[];
  return {
    ...parseLosses(text),
    'link.rxDropped': link?.stats64?.rx.dropped ?? 0,
    'link.txDropped': link?.stats64?.tx.dropped ?? 0,
    'qdisc.drops': disciplines.reduce((sum, { drops }) => sum + drops, 0),
  };
}

export function increase(before: BaseLosses, after: BaseLosses): BaseLosses {
  return Object.fromEntries(
    Object.entries(after).flatMap(([name, count]) => {
      const more = count - (before[name] ?? 0);
      return more > 0 ? [[name, more]] : [];
    }),
  );
}

/** Datagrams that were lost, or more: one may be in several counters. */
export function totalOf(losses: BaseLosses): number {
  return Object.values(losses).reduce((sum, count) => sum + count, 0);
}
