/** What a policy means, slowly and plainly: from its YAML as it is written to an answer, with nothing compiled in between. */
import assert from 'node:assert/strict';
import { BlockList, isIPv6 } from 'node:net';
import type { ChatConditions, FileConditions, PolicyFile, Rule, When } from '../policy-schema.ts';
import { APPLICATION_ALIASES, APPLICATIONS, CHATTING, FILE_KINDS, HOSTED } from '../vocabulary.ts';

export type FlowFacts = {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: number;
  /** Undefined while unknown. */
  readonly application: string | undefined;
  readonly host: string | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly utcOffsetSeconds: number;
};
export type FileFacts = {
  readonly name: string;
  readonly size: number | undefined;
  readonly seen: number;
  readonly type: { readonly name: string; readonly kind: string } | undefined;
  readonly sha256: string | undefined;
  readonly sender: 'from' | 'to';
  readonly final: boolean;
};
export type ChatFacts = { readonly from: string; readonly to: string; readonly text: string };
export type Event = { readonly flow: FlowFacts; readonly file?: FileFacts; readonly chat?: ChatFacts };

export const NEEDS = { application: 1, host: 2, files: 4, fileType: 8, fileHash: 16, chat: 32 } as const;

export type Answer = {
  readonly action: 'accept' | 'drop' | 'reject' | 'redirect';
  readonly decided: boolean;
  /** From 1. */
  readonly rule: number;
  readonly mark: number | undefined;
  readonly limit: string | undefined;
  readonly log: boolean;
  readonly scan: boolean;
  readonly store: boolean;
  readonly dryRun: boolean;
  readonly needs: number;
  readonly denyForMs: number;
};

/** True, false, or the bits of what is missing. */
type Holds = boolean | number;
const FILES_AND_CHAT: ReadonlySet<string> = new Set([
  'fasttrack',
  'gnutella',
  'msn',
  'opennap',
  'http',
  'ftp',
  'ftpData',
  'irc',
  'xmpp',
]);
const NAMES_ONLY: ReadonlySet<string> = new Set(['edonkey', 'bittorrent']);

export function answer(policy: PolicyFile, event: Event): Answer {
  const rules = policy.rules ?? [];
  const outcomes = rules.map((rule) => holds(policy, rule, event));
  const matchIndex = outcomes.indexOf(true);
  const before = matchIndex < 0 ? outcomes : outcomes.slice(0, matchIndex);
  const open = before.flatMap((outcome, i) =>
    typeof outcome === 'number' ? [{ needs: outcome, rule: rules[i] as Rule }] : [],
  );
  const final = withHosts(policy, outcome(policy, rules[matchIndex], matchIndex + 1, event), matchIndex, event);
  if (open.length === 0) return final;
  const denies = (rule: Rule): boolean => does(rule, 'drop') || does(rule, 'reject');
  const isDenied = final.action === 'drop' || final.action === 'reject';
  if (isDenied && open.every(({ rule }) => denies(rule))) return final;
  const flowRuleOpen = open.some(({ rule }) => rule.when?.file === undefined && rule.when?.chat === undefined);
  const carries = !isDenied && (!flowRuleOpen || final.action === 'redirect');
  const isFlowEvent = event.file === undefined && event.chat === undefined;
  return {
    action: carries ? final.action : 'accept',
    decided: false,
    rule: carries ? final.rule : 0,
    mark: carries ? final.mark : undefined,
    limit: carries ? final.limit : undefined,
    log: carries && final.log && isFlowEvent && !flowRuleOpen,
    scan: open.some(({ rule }) => does(rule, 'scan')) || (!isDenied && final.scan),
    store: open.some(({ rule }) => does(rule, 'store')) || (!isDenied && final.store),
    dryRun: policy.mode === 'dry-run',
    needs: open.reduce((bits, { needs }) => bits | needs, final.needs),
    denyForMs: 0,
  };
}

/** The next request of an HTTP connection may be for another host: then a rule that was asked about the host may hold. */
function withHosts(policy: PolicyFile, final: Answer, matchIndex: number, event: Event): Answer {
  const { application, host } = event.flow;
  const isOfFlow = event.file === undefined && event.chat === undefined;
  if (!isOfFlow || application !== 'http' || host === undefined) return final;
  if (final.action === 'drop' || final.action === 'reject') return final;
  const asked = (policy.rules ?? []).slice(0, matchIndex < 0 ? undefined : matchIndex + 1);
  const mayChange = asked.some((rule) => {
    const { host: wanted, ...others } = rule.when ?? {};
    return wanted !== undefined && holds(policy, { ...rule, when: others }, event) !== false;
  });
  return mayChange ? { ...final, needs: final.needs | NEEDS.host } : final;
}

function outcome(policy: PolicyFile, rule: Rule | undefined, number: number, event: Event): Answer {
  const dryRun = policy.mode === 'dry-run';
  const nothing = { mark: undefined, limit: undefined, log: false, scan: false, store: false, needs: 0 };
  const denyOf = (action: string, text: string | undefined): number =>
    action === 'drop' || action === 'reject' ? milliseconds(text ?? policy.connectionCache?.denyFor ?? '10m') : 0;
  const { file, chat, host } = rule?.when ?? {};
  const isAboutOne = file !== undefined || chat !== undefined || host !== undefined;
  const unsaid = isAboutOne && policy.connectionCache === undefined ? '0s' : undefined;
  if (rule === undefined) {
    const action = policy.default ?? 'accept';
    return { ...nothing, action, decided: true, rule: 0, dryRun, denyForMs: denyOf(action, undefined) };
  }
  const fields = actionsOf(rule).filter((action) => typeof action === 'object');
  const action =
    (['drop', 'reject'] as const).find((word) => does(rule, word)) ??
    (fields.some(({ redirect }) => redirect !== undefined) ? 'redirect' : 'accept');
  const inFlow = event.file === undefined && event.chat === undefined && (does(rule, 'scan') || does(rule, 'store'));
  const { application } = event.flow;
  const canSee = application === undefined || FILES_AND_CHAT.has(application);
  return {
    action,
    decided: true,
    rule: number,
    mark: fields.find(({ mark }) => mark !== undefined)?.mark,
    limit: fields.find(({ limit }) => limit !== undefined)?.limit,
    log: does(rule, 'log'),
    scan: does(rule, 'scan'),
    store: does(rule, 'store'),
    dryRun,
    needs: inFlow && canSee ? NEEDS.files | (application === undefined ? NEEDS.application : 0) : 0,
    denyForMs: denyOf(action, rule.denyFor ?? unsaid),
  };
}

function actionsOf(rule: Rule) {
  return Array.isArray(rule.do) ? rule.do : [rule.do];
}

function does(rule: Rule, word: string): boolean {
  return actionsOf(rule).some((action) => action === word);
}

function holds(policy: PolicyFile, rule: Rule, event: Event): Holds {
  const when = rule.when ?? {};
  const all = [
    ...flowConditions(policy, when, event),
    ...fileConditions(policy, when, event),
    ...chatConditions(policy, when, event),
  ];
  if (all.includes(false)) return false;
  const missing = all.filter((one) => typeof one === 'number');
  if (missing.length === 0) return true;
  const bits = missing.reduce((sum, one) => sum | one, 0);
  return event.flow.application === undefined ? bits | NEEDS.application : bits;
}

function flowConditions(policy: PolicyFile, when: When, { flow }: Event): Holds[] {
  const list: Holds[] = [];
  const { application } = flow;
  if (when.application !== undefined) {
    const names = several(when.application).map((name) => (APPLICATION_ALIASES[name] ?? name).toLowerCase());
    list.push(application === undefined ? NEEDS.application : names.includes(application.toLowerCase()));
  }
  if (when.from !== undefined) list.push(contains(policy, when.from, flow.from));
  if (when.to !== undefined) list.push(contains(policy, when.to, flow.to));
  if (when.between !== undefined)
    list.push(contains(policy, when.between, flow.from) || contains(policy, when.between, flow.to));
  if (when.port !== undefined)
    list.push([6, 17].includes(flow.protocol) && several(when.port).some((port) => portHolds(port, flow.port)));
  if (when.protocol !== undefined) {
    const known: Record<string, number[]> = { tcp: [6], udp: [17], icmp: [1, 58], gre: [47], esp: [50], sctp: [132] };
    list.push(
      several(when.protocol).some((item) =>
        (typeof item === 'number' ? [item] : (known[item] ?? [])).includes(flow.protocol),
      ),
    );
  }
  if (when.time !== undefined) list.push(several(when.time).some((name) => timeHolds(policy, name, flow)));
  if (when.host !== undefined) {
    if (flow.host !== undefined) list.push(matches(policy, when.host, bare(flow.host), 'name'));
    else list.push(application !== undefined && !HOSTED.includes(application) ? false : NEEDS.host);
  }
  return list;
}

function fileConditions(policy: PolicyFile, { file: wanted }: When, { flow, file, chat }: Event): Holds[] {
  if (wanted === undefined) return [];
  const { application } = flow;
  const canName = application === undefined || FILES_AND_CHAT.has(application) || NAMES_ONLY.has(application);
  const canSee = application === undefined || FILES_AND_CHAT.has(application);
  if (file === undefined) {
    if (chat !== undefined || !canName) return [false];
    return [NEEDS.files, ...factsToCome(policy, wanted, flow, canSee)];
  }
  const list: Holds[] = [];
  const missing = (bits: number): Holds => (file.final ? false : bits);
  if (wanted.name !== undefined)
    list.push(file.name === '' ? missing(NEEDS.files) : matches(policy, wanted.name, file.name, 'name'));
  if (wanted.size !== undefined) list.push(sizeHolds(wanted.size, file));
  if (wanted.type !== undefined) {
    const { type } = file;
    const content = canSee ? missing(NEEDS.files | NEEDS.fileType) : false;
    // A word that is a kind means the kind.
    const isWanted = (word: string): boolean => (FILE_KINDS.includes(word) ? word === type?.kind : word === type?.name);
    list.push(type === undefined ? content : several(wanted.type).some(isWanted));
  }
  if (wanted.sha256 !== undefined) {
    const { sha256 } = file;
    const content = canSee ? missing(NEEDS.files | NEEDS.fileHash) : false;
    list.push(
      sha256 === undefined ? content : several(wanted.sha256).some((item) => hashesOf(policy, item).includes(sha256)),
    );
  }
  if (wanted.sender !== undefined)
    list.push(contains(policy, wanted.sender, file.sender === 'from' ? flow.from : flow.to));
  return list;
}

/** While no file is at hand. */
function factsToCome(policy: PolicyFile, wanted: FileConditions, flow: FlowFacts, canSee: boolean): Holds[] {
  const list: Holds[] = [];
  if (wanted.type !== undefined) list.push(canSee ? NEEDS.fileType : false);
  if (wanted.sha256 !== undefined) list.push(canSee ? NEEDS.fileHash : false);
  if (wanted.sender !== undefined) {
    const ends = [flow.from, flow.to].map((address) => contains(policy, wanted.sender as string, address));
    if (ends[0] === ends[1]) list.push(ends[0] as boolean);
  }
  return list;
}

function chatConditions(policy: PolicyFile, { chat: wanted }: When, { flow, file, chat }: Event): Holds[] {
  if (wanted === undefined) return [];
  if (chat === undefined) {
    const canChat = flow.application === undefined || CHATTING.includes(flow.application);
    return [file === undefined && canChat ? NEEDS.chat : false];
  }
  const parts = ['text', 'from', 'to'] as const satisfies readonly (keyof ChatConditions)[];
  return parts.flatMap((part) => {
    const patterns = wanted[part];
    return patterns === undefined ? [] : [matches(policy, patterns, chat[part], part === 'text' ? 'words' : 'name')];
  });
}

function several<Item>(value: Item | readonly Item[]): readonly Item[] {
  return Array.isArray(value) ? (value as readonly Item[]) : [value as Item];
}

function contains(policy: PolicyFile, value: string | readonly string[], address: string): boolean {
  return several(value).some((item) => {
    const set = policy.sets?.[item];
    if (set !== undefined) return contains(policy, set, address);
    const list = new BlockList();
    const family = isIPv6(item.split(/[/-]/)[0] as string) ? 'ipv6' : 'ipv4';
    const [first, second] = item.split(/[/-]/) as [string, string | undefined];
    if (item.includes('/')) list.addSubnet(first, Number(second), family);
    else if (second !== undefined) list.addRange(first, second, family);
    else list.addAddress(first, family);
    return isIPv6(address) === (family === 'ipv6') && list.check(address, family);
  });
}

function portHolds(wanted: number | string, port: number): boolean {
  const [first, last = first] = String(wanted).split('-').map(Number) as [number, number?];
  return port >= first && port <= last;
}

function timeHolds(policy: PolicyFile, name: string, { now, utcOffsetSeconds }: FlowFacts): boolean {
  return several(policy.times?.[name] ?? []).some((window) => {
    const shifted = now + (window.zone === 'utc' ? 0 : utcOffsetSeconds * 1000);
    // Every minute of the window that begins on one of the last days is asked whether it is this one.
    return [0, -1].some((daysAgo) => {
      const day = new Date(Math.floor(shifted / 86_400_000) * 86_400_000 + daysAgo * 86_400_000);
      const dayName = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'][day.getUTCDay()] as never;
      if (window.days !== undefined && !window.days.includes(dayName)) return false;
      const begin = day.getTime() + minutesOf(window.from ?? '00:00') * 60_000;
      const end = day.getTime() + minutesOf(window.to ?? '24:00') * 60_000;
      return shifted >= begin && shifted < (end > begin ? end : end + 86_400_000);
    });
  });
}

function minutesOf(text: string): number {
  const [hours, minutes] = text.split(':').map(Number) as [number, number];
  return hours * 60 + minutes;
}

function bare(host: string): string {
  return host.replace(/^([^:]*|.*\]):\d*$/, '$1').replace(/(.)\.$/, '$1');
}

function matches(
  policy: PolicyFile,
  value: string | readonly string[],
  text: string,
  manner: 'name' | 'words',
): boolean {
  if (text === '') return false;
  return several(value).some((item) => {
    const list = policy.lists?.[item]?.patterns;
    assert.ok(list === undefined || Array.isArray(list));
    if (list !== undefined) return matches(policy, list, text, manner);
    const [, source, flags] = /^\/(.*)\/(i?)$/s.exec(item) ?? [];
    if (source !== undefined) return new RegExp(source, `su${flags}`).test(text);
    return manner === 'name' ? globRegExp(item).test(text) : wordRegExp(item).test(text);
  });
}

function globRegExp(glob: string): RegExp {
  return new RegExp(
    `^${partsOf(glob)
      .map(({ source }) => source)
      .join('')}$`,
    'sui',
  );
}

/** Of characters of words: those that Unicode calls letters, numbers and marks, and `_`. */
const WORD = '[\\p{L}\\p{N}\\p{M}_]';

function wordRegExp(glob: string): RegExp {
  const parts = partsOf(glob).map(({ source, part }) => {
    if (part === '*' || part === '?') return { isWord: true, source: part === '*' ? `${WORD}*` : WORD };
    if (part === ' ') return { isWord: false, source: '\\s+' };
    if (source.startsWith('[')) return { isWord: true, source: `(?=${WORD})${source}` };
    return { isWord: new RegExp(`^${WORD}$`, 'u').test(part.replace(/^\\(.)/su, '$1')), source };
  });
  const out = parts.map(({ isWord, source }, i) => {
    // A word has at least one character.
    const begins = isWord && parts[i - 1]?.isWord !== true ? `(?<!${WORD})(?=${WORD})` : '';
    const ends = isWord && parts[i + 1]?.isWord !== true ? `(?!${WORD})` : '';
    return begins + source + ends;
  });
  return new RegExp(out.join(''), 'sui');
}

function partsOf(glob: string): { readonly part: string; readonly source: string }[] {
  return [...glob.matchAll(/\\.|\[!?.[^\]]*\]|[\s\S]/gu)].map(([part]) => {
    if (part === '*') return { part, source: '.*' };
    if (part === '?') return { part, source: '.' };
    if (part.length > 2 && part.startsWith('[')) return { part, source: part.replace(/^\[!/, '[^') };
    return { part, source: RegExp.escape(part.length > 1 && part.startsWith('\\') ? part.slice(1) : part) };
  });
}

function sizeHolds(wanted: string, { size, seen, final }: FileFacts): Holds {
  const least = Math.max(size ?? 0, seen);
  const candidates =
    size !== undefined || final
      ? [least]
      : [
          least,
          ...Array.from({ length: 60 }, (_, i) => least + 2 ** i),
          ...edges(wanted).filter((edge) => edge >= least),
        ];
  const results = new Set(candidates.map((bytes) => sizeIs(wanted, bytes)));
  return results.size === 1 ? results.has(true) : NEEDS.files;
}

function sizeIs(wanted: string, bytes: number): boolean {
  if (wanted.includes('-')) {
    const [least, most] = wanted.split('-').map(bytesOf) as [number, number];
    return bytes >= least && bytes <= most;
  }
  const [, sign, text] = /^([<>]=?|)\s*(.*)$/.exec(wanted) as unknown as [string, string, string];
  const edge = bytesOf(text);
  return { '>': bytes > edge, '>=': bytes >= edge, '<': bytes < edge, '<=': bytes <= edge, '': bytes === edge }[
    sign
  ] as boolean;
}

function edges(wanted: string): number[] {
  return wanted.split('-').flatMap((part) => [-1, 0, 1].map((step) => bytesOf(part.replace(/^[<>=\s]+/, '')) + step));
}

function bytesOf(text: string): number {
  const [, number, unit] = /^\s*([\d.]+) ?(\w+)\s*$/.exec(text) as unknown as [string, string, string];
  return Math.round(Number(number) * ({ B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 }[unit] as number));
}

function hashesOf(policy: PolicyFile, item: string): readonly string[] {
  const list = policy.lists?.[item]?.sha256;
  assert.ok(list === undefined || Array.isArray(list));
  return list ?? [item];
}

function milliseconds(text: string): number {
  const [, number, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) as unknown as [string, string, string];
  return Number(number) * ({ ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[unit] as number);
}

/** Of a name as a rule gives it, as flows have it. */
export function applicationOf(name: string): string {
  const wanted = (APPLICATION_ALIASES[name] ?? name).toLowerCase();
  return APPLICATIONS.find((known) => known.toLowerCase() === wanted) ?? name;
}
