/**
 * Names that policies use for what the native gateway numbers. Images hold the numbers; a test compares these tables with
 * the headers under native/gateway.
 */

function words(text: string): readonly string[] {
  return text.split(' ');
}

/** In the order of their numbers, from 0. */
export const APPLICATIONS: readonly string[] = words(
  'unknown bittorrent edonkey gnutella fasttrack opennap msn skype http tls quic irc xmpp ftp ftpData dns ' +
    'ssh sip dhcp ntp mdns ssdp netbios smb smtp pop3 imap telnet rdp vnc stun rtp rtsp soulseek ' +
    'directConnect openft whatsapp telegram oscar yahooMessenger mysql postgresql redis mqtt ldap snmp syslog ' +
    'rsync git socks wireguard openvpn ipsec dtls icmp',
);

/** Applications that only signature files name are numbered from here. */
export const APPLICATION_OWN_FIRST = 1024;

/** Other names of applications, small letters. */
export const APPLICATION_ALIASES: Readonly<Record<string, string>> = {
  aim: 'oscar',
  ed2k: 'edonkey',
  emule: 'edonkey',
  jabber: 'xmpp',
  kazaa: 'fasttrack',
  msnmessenger: 'msn',
  napster: 'opennap',
  skypeout: 'skype',
  skypetoskype: 'skype',
  ssl: 'tls',
  validcertssl: 'tls',
  yahoo: 'yahooMessenger',
};

/** Undefined if the name is not built in. Letter case does not matter. */
export function applicationNumber(name: string): number | undefined {
  const small = name.toLowerCase();
  const wanted = (APPLICATION_ALIASES[small] ?? small).toLowerCase();
  const number = APPLICATIONS.findIndex((application) => application.toLowerCase() === wanted);
  return number < 0 ? undefined : number;
}

/** What is feasible beyond naming, blocking and limiting; an application that is missing has none of it. */
export type Functions = {
  /** File names and hashes, or chat, are seen. */
  readonly filter: boolean;
  /** The content of files is. */
  readonly scan: boolean;
  readonly audit: boolean;
};

const ALL: Functions = { filter: true, scan: true, audit: true };
const NAMES: Functions = { filter: true, scan: false, audit: false };
const NOTHING: Functions = { filter: false, scan: false, audit: false };
const FUNCTIONS: Readonly<Record<string, Functions>> = {
  fasttrack: ALL,
  edonkey: NAMES,
  bittorrent: NAMES,
  gnutella: ALL,
  msn: ALL,
  opennap: ALL,
  http: ALL,
  ftp: ALL,
  ftpData: ALL,
  irc: ALL,
  xmpp: ALL,
  sip: { filter: true, scan: false, audit: true },
};

export function functionsOf(application: string): Functions {
  return FUNCTIONS[application] ?? NOTHING;
}

/** Applications of which chat messages are seen. */
export const CHATTING: readonly string[] = ['edonkey', 'opennap', 'msn', 'irc', 'xmpp', 'sip'];

/** Applications with filter that send or name no files. */
export const FILELESS: readonly string[] = ['sip'];

/** Applications whose flows name a host: the server name of TLS and QUIC, the host of HTTP. */
export const HOSTED: readonly string[] = ['http', 'tls', 'quic'];

/** Of native/gateway/condition.h, in the order of their numbers. */
export const CONDITIONS: readonly string[] = words(
  'fragmented fragmentsFull flowsFull midFlow synData urgentData outsideWindow streamFull streamGap ' +
    'streamHistory streamOld heldFull parserError scanUnavailable scanTooBig',
);

export const CONDITION_ACTIONS = ['inspect', 'drop', 'dropFlow', 'pass', 'bypass'] as const;

/** Of native/gateway/file_type.h, in the order of their numbers. */
export const FILE_KINDS: readonly string[] = words('unknown archive executable script document image audio video text');

/** Those that native/gateway/file_type.cpp tells apart. */
export const FILE_TYPES: readonly string[] = words(
  'elf macho wasm dex lnk script rar 7z gzip bzip2 xz zstd lz4 compress cab arj deb ar rpm cpio lzh tar ole ' +
    'rtf postscript djvu jpeg png gif tiff psd ico webp wav avi mp3 flac ogg midi m4a heic avif mp4 matroska ' +
    'mpeg flv asf dos dll pe zip ooxml odf epub apk jar class aac mpegts bmp amr pdf html svg xml text',
);

export const PROTOCOLS: Readonly<Record<string, readonly number[]>> = {
  icmp: [1, 58],
  tcp: [6],
  udp: [17],
  gre: [47],
  esp: [50],
  sctp: [132],
};

/** From Monday, as bits of a day mask. */
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
