/** What the node's gateway does, from nothing to everything: the paper's steps, each on top of those before it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const CONFIGURATIONS = [
  'forwarding',
  'queueing',
  'classification',
  'filter',
  'audit',
  'scan',
  'everything',
] as const;
export type Configuration = (typeof CONFIGURATIONS)[number];

export const WHAT: Readonly<Record<Configuration, string>> = {
  forwarding: 'forwarding only, no gateway',
  queueing: '+ queueing: a gateway without rules',
  classification: '+ classification, 20 rules',
  filter: '+ filter by file name',
  audit: '+ audit, every file recorded (all but the scan)',
  scan: 'filter + virus scan, no audit',
  everything: 'audit + virus scan',
};

/** Twenty applications that nobody speaks here, so that every rule is asked. */
const REFUSED =
  `bittorrent edonkey gnutella fasttrack opennap msn skype quic irc xmpp ftp ssh sip directConnect imap pop3 rdp
  rsync vnc yahooMessenger`.split(/\s+/);

export type PolicySetting = {
  readonly configuration: Configuration;
  /** Where it may write. */
  readonly directory: string;
  /** Socket of clamd. */
  readonly clamd: string;
  /** A client that gets nothing by HTTP, and for how long that is remembered. */
  readonly denied?: { readonly from: string; readonly denyFor: string };
};

export function policyOf({ configuration, directory, clamd, denied }: PolicySetting): string {
  const does = new Set<string>([configuration]);
  if (does.has('everything')) does.add('audit').add('scan');
  const filters = does.has('filter') || does.has('audit') || does.has('scan');
  const rules = filters ? ['{name: songs, when: {file: {name: ["*.mp3", "*.flac", "*bootleg*"]}}, do: reject}'] : [];
  if (filters || does.has('classification')) {
    for (const name of REFUSED) rules.push(`{name: no ${name}, when: {application: ${name}}, do: reject}`);
  }
  if (denied !== undefined) {
    rules.unshift(`{name: no web for one, when: {from: "${denied.from}", application: http}, do: reject}`);
  }
  const actions = [...(does.has('audit') ? ['store'] : []), ...(does.has('scan') ? ['scan'] : [])];
  if (actions.length > 0) rules.push(`{name: files, when: {file: {}}, do: [${actions.join(', ')}]}`);
  const audit = `audit: {directory: ${directory}/audit, files: {directory: ${directory}/files, max: 1 GB}}`;
  const lines = [
    'policy: p2pxbone gateway, format 1',
    ...(does.has('audit') ? [audit] : []),
    ...(denied === undefined ? [] : [`connectionCache: {denyFor: ${denied.denyFor}}`]),
    ...(does.has('scan') ? [`scan: {socket: ${clamd}}`] : []),
    `rules: [${rules.map((rule) => `\n  ${rule}`).join(',')}]`,
  ];
  return `${lines.join('\n')}\n`;
}

export function writePolicy(setting: PolicySetting): string {
  const path = join(setting.directory, 'policy.yaml');
  writeFileSync(path, policyOf(setting));
  return path;
}
