/**
 * The shape of a policy file. What the texts in it mean (addresses, patterns, sizes) is read in files of their own; here
 * each carries in `wanted` how to write it, which is what an error says.
 */
import { type SchemaOptions, type Static, type TSchema, Type } from '@sinclair/typebox';
import { closed } from '../../overlay/fields.ts';
import { BOUND_NAMES, BOUNDS, type BoundName, boundText } from './bounds.ts';
import { CONDITION_ACTIONS, CONDITIONS, DAYS } from './vocabulary.ts';

export const POLICY_FORMAT = 'p2pxbone gateway, format 1';
export const RULES_MAX = 10_000;
/** Entries of one `sets`, `lists`, `times` or `limits`. */
export const NAMED_MAX = 4096;
/** Values given in one place of the file; longer lists belong into files. */
export const VALUES_MAX = 10_000;

export const NAME_OF_ENTRY = '^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}$';

const text = (wanted: string, options: SchemaOptions = {}) =>
  Type.String({ minLength: 1, maxLength: 4096, ...options, wanted });
const words = <Word extends string>(values: readonly Word[], options: SchemaOptions = {}) =>
  Type.Unsafe<Word>(
    Type.Union(
      values.map((value) => Type.Literal(value)),
      { ...options, wanted: `one of ${values.join(', ')}` },
    ),
  );
const oneOrMore = <Item extends TSchema>(item: Item, wanted: string, options: SchemaOptions = {}) =>
  Type.Union([item, Type.Array(item, { minItems: 1, maxItems: VALUES_MAX })], { ...options, wanted });
const named = <Item extends TSchema>(item: Item, description: string) =>
  Type.Optional(
    Type.Record(Type.String({ pattern: NAME_OF_ENTRY }), item, {
      maxProperties: NAMED_MAX,
      additionalProperties: false,
      description,
      wanted: `at most ${NAMED_MAX} entries, each with a name of letters, digits, '-', '_', '.' and ':'`,
    }),
  );

const addresses = (description: string) =>
  oneOrMore(
    text('an address'),
    'the name of a set, node:NAME, group:NAME, an address, a prefix such as 10.77.8.0/24, or a range such as 10.77.8.1-10.77.8.9; several in brackets',
    { description },
  );
const Patterns = (description: string) =>
  oneOrMore(text('a pattern'), "the name of a list, or patterns in brackets such as ['*.mp3', '/live.*bootleg/i']", {
    description,
  });
const Duration = (description: string) => text('a time such as 90s, 10m, 8h or 7d', { description });
const Size = (description: string) => text("a size such as '1 MB' (B, kB, MB, GB or TB)", { description });
const Rate = (description: string) =>
  text("a rate such as '20 Mbit/s' (bit/s, kbit/s, Mbit/s or Gbit/s)", { description });
const Flag = (description: string) => Type.Boolean({ description, wanted: 'true or false' });
const count = (minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, description, wanted: `a whole number from ${minimum} to ${maximum}` });
const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema);

export const FileConditions = closed({
  name: optional(Patterns('The last part of its path.')),
  size: optional(
    text("a size with its direction, such as '> 1 MB', '<= 10 kB' or '1 MB - 5 GB'", { description: 'Bytes.' }),
  ),
  type: optional(
    oneOrMore(
      text('a type'),
      'a type such as zip or pe, or a kind such as archive or executable; several in brackets',
      {
        description: 'By its content, whatever its name says.',
      },
    ),
  ),
  sha256: optional(
    oneOrMore(text('a hash'), 'the name of a list with sha256, or hashes of 64 hexadecimal digits in brackets', {
      description: 'Of the whole file.',
    }),
  ),
  sender: optional(addresses('The end that sends it.')),
});
export type FileConditions = Static<typeof FileConditions>;

export const ChatConditions = closed({
  text: optional(Patterns('Words and patterns anywhere in the message.')),
  from: optional(Patterns('Who wrote it, as the protocol names people.')),
  to: optional(Patterns('To whom, or into which room.')),
});
export type ChatConditions = Static<typeof ChatConditions>;

export const When = closed({
  application: optional(
    oneOrMore(text('an application'), 'an application such as bittorrent, or several in brackets', {
      description: 'What the flow carries; unknown is one of them.',
    }),
  ),
  from: optional(addresses('Who began the flow.')),
  to: optional(addresses('With whom it was begun.')),
  between: optional(addresses('Either end.')),
  port: optional(
    oneOrMore(
      Type.Union([Type.Integer({ minimum: 0, maximum: 65535 }), text('a port')]),
      "a port from 0 to 65535, a range such as '6881-6889', or several in brackets",
      { description: 'TCP or UDP port of the end with which the flow was begun.' },
    ),
  ),
  protocol: optional(
    oneOrMore(
      Type.Union([Type.Integer({ minimum: 0, maximum: 255 }), text('a protocol')]),
      'tcp, udp, icmp, gre, esp, sctp or a number from 0 to 255; several in brackets',
      { description: 'Above IP.' },
    ),
  ),
  time: optional(
    oneOrMore(text('a time'), 'the name of an entry in times, or several in brackets', {
      description: 'One of them holds.',
    }),
  ),
  host: optional(Patterns('Host of HTTP, server name of TLS and QUIC.')),
  file: optional(FileConditions),
  chat: optional(ChatConditions),
});
export type When = Static<typeof When>;

const ACTION_WORDS = ['accept', 'drop', 'reject', 'scan', 'log', 'store'] as const;
const Action = Type.Union([
  ...ACTION_WORDS.map((word) => Type.Literal(word)),
  Type.Object(
    {
      limit: optional(text('the name of a limit')),
      mark: optional(count(0, 0xffff_ffff, 'Of the packets, for the router.')),
      redirect: optional(text('ADDRESS or ADDRESS:PORT')),
    },
    { additionalProperties: false, minProperties: 1 },
  ),
]);
export const Do = Type.Union([Action, Type.Array(Action, { minItems: 1, maxItems: 16 })], {
  wanted: `${ACTION_WORDS.join(', ')}, {limit: NAME}, {mark: NUMBER} or {redirect: ADDRESS:PORT}; several in brackets`,
});
export type Do = Static<typeof Do>;

export const Rule = closed({
  name: optional(
    Type.String({
      minLength: 1,
      maxLength: 128,
      wanted: 'a name of at most 128 characters',
      description: 'In records and explanations.',
    }),
  ),
  when: optional(When),
  do: Do,
  denyFor: optional(
    Duration(
      'With drop and reject: so long the connection cache refuses the connection, instead of connectionCache.denyFor.',
    ),
  ),
});
export type Rule = Static<typeof Rule>;

const FileOf = closed({ file: text('a path', { maxLength: 4096 }) });
export const List = closed({
  patterns: optional(
    Type.Union([Type.Array(text('a pattern'), { minItems: 1, maxItems: VALUES_MAX }), FileOf], {
      wanted: 'patterns in brackets, or {file: PATH} with one on a line',
    }),
  ),
  sha256: optional(
    Type.Union([Type.Array(text('a hash'), { minItems: 1, maxItems: VALUES_MAX }), FileOf], {
      wanted: 'hashes of 64 hexadecimal digits in brackets, or {file: PATH} with one on a line',
    }),
  ),
});
export type List = Static<typeof List>;

export const Time = closed({
  days: optional(
    Type.Array(words(DAYS), {
      minItems: 1,
      uniqueItems: true,
      wanted: `days in brackets, of ${DAYS.join(', ')}, each once`,
      description: 'On which it begins; all if absent.',
    }),
  ),
  from: optional(text("a time of day such as '08:00'", { description: 'Default 00:00.' })),
  to: optional(
    text("a time of day such as '18:00'", {
      description: 'Not included; 24:00 is the end of the day, a time before `from` is on the next day. Default 24:00.',
    }),
  ),
  zone: optional(words(['local', 'utc'] as const, { description: 'Default local.' })),
});
export type Time = Static<typeof Time>;

export const PER = ['none', 'flow', 'source', 'destination', 'address'] as const;
export const WAYS = ['both', 'up', 'down', 'together'] as const;
export const Limit = closed({
  parent: optional(text('the name of a limit', { description: 'From which it borrows.' })),
  rate: Rate('Assured.'),
  ceiling: optional(Rate('With what the parent has to lend. Default: the rate.')),
  per: optional(
    words(PER, {
      description:
        'Of what there is one each: an address counts at either end, with way up or down. Default none: one for all.',
    }),
  ),
  way: optional(
    words(WAYS, {
      description:
        'up: what the end that began the flow sends; down: what it gets; both (default): each of them by itself; together: both as one. With per address, up is what the address sends, whoever began the flow.',
    }),
  ),
  burst: optional(Size('What may pass at once after a pause; default by the rate.')),
  queue: optional(Size('What may wait; default by the rate.')),
});
export type Limit = Static<typeof Limit>;

export const EVENTS = ['flow', 'alert', 'fileinfo', 'chat', 'drop', 'stats'] as const;
const Scan = closed({
  socket: optional(text('the path of a socket or HOST:PORT', { description: 'Where clamd listens.' })),
  objectMax: optional(Size('Larger files are scanned piece by piece as they come.')),
  archiveMax: optional(Size('Archives are scanned as a whole; larger ones are a scanTooBig.')),
  connections: optional(count(1, 256, 'To clamd, at the same time.')),
  timeout: optional(Duration('Of one object, after which it is a scanUnavailable.')),
});
const Audit = closed({
  directory: text('a directory', { description: 'Of the records.' }),
  rotate: optional(Size('Of one file of records.')),
  keep: optional(count(1, 10_000, 'Files of records.')),
  events: optional(
    Type.Array(words(EVENTS), {
      uniqueItems: true,
      wanted: `event types in brackets, of ${EVENTS.join(', ')}, each once`,
      description: 'Which are recorded; all if absent.',
    }),
  ),
  files: optional(
    closed({ directory: text('a directory'), max: optional(Size('Of all stored files; the oldest make room.')) }),
  ),
});

function boundSchema(name: BoundName) {
  const { kind, least, most, otherwise, about } = BOUNDS[name];
  const description = `${about} Default ${boundText(kind, otherwise)}.`;
  if (kind === 'count') return count(least, most, description);
  return kind === 'size' ? Size(description) : Duration(description);
}

export const PolicyFile = closed({
  policy: Type.Literal(POLICY_FORMAT, {
    wanted: `'${POLICY_FORMAT}', which says what the file is`,
    description: `Always \`${POLICY_FORMAT}\`.`,
  }),
  mode: optional(
    words(['enforce', 'dry-run'] as const, {
      description: 'dry-run decides and records, and drops nothing that a host would take. Default enforce.',
    }),
  ),
  default: optional(
    words(['accept', 'drop', 'reject'] as const, { description: 'Of what no rule matches. Default accept.' }),
  ),
  sets: named(
    Type.Array(text('an address'), {
      maxItems: VALUES_MAX,
      wanted: 'addresses, prefixes, ranges, node:NAME, group:NAME and names of sets, in brackets',
    }),
    'Addresses, prefixes, ranges, nodes and groups of a virtual Internet (`node:NAME`, `group:NAME`, `strangers`), and other sets.',
  ),
  lists: named(List, 'Patterns or hashes.'),
  times: named(
    Type.Union([Time, Type.Array(Time, { minItems: 1, maxItems: 64 })], {
      wanted: '{days: [mon, …], from: "08:00", to: "18:00"}; several in brackets',
    }),
    'Times of the week.',
  ),
  limits: named(Limit, 'Bandwidth, a tree.'),
  signatures: optional(
    Type.Array(text('a path'), {
      maxItems: 64,
      wanted: 'files and directories in brackets',
      description: 'Signature files beside the built-in ones.',
    }),
  ),
  conditions: optional(
    closed(Object.fromEntries(CONDITIONS.map((name) => [name, optional(words(CONDITION_ACTIONS))]))),
  ),
  bounds: optional(closed(Object.fromEntries(BOUND_NAMES.map((name) => [name, optional(boundSchema(name))])))),
  fastPass: optional(Flag('Out-of-order packets go on at once; a copy is inspected. Default true.')),
  connectionCache: optional(
    closed({
      denyFor: Duration(
        'So long a denied connection is refused. Default 10m; none for rules about files, messages and hosts, which may be about one of many.',
      ),
    }),
  ),
  scan: optional(Scan),
  audit: optional(Audit),
  rules: optional(
    Type.Array(Rule, {
      maxItems: RULES_MAX,
      wanted: `at most ${RULES_MAX} rules, each of which begins with '- '`,
      description: 'The first that matches decides.',
    }),
  ),
});
export type PolicyFile = Static<typeof PolicyFile>;
