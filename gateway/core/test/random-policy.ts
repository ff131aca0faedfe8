/** Policies and facts drawn from the same few values, so that rules match, nearly match, and hide one another. */
import { below, fraction, type Rng } from '../../../overlay/lib/rng.ts';
import { POLICY_FORMAT, type PolicyFile, type Rule, type When } from '../policy-schema.ts';
import { CHATTING, functionsOf, HOSTED } from '../vocabulary.ts';
import { applicationOf, type ChatFacts, type Event, type FileFacts, type FlowFacts } from './oracle.ts';
import { randomGlob, randomName, randomRegularExpression } from './random-pattern.ts';

export const OWN_APPLICATIONS = ['ourgame', 'ourchat'];

const ADDRESSES = [
  '10.77.8.1',
  '10.77.8.200',
  '10.77.9.5',
  '192.0.2.1',
  'fd00::1',
  'fd00:0:0:1::1',
  '0.0.0.0',
  '255.255.255.255',
  '::1',
];
const PREFIXES = [
  '10.77.8.0/24',
  '10.77.8.0/25',
  '10.77.8.128/25',
  '10.77.0.0/16',
  '0.0.0.0/0',
  '::/0',
  'fd00::/64',
  'fd00::/48',
  '10.77.8.1',
  'fd00::1',
  '10.77.8.100-10.77.9.10',
  'fd00::-fd00::ffff',
  '192.0.2.1/32',
];
const APPLICATIONS = [
  'unknown',
  'bittorrent',
  'edonkey',
  'kazaa',
  'http',
  'tls',
  'quic',
  'irc',
  'xmpp',
  'msn',
  'napster',
  'ftpData',
  'sip',
  'ssh',
  'skype',
  ...OWN_APPLICATIONS,
];
const PORTS = [0, 80, 443, 6881, 6885, 65535];
const NAME_PATTERNS = [
  '*.mp3',
  '*.MP3',
  'live*',
  '*bootleg*',
  '??.txt',
  'straße*',
  'ÄRGER.zip',
  '[a-c]*.exe',
  '[!a]b',
  '*',
  'a b.mp3',
  '\\*.x',
  '/^live.*(bootleg|tour)/i',
  '/\\.mp3$/',
  '/[0-9]{2,3}/',
  '/^é+$/i',
  '/a|^b$/',
  '/\\w\\s\\d/',
  '/(?:ab)*c?x/',
  '/[^a-z]\\./',
];
const NAMES = [
  'song.mp3',
  'SONG.MP3',
  'Live at X bootleg.ogg',
  'live tour',
  'ab.txt',
  'STRASSE 1',
  'Straße 7.doc',
  'ärger.ZIP',
  'b.exe',
  'd.exe',
  'bb',
  'ab',
  'a b.mp3',
  '*.x',
  'y.x',
  'é',
  'ÉÉ',
  '12',
  'é 1',
  'ababcx',
  'x',
  '日本語.mp3',
  'b',
  '\u{1F600}.mp3',
  'K.txt',
];
const WORDS = [
  'secret',
  'top secret',
  'proj*x',
  'geheim?',
  'ü*',
  '[sz]ee',
  '/proj.*x/',
  '/^hello/i',
  '/\\d{3}-\\d{4}/',
  '/b{2,}$/',
];
const TEXTS = [
  'this is SECRET, man',
  'secretly',
  'top   secret',
  'projectx',
  'project x',
  'Geheime',
  'ÜBER alles',
  'zee',
  'see-saw',
  'Hello',
  'oh hello',
  'call 555-1234',
  'abb',
  'ab',
  'top\tsecret!',
  'nothing',
];
const PEOPLE = ['alice', 'Bob', '#room', 'eve@example.org'];
const PEOPLE_PATTERNS = ['alice', 'bob', '\\#*', '*@example.org', '/^#/'];
const HOSTS = [
  'www.example.org',
  'example.org',
  'EXAMPLE.org.',
  'example.org:8080',
  '[fd00::1]:80',
  'other.test',
  'fd00::1',
];
const HOST_PATTERNS = ['*.example.org', 'example.org', '\\[fd00::1\\]', '/test$/', '*:*'];
const SIZES = ['> 1 MB', '>= 1000000 B', '< 10 kB', '<= 10 kB', '1 MB - 5 GB', '10 kB', '> 0 B'];
const BYTES = [0, 1, 9_999, 10_000, 10_001, 999_999, 1_000_000, 1_000_001, 5_000_000_000, 5_000_000_001];
const TYPES = ['mp3', 'zip', 'pe', 'text', 'audio', 'archive', 'executable', 'unknown', 'html'];
const KIND_OF: Readonly<Record<string, string>> = {
  mp3: 'audio',
  zip: 'archive',
  pe: 'executable',
  text: 'text',
  html: 'text',
  unknown: 'unknown',
};
export const HASHES = ['00', '7f', '80', 'ff'].map((byte) => byte.repeat(32));

export function randomPolicy(rng: Rng): PolicyFile {
  const policy: PolicyFile = {
    policy: POLICY_FORMAT,
    ...maybe(rng, 0.1, () => ({ mode: 'dry-run' as const })),
    ...maybe(rng, 0.5, () => ({ default: pick(rng, ['accept', 'drop', 'reject'] as const) })),
    sets: { students: some(rng, PREFIXES, 3), staff: [...some(rng, PREFIXES, 2), 'students'], nobody: [] },
    lists: {
      songs: { patterns: [...some(rng, NAME_PATTERNS, 2), randomGlob(rng), randomRegularExpression(rng)] },
      words: { patterns: some(rng, WORDS, 3) },
      bad: { sha256: some(rng, HASHES, 3) },
    },
    times: {
      office: { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00' },
      night: [
        { days: ['fri', 'sun'], from: '22:30', to: '06:00', zone: 'utc' },
        { days: ['sat'], to: '12:00' },
      ],
      late: { days: ['mon', 'tue', 'wed', 'thu', 'sat'], from: '20:00', to: '03:00' },
    },
    limits: {
      all: { rate: '20 Mbit/s' },
      each: { parent: 'all', rate: '1 Mbit/s', ceiling: '5 Mbit/s', per: 'source' },
    },
    signatures: ['own'],
    connectionCache: { denyFor: pick(rng, ['10m', '0s', '90s']) },
    audit: { directory: '/a', files: { directory: '/f' } },
  };
  return { ...policy, rules: Array.from({ length: 1 + below(rng, 6) }, () => randomRule(rng)) };
}

function randomRule(rng: Rng): Rule {
  const kind = pick(rng, ['flow', 'flow', 'file', 'file', 'chat'] as const);
  const denies = fraction(rng) < 0.4;
  const isRedirect = kind === 'flow' && !denies && fraction(rng) < 0.15;
  const scans = !denies && kind !== 'chat' && fraction(rng) < 0.3;
  const actions = [
    ...(denies ? [pick(rng, ['drop', 'reject'] as const)] : []),
    ...(isRedirect ? [{ redirect: pick(rng, ['10.0.0.5', 'fd00::5']) }] : []),
    ...(scans ? [pick(rng, ['scan', 'store'] as const)] : []),
    ...(fraction(rng) < 0.4 ? ['log' as const] : []),
    ...(!denies && fraction(rng) < 0.3 ? [{ limit: pick(rng, ['all', 'each']) }] : []),
    ...(!denies && fraction(rng) < 0.2 ? [{ mark: below(rng, 1000) }] : []),
  ];
  const when: When = {
    ...flowConditions(rng, kind, isRedirect, scans),
    ...(kind === 'file' ? { file: fileConditions(rng) } : {}),
    ...(kind === 'chat' ? { chat: chatConditions(rng) } : {}),
  };
  const list = actions.length === 0 ? ['accept' as const] : actions;
  return {
    when,
    do: list.length === 1 ? (list[0] as (typeof list)[number]) : list,
    ...(denies ? maybe(rng, 0.3, () => ({ denyFor: '1h' })) : {}),
  };
}

/** Only what `check` lets pass: no function that the application has not. */
function flowConditions(rng: Rng, kind: 'flow' | 'file' | 'chat', isRedirect: boolean, scans: boolean): When {
  const able = { flow: APPLICATIONS, file: ['http', 'irc', 'napster', 'ftpData', 'msn'], chat: CHATTING }[
    scans ? 'file' : kind
  ];
  const isHosted = !isRedirect && kind !== 'chat' && fraction(rng) < 0.2;
  const hosted = HOSTED.filter((name) => !(scans || kind === 'file') || name === 'http');
  return {
    ...(isRedirect ? {} : maybe(rng, 0.4, () => ({ application: oneOrMore(rng, isHosted ? hosted : able) }))),
    ...maybe(rng, 0.25, () => ({ from: oneOrMore(rng, ['students', 'staff', 'nobody', ...PREFIXES]) })),
    ...maybe(rng, 0.15, () => ({ to: oneOrMore(rng, ['students', 'staff', ...PREFIXES]) })),
    ...maybe(rng, 0.1, () => ({ between: oneOrMore(rng, ['students', 'staff', ...PREFIXES]) })),
    ...maybe(rng, 0.15, () => ({ port: oneOrMore<number | string>(rng, [...PORTS, '6881-6889', '0-65535']) })),
    ...maybe(rng, 0.15, () => ({ protocol: oneOrMore<number | string>(rng, ['tcp', 'udp', 'icmp', 47, 6]) })),
    ...maybe(rng, 0.25, () => ({ time: oneOrMore(rng, ['office', 'night', 'late']) })),
    ...(isHosted ? { host: some(rng, HOST_PATTERNS, 2) } : {}),
  };
}

function fileConditions(rng: Rng): NonNullable<When['file']> {
  return {
    ...maybe(rng, 0.5, () => ({
      name:
        fraction(rng) < 0.3
          ? 'songs'
          : some(
              rng,
              [
                ...NAME_PATTERNS.slice(0, 6),
                randomGlob(rng),
                randomRegularExpression(rng),
                randomRegularExpression(rng),
              ],
              3,
            ),
    })),
    ...maybe(rng, 0.4, () => ({ size: pick(rng, SIZES) })),
    ...maybe(rng, 0.3, () => ({ type: oneOrMore(rng, TYPES) })),
    ...maybe(rng, 0.2, () => ({ sha256: fraction(rng) < 0.5 ? 'bad' : some(rng, HASHES, 2) })),
    ...maybe(rng, 0.3, () => ({ sender: oneOrMore(rng, ['students', 'staff', ...PREFIXES]) })),
  };
}

function chatConditions(rng: Rng): NonNullable<When['chat']> {
  return {
    ...maybe(rng, 0.7, () => ({
      text: fraction(rng) < 0.3 ? 'words' : [...some(rng, WORDS, 2), ...(fraction(rng) < 0.3 ? [randomGlob(rng)] : [])],
    })),
    ...maybe(rng, 0.3, () => ({ from: some(rng, PEOPLE_PATTERNS, 2) })),
    ...maybe(rng, 0.3, () => ({ to: some(rng, PEOPLE_PATTERNS, 2) })),
  };
}

export function randomEvent(rng: Rng): Event {
  const flow = randomFlow(rng);
  const kind = below(rng, 3);
  if (kind === 1) return { flow, file: randomFile(rng) };
  return kind === 2 ? { flow, chat: randomChat(rng) } : { flow };
}

function randomFlow(rng: Rng): FlowFacts {
  const isSix = fraction(rng) < 0.3;
  const addresses = ADDRESSES.filter((address) => address.includes(':') === isSix);
  const protocol = pick(rng, [6, 6, 6, 17, 17, 1, 47]);
  return {
    from: pick(rng, addresses),
    to: pick(rng, addresses),
    port: protocol === 6 || protocol === 17 ? pick(rng, PORTS) : 0,
    protocol,
    application: fraction(rng) < 0.3 ? undefined : applicationOf(pick(rng, APPLICATIONS)),
    host: fraction(rng) < 0.5 ? undefined : pick(rng, ['', ...HOSTS]),
    // In the minutes round whole hours of two weeks, and once long ago.
    now:
      fraction(rng) < 0.05
        ? -below(rng, 1e9)
        : 1.78e12 + below(rng, 14 * 24) * 3_600_000 + (below(rng, 3) - 1) * 60_000,
    utcOffsetSeconds: pick(rng, [0, 3600, -18_000, 20_700]),
  };
}

function randomFile(rng: Rng): FileFacts {
  const type = pick(rng, Object.keys(KIND_OF));
  return {
    name: fraction(rng) < 0.1 ? '' : fraction(rng) < 0.5 ? randomName(rng) : pick(rng, NAMES),
    size: fraction(rng) < 0.3 ? undefined : pick(rng, BYTES),
    seen: fraction(rng) < 0.3 ? 0 : pick(rng, BYTES),
    type: fraction(rng) < 0.4 ? undefined : { name: type, kind: KIND_OF[type] as string },
    sha256: fraction(rng) < 0.5 ? undefined : pick(rng, HASHES),
    sender: pick(rng, ['from', 'to'] as const),
    final: fraction(rng) < 0.3,
  };
}

function randomChat(rng: Rng): ChatFacts {
  return {
    from: pick(rng, ['', ...PEOPLE]),
    to: pick(rng, ['', ...PEOPLE]),
    text: fraction(rng) < 0.3 ? randomName(rng) : pick(rng, ['', ...TEXTS]),
  };
}

/** The same event with more known: nothing that is known changes. */
export function completed({ flow, file, chat }: Event, rng: Rng): Event {
  const more = randomFlow(rng);
  const later = randomFile(rng);
  const application = flow.application ?? more.application ?? 'http';
  // Of what an application cannot show, nothing becomes known.
  const hasContent = functionsOf(applicationOf(application)).scan;
  const host = HOSTED.includes(application) ? more.host : undefined;
  return {
    flow: { ...flow, application, host: flow.host ?? host ?? '' },
    ...(chat === undefined ? {} : { chat }),
    ...(file === undefined
      ? {}
      : {
          file: file.final
            ? file
            : {
                ...file,
                name: file.name || later.name,
                size: file.size ?? Math.max(file.seen, later.size ?? 0),
                type: file.type ?? (hasContent ? later.type : undefined),
                sha256: file.sha256 ?? (hasContent ? later.sha256 : undefined),
                final: true,
              },
        }),
  };
}

function maybe<Fields extends object>(rng: Rng, share: number, make: () => Fields): Partial<Fields> {
  return fraction(rng) < share ? make() : {};
}

function pick<Item>(rng: Rng, items: readonly Item[]): Item {
  return items[below(rng, items.length)] as Item;
}

/** At least one, each once. */
function some<Item>(rng: Rng, items: readonly Item[], most: number): Item[] {
  return [...new Set(Array.from({ length: 1 + below(rng, most) }, () => pick(rng, items)))];
}

function oneOrMore<Item>(rng: Rng, items: readonly Item[]): Item | Item[] {
  const list = some(rng, items, 3);
  return list.length === 1 && fraction(rng) < 0.7 ? (list[0] as Item) : list;
}
