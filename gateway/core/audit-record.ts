/**
 * What one line of the audit trail says: `native/gateway/audit/record.cpp` writes it. Names are those of Suricata's EVE where
 * it has one for the same thing.
 */
import { type Static, type TLiteral, type TObject, type TProperties, type TUnion, Type } from '@sinclair/typebox';
import { AddressText, closed } from '../../overlay/fields.ts';

function oneOf<Word extends string>(words: readonly Word[], description: string): TUnion<TLiteral<Word>[]> {
  return Type.Union(
    words.map((word) => Type.Literal(word)),
    { description },
  );
}

/** What no signed 64-bit integer holds is told as the largest. */
const count = (description: string, minimum = 0) => Type.Integer({ minimum, maximum: 2 ** 63, description });
const flag = (description: string) => Type.Literal(true, { description });
const time = (description: string) =>
  Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}\\+0000$', description });
/** Bytes are bounded, and characters are not more. */
const text = (description: string, maxLength = 1024) => Type.String({ maxLength, description });
const address = (description: string) => Type.String({ ...AddressText, description });
const camelCase = (description: string) => Type.String({ pattern: '^[a-z][A-Za-z]*$', description });

const Ends = {
  src_ip: address('Address of the end that sent what the record is about; of a whole flow, its first speaker.'),
  src_port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535, description: 'With TCP and UDP.' })),
  dest_ip: address('Address of the other end.'),
  dest_port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535, description: 'With TCP and UDP.' })),
  proto: Type.String({
    pattern: '^(TCP|UDP|ICMP|IPv6-ICMP|GRE|ESP|AH|SCTP|\\d{3})$',
    description: 'Name of the IP protocol, or its number in three digits.',
  }),
  app_proto: Type.Optional(text('The application, as policies spell it; none if it is not known, or was not yet.')),
  direction: Type.Optional(
    oneOf(
      ['to_server', 'to_client'],
      "Who sent it: the flow's first speaker (`to_server`) or the other end. Only with a flow.",
    ),
  ),
};

const DecisionFields = {
  action: oneOf(['accept', 'drop', 'reject', 'redirect'], 'What was decided.'),
  rule_id: Type.Optional(count('Number of the rule that decided, counted from 1.', 1)),
  rule: Type.Optional(text('Name of that rule.')),
  reason: Type.Optional(camelCase('Why packets are dropped: see [drop-reasons.md](drop-reasons.md).')),
  dry_run: Type.Optional(flag('The policy is on trial: everything was accepted all the same.')),
};

const verdict = Type.Optional(closed(DecisionFields));
const condition = Type.Optional(camelCase('Name of the condition, as policies spell it.'));

const Flow = closed({
  pkts_toserver: count('Packets of the first speaker.'),
  pkts_toclient: count('Packets of the other end.'),
  bytes_toserver: count('Bytes of these, with IP headers.'),
  bytes_toclient: count('Bytes of these, with IP headers.'),
  start: time('When its first packet came.'),
  end: time('When its last packet came.'),
  age: count('Seconds between the two.'),
  state: oneOf(
    ['new', 'established', 'closing', 'closed', 'reset'],
    'How far it came. `new`: only one end has spoken, or the TCP handshake did not end.',
  ),
  reason: oneOf(
    ['timeout', 'closed', 'evicted', 'replaced', 'shutdown'],
    'Why the record was written: it was silent, both ends closed it, the table was full, a new connection took its place, the gateway ended.',
  ),
  picked_up: Type.Optional(flag('Its beginning was not seen.')),
  mark: Type.Optional(count('Mark that a rule gave its packets.', 1)),
  verdict: closed(DecisionFields),
});

const Metadata = Type.Record(
  Type.String({ minLength: 1, maxLength: 64 }),
  Type.Array(Type.String({ maxLength: 512 })),
  {
    description:
      'What its parser told of it, by name: `http.host`, `tls.sni`, `tls.ja4`, `application.before` (what it was before STARTTLS, an upgrade or CONNECT), …; of each the first value.',
  },
);

const Alert = closed({
  ...DecisionFields,
  cause: oneOf(
    ['flow', 'application', 'host', 'file', 'content', 'chat', 'scan', 'condition'],
    'What made the rule decide; with `condition`, inspection could not go on.',
  ),
  about: Type.Optional(text('The name or text that it was about.')),
  malware: Type.Optional(text('What the scanner found.')),
  condition,
});

const FileInfo = closed({
  filename: text('The last part of its path; empty where the protocol does not name it.'),
  state: oneOf(
    ['listed', 'requested', 'offered', 'complete', 'truncated', 'blocked'],
    'Only named, in a list, a request or an offer; or transferred: all of it, a part, or cut off by a verdict.',
  ),
  stored: Type.Boolean({ description: 'It lies in the file store under its `sha256`.' }),
  size: Type.Optional(count('Bytes of the whole file, as its sender says.')),
  seen: Type.Optional(count('Bytes that have passed.')),
  offset: Type.Optional(count('Where in the file the first of these belongs.', 1)),
  type: Type.Optional(text('What it is by its content: `mp3`, `zip`, …')),
  kind: Type.Optional(
    oneOf(
      ['unknown', 'archive', 'executable', 'script', 'document', 'image', 'audio', 'video', 'text'],
      'What sort of type that is.',
    ),
  ),
  content_type: Type.Optional(text('What it is as its sender says.')),
  hash: Type.Optional(
    text('Its hash as the protocol gives it: `urn:sha1:…`, `md5:…`, `ed2k:…`, `btih:…`, `fasttrack:…`.'),
  ),
  sha256: Type.Optional(Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Of the bytes that have passed.' })),
  scan: Type.Optional(oneOf(['clean', 'infected', 'failed', 'skipped'], 'What the virus scanner said.')),
  malware: Type.Optional(text('What it found.')),
  unscanned: Type.Optional(text('Why it was not scanned to the end, where it was to be.')),
  verdict,
});

const Chat = closed({
  kind: oneOf(['text', 'action', 'notice', 'topic'], 'What sort of message.'),
  from: Type.Optional(text('Who wrote it, as the protocol names people.')),
  to: Type.Optional(text('To whom, or where.')),
  text: text('The message.', 8192),
  verdict,
});

const Drop = closed({
  ...DecisionFields,
  condition,
  packets: count('Packets that this record stands for.'),
  bytes: count('Bytes of these.'),
});

const Stats = Type.Record(Type.String({ minLength: 1, maxLength: 129 }), count('Since the gateway began.'), {
  description:
    'Counters by name: `packets`, `drops.REASON`, `conditions.NAME`, `seen.STAGE`, `stopped.STAGE`, `memory.PART` (bytes); `audit.lost`: records that found no room.',
});

function record<Event extends string, Fields extends TProperties>(event: Event, description: string, fields: Fields) {
  return closed({
    timestamp: time('When it happened, UTC.'),
    flow_id: Type.Optional(
      count(
        'The same in all records of a flow. Unique for one `host` from its start to its end; none if there is no flow.',
        1,
      ),
    ),
    host: Type.Optional(text('Whose gateway it was: the virtual node, or the router.')),
    event_type: Type.Literal(event, { description }),
    ...fields,
    cut: Type.Optional(flag('A text or list was longer than is recorded.')),
  });
}

/** By event, in the order of the documentation. */
export const AUDIT_RECORDS = {
  flow: record('flow', 'A flow has ended.', { ...Ends, flow: Flow, metadata: Type.Optional(Metadata) }),
  alert: record('alert', 'A rule that says log, a scan or a condition has decided something.', {
    ...Ends,
    alert: Alert,
  }),
  fileinfo: record('fileinfo', 'A file was named, or has passed.', { ...Ends, fileinfo: FileInfo }),
  chat: record('chat', 'Somebody wrote to somebody.', { ...Ends, chat: Chat }),
  drop: record('drop', 'Packets went no further.', { ...Ends, drop: Drop }),
  stats: record('stats', 'Counters of the gateway.', { stats: Stats }),
} as const satisfies Record<string, TObject>;

export type AuditEvent = keyof typeof AUDIT_RECORDS;

export const AuditRecord = Type.Union(Object.values(AUDIT_RECORDS), {
  $id: 'p2pxbone-audit-record',
  title: 'One line of the audit trail',
});
export type AuditRecord = Static<(typeof AUDIT_RECORDS)[AuditEvent]>;
