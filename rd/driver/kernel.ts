/**
 * What the kernel must know of a virtual node: its interface's namespace, name, addresses and routes, and the rule by
 * which it takes packets for every key of its range (AnyIP). Whatever would outlive the interface is in a journal in
 * the data directory, so that the next start can take it back after a crash.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { fail } from '../../overlay/errors.ts';
import { closed } from '../../overlay/fields.ts';
import type { Log } from '../../overlay/lib/log.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { LinkAddresses } from '../core/io.ts';
import type { DataDirectory } from './files.ts';
import { interfaceName } from './names.ts';
import { enter, inNamespace, ipBatch, ipBatchForced, run } from './shell.ts';

const JOURNAL_FILE = 'undo.json';
const NAME_ATTEMPTS_MAX = 64;
/** Routing tables are numbered from the VXLAN network identifier, above the numbers that people choose. */
const TABLE_BASE = 0x1000_0000;
const TABLE_STEP = 0x0100_0000;
const TABLE_ATTEMPTS_MAX = 16;
/** The kernel's default of 500 drops small packets; 5000 does not. */
const QUEUE_PACKETS = 5000;

const Netns = Type.Union([Type.String(), Type.Null()]);
const Journal = closed({
  namespaces: Type.Array(Type.String()),
  rules: Type.Array(closed({ netns: Netns, interface: Type.String(), table: Type.Integer() })),
  settings: Type.Array(closed({ netns: Netns, path: Type.String(), value: Type.String() })),
});
type Journal = typeof Journal.static;

export type AttachOptions = {
  /** Under which the data plane made the TAP, in our namespace. */
  readonly birthName: string;
  readonly netns: string | null;
  readonly vi: { readonly name: string; readonly vni: number; readonly prefix: string; readonly ipv4Pool: string };
  readonly mtu: number;
  readonly ipv4: string;
  readonly ipv6: string;
};

export type Attachment = {
  readonly netns: string | null;
  readonly interface: string;
  readonly table: number;
};

export class Kernel {
  readonly #data: DataDirectory;
  readonly #log: Log;
  readonly #journal: Journal;
  readonly #attached = new Set<Attachment>();

  constructor(data: DataDirectory, log: Log) {
    this.#data = data;
    this.#log = log;
    this.#journal = readJournal(data);
  }

  /** Takes back what a crashed daemon left. Namespaces in `keep` stay: a node comes back to them. */
  async cleanLeftovers(keep: ReadonlySet<string>): Promise<void> {
    for (const rule of this.#journal.rules) await this.#removeRule(rule);
    await this.#restoreSettings(() => true);
    for (const name of this.#journal.namespaces) if (!keep.has(name)) await this.#removeNamespace(name);
  }

  /** Makes the namespace if there is none of that name; what we made, we remove with the last node in it. */
  async prepareNamespace(netns: string | null): Promise<Result<void>> {
    if (netns === null) return ok();
    if (existsSync(`/run/netns/${netns}`)) {
      const entered = await ipBatch(netns, ['link show lo']);
      if (entered.ok || !this.#journal.namespaces.includes(netns)) return entered.ok ? ok() : entered;
      // The name of one of ours is left without its namespace: the machine was mounted anew since.
      await this.#removeNamespace(netns);
    }
    const made = await run('ip', ['netns', 'add', netns]);
    if (!made.ok) return made;
    this.#journal.namespaces.push(netns);
    this.#save();
    const up = await ipBatch(netns, ['link set lo up']);
    return up.ok ? ok() : up;
  }

  async attach(options: AttachOptions): Promise<Result<Attachment>> {
    const { netns } = options;
    const moved = await this.#moveAndName(options);
    if (!moved.ok) return moved;
    const table = await freeTable(netns, options.vi.vni);
    if (!table.ok) return table;
    const attachment = { netns, interface: moved.value, table: table.value };
    this.#journal.rules.push(attachment);
    this.#attached.add(attachment);
    this.#save();
    const configured = await this.#configure(attachment, options);
    if (configured.ok) return ok(attachment);
    await this.detach(attachment);
    return configured;
  }

  /** Removes what does not go with the interface. The namespace stays until `releaseNamespace`. */
  async detach(attachment: Attachment): Promise<void> {
    this.#attached.delete(attachment);
    await this.#removeRule(attachment);
  }

  /** Gives a namespace back as it was, or removes it if we made it, unless a node is in it. */
  async releaseNamespace(netns: string | null): Promise<void> {
    if ([...this.#attached].some((other) => other.netns === netns)) return;
    await this.#restoreSettings((setting) => setting.netns === netns);
    if (netns !== null && this.#journal.namespaces.includes(netns)) await this.#removeNamespace(netns);
  }

  async #moveAndName({ birthName, netns, vi }: AttachOptions): Promise<Result<string>> {
    const links = await run('ip', [...inNamespace(netns), '-br', 'link']);
    if (!links.ok) return links;
    const taken = new Set(links.value.split('\n').map((line) => line.split(/[\s@]/)[0]));
    for (let attempt = 0; attempt < NAME_ATTEMPTS_MAX; attempt++) {
      const name = interfaceName(vi.name, attempt);
      if (taken.has(name)) continue;
      const where = netns === null ? [] : ['netns', netns];
      const moved = await run('ip', ['link', 'set', 'dev', birthName, ...where, 'name', name]);
      return moved.ok ? ok(name) : moved;
    }
    return fail('LIMIT_REACHED', `There are too many interfaces named like ${interfaceName(vi.name, 0)}.`);
  }

  async #configure(attachment: Attachment, options: AttachOptions): Promise<Result<void>> {
    const { netns, interface: name, table } = attachment;
    const settings = await this.#applySettings(netns, name);
    if (!settings.ok) return settings;
    const { vi, ipv4, ipv6, mtu } = options;
    const lines = [
      `link set dev ${name} arp off mtu ${mtu} addrgenmode none txqueuelen ${QUEUE_PACKETS}`,
      `addr add ${ipv4}/32 dev ${name}`,
      `addr add ${ipv6}/128 dev ${name} nodad`,
      `link set dev ${name} up`,
      `route add ${vi.ipv4Pool} dev ${name} src ${ipv4}`,
      `route add ${vi.prefix} dev ${name} src ${ipv6}`,
    ];
    const linked = await ipBatch(netns, lines);
    if (!linked.ok) return linked;
    // Packets that the data plane hands up are for this node, whichever key they are addressed to.
    const anyIp = [`rule add iif ${name} lookup ${table}`, `route add local ${vi.prefix} dev lo table ${table}`];
    const ruled = await ipBatch(netns, anyIp, 6);
    return ruled.ok ? ok() : ruled;
  }

  async #applySettings(netns: string | null, name: string): Promise<Result<void>> {
    const own = [
      ['net/ipv6/conf/lo/disable_ipv6', '0'],
      ['net/ipv6/ip_nonlocal_bind', '1'],
    ] as const;
    const before = await readSettings(
      netns,
      own.map(([path]) => path),
    );
    if (!before.ok) return before;
    own.forEach(([path, value], index) => {
      const old = before.value[index] as string;
      const isKnown = this.#journal.settings.some((setting) => setting.netns === netns && setting.path === path);
      if (old !== value && !isKnown) this.#journal.settings.push({ netns, path, value: old });
    });
    this.#save();
    return writeSettings(netns, [
      ...own,
      [`net/ipv6/conf/${name}/disable_ipv6`, '0'],
      [`net/ipv6/conf/${name}/accept_dad`, '0'],
      [`net/ipv6/conf/${name}/accept_ra`, '0'],
      // Routes over the VI need not be symmetric, and the data plane answers with errors in the node's own name.
      [`net/ipv4/conf/${name}/rp_filter`, '0'],
      [`net/ipv4/conf/${name}/accept_local`, '1'],
    ]);
  }

  async #restoreSettings(which: (setting: Journal['settings'][number]) => boolean): Promise<void> {
    for (const setting of this.#journal.settings.filter(which)) {
      await writeSettings(setting.netns, [[setting.path, setting.value]]);
    }
    this.#journal.settings = this.#journal.settings.filter((setting) => !which(setting));
    this.#save();
  }

  async #removeRule(rule: Attachment): Promise<void> {
    const { netns, interface: name, table } = rule;
    await ipBatchForced(netns, [`rule del iif ${name} lookup ${table}`, `route flush table ${table}`], 6);
    this.#journal.rules = this.#journal.rules.filter(
      (other) => other.netns !== netns || other.interface !== name || other.table !== table,
    );
    this.#save();
  }

  async #removeNamespace(name: string): Promise<void> {
    await run('ip', ['netns', 'del', name]);
    this.#journal.namespaces = this.#journal.namespaces.filter((other) => other !== name);
    this.#save();
  }

  #save(): void {
    const { namespaces, rules, settings } = this.#journal;
    const isEmpty = namespaces.length + rules.length + settings.length === 0;
    const saved = isEmpty
      ? this.#data.remove(JOURNAL_FILE)
      : this.#data.write(JOURNAL_FILE, JSON.stringify(this.#journal));
    // A full disk must not end virtual nodes; only a crash before the next change would leave traces now.
    if (!saved.ok) this.#log.error({ problem: saved.message }, 'the journal of what was made here is not up to date');
  }
}

/** Lines for `ip -batch` that give our end of a link its addresses, or take them away. */
export function linkLines(verb: 'add' | 'replace' | 'del', name: string, link: LinkAddresses): string[] {
  const { local, remote } = link;
  const flag = verb === 'del' ? '' : ' nodad';
  return [
    `addr ${verb} ${local.ipv4} peer ${remote.ipv4}/32 dev ${name}`,
    `addr ${verb} ${local.ipv6} peer ${remote.ipv6}/128 dev ${name}${flag}`,
  ];
}

/** UDP ports in use in a namespace, either family. */
export async function udpPortsInUse(netns: string | null): Promise<Set<number>> {
  const command = enter(netns, ['cat', '/proc/net/udp', '/proc/net/udp6']);
  const table = await run(command[0] as string, command.slice(1));
  if (!table.ok) return new Set();
  return new Set(
    [...table.value.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) /gm)].map((match) =>
      Number.parseInt(match[1] as string, 16),
    ),
  );
}

async function freeTable(netns: string | null, vni: number): Promise<Result<number>> {
  for (let attempt = 0; attempt < TABLE_ATTEMPTS_MAX; attempt++) {
    const table = TABLE_BASE + attempt * TABLE_STEP + vni;
    const routes = await run('ip', [...inNamespace(netns), '-6', 'route', 'show', 'table', String(table)]);
    // A table that does not exist is told as an error.
    if (!routes.ok || routes.value.trim() === '') return ok(table);
  }
  return fail('LIMIT_REACHED', 'No routing table is free for key addresses.');
}

async function readSettings(netns: string | null, paths: readonly string[]): Promise<Result<string[]>> {
  const command = enter(netns, ['cat', ...paths.map((path) => `/proc/sys/${path}`)]);
  const read = await run(command[0] as string, command.slice(1));
  return read.ok ? ok(read.value.trim().split('\n')) : read;
}

/** Settings of the kernel belong to the namespace of the process that writes them. */
async function writeSettings(
  netns: string | null,
  settings: readonly (readonly [path: string, value: string])[],
): Promise<Result<void>> {
  if (netns !== null) {
    const script = 'while [ $# -gt 1 ]; do echo "$2" > "/proc/sys/$1" || exit 1; shift 2; done';
    const command = enter(netns, ['sh', '-c', script, 'sh', ...settings.flat()]);
    const written = await run(command[0] as string, command.slice(1));
    return written.ok ? ok() : written;
  }
  try {
    for (const [path, value] of settings) writeFileSync(`/proc/sys/${path}`, value);
    return ok();
  } catch (error) {
    return fail('SYSTEM', `A setting of the kernel cannot be changed: ${(error as Error).message}.`);
  }
}

function readJournal(data: DataDirectory): Journal {
  try {
    const value: unknown = JSON.parse(data.read(JOURNAL_FILE) ?? 'null');
    if (Value.Check(Journal, value)) return value;
  } catch {
    // A damaged journal names nothing that could be removed safely.
  }
  return { namespaces: [], rules: [], settings: [] };
}

/** Whether this process may do all that; the sentence says what is missing. */
export function checkPrivileges(): Result<void> {
  const status = readFileSync('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const NET_ADMIN = 12n;
  if (((effective >> NET_ADMIN) & 1n) === 0n || process.geteuid?.() !== 0) {
    return fail(
      'NOT_PERMITTED',
      'The resource daemon makes network interfaces; run it as root (it needs CAP_NET_ADMIN).',
    );
  }
  if (!existsSync('/dev/net/tun')) {
    return fail(
      'NOT_PERMITTED',
      "There is no /dev/net/tun; load the module with 'modprobe tun', or give the container that device.",
    );
  }
  return ok();
}
