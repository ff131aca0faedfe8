/** Rules: conditions and actions with all names resolved. */
import { addressBytes, parseAddressNumber } from './address-sets.ts';
import { Applications, type NamedApplication } from './applications.ts';
import { type Compilation, several } from './compilation.ts';
import type { CompiledRule, Condition, Verdict } from './compiled-policy.ts';
import { checkFeasible } from './feasibility.ts';
import { HashLists } from './hash-lists.ts';
import { Limits } from './limits.ts';
import { PatternGroups } from './pattern-groups.ts';
import type { Path } from './policy-document.ts';
import type { ChatConditions, Do, FileConditions, Rule, When } from './policy-schema.ts';
import { quoted } from './problems.ts';
import { parsePorts, parseSizeRange, parseTime } from './quantities.ts';
import { AddressSets } from './sets.ts';
import { Times } from './times.ts';
import { FILE_KINDS, FILE_TYPES, PROTOCOLS } from './vocabulary.ts';

type Actions = Pick<CompiledRule, 'verdict' | 'log' | 'scan' | 'store' | 'mark' | 'limit' | 'redirect'>;

export class Rules {
  readonly sets: AddressSets;
  readonly patterns: PatternGroups;
  readonly hashes: HashLists;
  readonly times: Times;
  readonly limits: Limits;
  readonly applications: Applications;
  readonly #compilation: Compilation;
  readonly #denyForMs: number;
  /** The policy says it, rather than the default. */
  readonly #isDenyForGiven: boolean;

  /** `denyForMs`: of rules that say nothing else. */
  constructor(compilation: Compilation, denyForMs: number) {
    this.#isDenyForGiven = compilation.policy.connectionCache !== undefined;
    this.#compilation = compilation;
    this.#denyForMs = denyForMs;
    this.sets = new AddressSets(compilation);
    this.patterns = new PatternGroups(compilation);
    this.hashes = new HashLists(compilation);
    this.times = new Times(compilation);
    this.limits = new Limits(compilation);
    this.applications = new Applications(compilation);
  }

  compile(rule: Rule, index: number): CompiledRule {
    const path: Path = ['rules', index];
    const when = rule.when ?? {};
    const applications =
      when.application === undefined
        ? undefined
        : this.applications.named(when.application, [...path, 'when', 'application']);
    const conditions = this.#conditions(when, applications, [...path, 'when']);
    const actions = this.#actions(rule.do, [...path, 'do']);
    const compiled: CompiledRule = {
      name: rule.name ?? `rule ${index + 1}`,
      line: this.#compilation.document.place(path).line,
      conditions,
      ...actions,
      denyForMs: this.#denyFor(rule, actions.verdict, path),
    };
    checkFeasible(this.#compilation, { rule, applications, compiled, path });
    return compiled;
  }

  /** Cheap ones first: the first that fails saves the others. */
  #conditions(when: When, applications: readonly NamedApplication[] | undefined, path: Path): Condition[] {
    const at = (field: string): Path => [...path, field];
    const list: Condition[] = [];
    if (when.protocol !== undefined)
      list.push({ kind: 'protocol', numbers: this.#protocols(when.protocol, at('protocol')) });
    if (when.port !== undefined) list.push({ kind: 'port', ranges: this.#ports(when.port, at('port')) });
    if (applications !== undefined) {
      list.push({ kind: 'application', numbers: ascending(applications.map(({ number }) => number)) });
    }
    for (const end of ['from', 'to', 'between'] as const) {
      const value = when[end];
      if (value !== undefined) list.push({ kind: 'addresses', end, set: this.sets.numberOf(value, at(end)) });
    }
    if (when.time !== undefined) list.push({ kind: 'time', times: this.times.numbersOf(when.time, at('time')) });
    if (when.file !== undefined) list.push({ kind: 'file' }, ...this.#fileFacts(when.file, at('file')));
    if (when.host !== undefined) {
      list.push({ kind: 'pattern', subject: 'host', group: this.patterns.numberOf(when.host, 'host', at('host')) });
    }
    if (when.chat !== undefined) list.push({ kind: 'chat' }, ...this.#chat(when.chat, at('chat')));
    return list;
  }

  #fileFacts({ name, size, type, sha256, sender }: FileConditions, path: Path): Condition[] {
    const at = (field: string): Path => [...path, field];
    const list: Condition[] = [];
    if (size !== undefined) {
      const range = parseSizeRange(size);
      if (range !== undefined) list.push({ kind: 'fileSize', range });
      else this.#error(at('size'), `${quoted(size)} is no size; write it as '> 1 MB', '<= 10 kB' or '1 MB - 5 GB'.`);
    }
    if (sender !== undefined)
      list.push({ kind: 'addresses', end: 'sender', set: this.sets.numberOf(sender, at('sender')) });
    if (type !== undefined) list.push(this.#fileType(type, at('type')));
    if (name !== undefined) {
      list.push({ kind: 'pattern', subject: 'fileName', group: this.patterns.numberOf(name, 'fileName', at('name')) });
    }
    if (sha256 !== undefined) list.push({ kind: 'fileHash', lists: this.hashes.numbersOf(sha256, at('sha256')) });
    return list;
  }

  /** What is both a kind and a type, such as text, means the kind, which holds the type. */
  #fileType(value: string | readonly string[], path: Path): Condition {
    const kinds: number[] = [];
    const names: string[] = [];
    for (const [i, type] of several(value).entries()) {
      const kind = FILE_KINDS.indexOf(type);
      if (kind >= 0) kinds.push(kind);
      else if (FILE_TYPES.includes(type)) names.push(type);
      else {
        const advice = `kinds are ${FILE_KINDS.join(', ')}; types are listed in docs/gateway-policy.md`;
        this.#error(Array.isArray(value) ? [...path, i] : path, `No file type is called ${quoted(type)}; ${advice}.`);
      }
    }
    return { kind: 'fileType', kinds: ascending(kinds), names: [...new Set(names)].sort() };
  }

  #chat({ text, from, to }: ChatConditions, path: Path): Condition[] {
    const parts = [
      ['chatFrom', from, 'from'],
      ['chatTo', to, 'to'],
      ['chatText', text, 'text'],
    ] as const;
    return parts.flatMap(([subject, value, field]) =>
      value === undefined
        ? []
        : [{ kind: 'pattern', subject, group: this.patterns.numberOf(value, subject, [...path, field]) }],
    );
  }

  #protocols(value: number | string | readonly (number | string)[], path: Path): number[] {
    const numbers = several(value).flatMap((item, i) => {
      if (typeof item === 'number') return [item];
      const known = Object.hasOwn(PROTOCOLS, item) ? PROTOCOLS[item] : undefined;
      if (known !== undefined) return known;
      this.#error(
        Array.isArray(value) ? [...path, i] : path,
        `No protocol is called ${quoted(item)}; give one of ${Object.keys(PROTOCOLS).join(', ')}, or its number.`,
      );
      return [];
    });
    return ascending(numbers);
  }

  #ports(value: number | string | readonly (number | string)[], path: Path) {
    return several(value).flatMap((item, i) => {
      const ports = parsePorts(item);
      if (ports !== undefined) return [ports];
      this.#error(
        Array.isArray(value) ? [...path, i] : path,
        `${quoted(String(item))} is no port from 0 to 65535 and no range such as '6881-6889'.`,
      );
      return [];
    });
  }

  #actions(value: Do, path: Path): Actions {
    const verdicts: Verdict[] = [];
    const words = new Set<string>();
    let limit = 0;
    const found: { mark?: number; redirect?: { address: Uint8Array; port: number } } = {};
    const given = new Set<string>();
    for (const [i, action] of several(value).entries()) {
      const at: Path = Array.isArray(value) ? [...path, i] : path;
      for (const word of typeof action === 'string' ? [action] : Object.keys(action)) {
        if (given.has(word)) this.#error(at, `${word} is there twice; give it once.`);
        given.add(word);
      }
      if (typeof action === 'string') {
        if (action === 'accept' || action === 'drop' || action === 'reject') verdicts.push(action);
        else words.add(action);
        continue;
      }
      if (action.limit !== undefined) limit = this.limits.numberOf(action.limit, [...at, 'limit']);
      if (action.mark !== undefined) found.mark = action.mark;
      if (action.redirect !== undefined) {
        const target = targetOf(action.redirect);
        if (target === undefined)
          this.#error(
            [...at, 'redirect'],
            `${quoted(action.redirect)} is no target; write 10.0.0.5, 10.0.0.5:3128 or [fd00::5]:3128.`,
          );
        else found.redirect = target;
        verdicts.push('redirect');
      }
    }
    if (verdicts.length > 1) this.#error(path, `A rule has one of ${verdicts.join(', ')}; take the others out.`);
    const has = (word: string): boolean => words.has(word);
    return {
      verdict: verdicts[0] ?? 'accept',
      log: has('log'),
      scan: has('scan'),
      store: has('store'),
      limit,
      ...found,
    };
  }

  #denyFor(rule: Rule, verdict: Verdict, path: Path): number {
    const { denyFor } = rule;
    const denies = verdict === 'drop' || verdict === 'reject';
    // What is wrong with one file or message, or with one of the hosts at an address, is not wrong with all the rest there.
    const { file, chat, host } = rule.when ?? {};
    const isAboutPeer = file === undefined && chat === undefined && host === undefined;
    if (denyFor === undefined) return denies && (isAboutPeer || this.#isDenyForGiven) ? this.#denyForMs : 0;
    if (!denies) this.#error([...path, 'denyFor'], 'denyFor goes with drop and reject; take it out.');
    const time = parseTime(denyFor);
    if (time === undefined)
      this.#error([...path, 'denyFor'], `${quoted(denyFor)} is no time up to 30 days; write it as 90s, 10m or 8h.`);
    return time ?? 0;
  }

  #error(path: Path, message: string): void {
    this.#compilation.problems.error(this.#compilation.document.place(path), message);
  }
}

function ascending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** ADDRESS, IPV4:PORT or [IPV6]:PORT. */
function targetOf(text: string): { address: Uint8Array; port: number } | undefined {
  const [, six, four, portText] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = six ?? four ?? text;
  const number = parseAddressNumber(address);
  const port = portText === undefined ? 0 : Number(portText);
  if (number === undefined || port > 65535 || (portText !== undefined && port === 0)) return undefined;
  return { address: addressBytes(number), port };
}
