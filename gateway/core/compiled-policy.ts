/** A policy with all names resolved, but for those of nodes and groups: what the image holds, and what files, sockets and directories the services need. */
import type { Bounds } from './bounds.ts';
import type { AddressSet, UsedName } from './names.ts';
import type { EVENTS, PER, WAYS } from './policy-schema.ts';
import type { Range } from './quantities.ts';

/** In the order of their numbers. What patterns are matched with. */
export const SUBJECTS = ['host', 'fileName', 'chatText', 'chatFrom', 'chatTo'] as const;
export type Subject = (typeof SUBJECTS)[number];

/** In the order of their numbers. */
export const VERDICTS = ['accept', 'drop', 'reject', 'redirect'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** In the order of their numbers. Whose address. */
export const ENDS = ['from', 'to', 'between', 'sender'] as const;
export type End = (typeof ENDS)[number];

/** All of a rule's hold where it matches. Numbers are indices of the policy's tables unless said otherwise. */
export type Condition =
  | { readonly kind: 'application'; readonly numbers: readonly number[] }
  | { readonly kind: 'addresses'; readonly end: End; readonly set: number }
  | { readonly kind: 'port'; readonly ranges: readonly Range[] }
  | { readonly kind: 'protocol'; readonly numbers: readonly number[] }
  | { readonly kind: 'time'; readonly times: readonly number[] }
  | { readonly kind: 'pattern'; readonly subject: Subject; readonly group: number }
  | { readonly kind: 'fileSize'; readonly range: Range }
  | { readonly kind: 'fileType'; readonly names: readonly string[]; readonly kinds: readonly number[] }
  | { readonly kind: 'fileHash'; readonly lists: readonly number[] }
  | { readonly kind: 'file' }
  | { readonly kind: 'chat' };

export type CompiledRule = {
  readonly name: string;
  readonly line: number;
  readonly conditions: readonly Condition[];
  readonly verdict: Verdict;
  readonly log: boolean;
  readonly scan: boolean;
  readonly store: boolean;
  readonly mark?: number;
  /** Index + 1; 0: none. */
  readonly limit: number;
  readonly denyForMs: number;
  /** Port 0: that of the packet. */
  readonly redirect?: { readonly address: Uint8Array; readonly port: number };
};

/** A part of the week; one that ends before it begins goes on into the next day. Minutes since midnight. */
export type TimeWindow = { readonly utc: boolean; readonly days: number; readonly from: number; readonly to: number };

/** One of the patterns of a group. Line and column are those of the policy file, for messages. */
export type GroupExpression = {
  readonly subject: Subject;
  readonly group: number;
  readonly caseless: boolean;
  /** Of a text whose words are marked. */
  readonly words: boolean;
  readonly line: number;
  readonly column: number;
  readonly text: string;
};

export type LimitClass = {
  readonly name: string;
  /** Index + 1; 0: none. Parents stand before their children. */
  readonly parent: number;
  /** Bits per second. */
  readonly rate: number;
  readonly ceiling: number;
  readonly per: (typeof PER)[number];
  readonly way: (typeof WAYS)[number];
  /** Bytes; 0: the shaper's choice. */
  readonly burst: number;
  readonly queue: number;
};

/** What runs beside the packet path. */
export type ServiceSettings = {
  /** Paths as the policy writes them. */
  readonly signatures: readonly string[];
  readonly bounds: Bounds;
  readonly scan: {
    readonly socket: string;
    readonly objectMax: number;
    readonly archiveMax: number;
    readonly connections: number;
    readonly timeoutMs: number;
  };
  /** Absent: nothing is recorded. */
  readonly audit?: {
    readonly directory: string;
    readonly rotate: number;
    readonly keep: number;
    readonly events: readonly (typeof EVENTS)[number][];
    readonly files?: { readonly directory: string; readonly max: number };
  };
};

export type CompiledPolicy = {
  readonly dryRun: boolean;
  readonly fastPass: boolean;
  readonly defaultVerdict: 'accept' | 'drop' | 'reject';
  /** Of denials by the default. */
  readonly denyForMs: number;
  /** Those that the policy sets. */
  readonly conditions: readonly { readonly condition: number; readonly action: number }[];
  /** Applications that only signature files name; their number in a condition is APPLICATION_OWN_FIRST + index. */
  readonly ownApplications: readonly string[];
  readonly addressSets: readonly AddressSet[];
  /** Names of nodes and groups in them. */
  readonly names: readonly UsedName[];
  /** Of each, one part of the week suffices. */
  readonly times: readonly (readonly TimeWindow[])[];
  /** How many groups each subject has. */
  readonly groups: Readonly<Record<Subject, number>>;
  readonly expressions: readonly GroupExpression[];
  /** Ascending and each once; 32 bytes each. */
  readonly hashLists: readonly (readonly Uint8Array[])[];
  readonly limits: readonly LimitClass[];
  readonly rules: readonly CompiledRule[];
  readonly services: ServiceSettings;
};
