/** What a policy says, before there is traffic. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { inForceNames, loadInForce, type Whose } from '../../gateway/driver/loaded-policy.ts';
import { explainPolicy, type PolicyAnswer, type PolicyQuestion } from '../../native/index.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { type RdOptions, valueOf } from '../command.ts';
import { print, printJson } from '../output.ts';
import { addressOf, bearerOf, whoseBy, wordsOfNames } from './gateway-names.ts';

export type ExplainOptions = RdOptions & {
  readonly from: string;
  readonly to: string;
  readonly port?: number;
  readonly protocol: string;
  readonly application?: string;
  readonly host?: string;
  readonly file?: string;
  readonly upload?: boolean;
  readonly chat?: string;
  readonly at?: string;
};

const FILE_BYTES_MAX = 1e9;
const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 };

export async function explain(policy: string, options: ExplainOptions): Promise<void> {
  if (options.file !== undefined && options.chat !== undefined) {
    throw new OverlayError('BAD_ARGUMENT', 'Ask about a file or about a message; give --file or --chat.');
  }
  const whose = await whoseBy(options);
  const loaded = valueOf(loadInForce(policy, whose));
  const { names } = inForceNames(loaded.policy, whose);
  const question = questionOf(options, whose);
  const answer = valueOf(explainPolicy(loaded.rules, question));
  const ends = { from: bearerOf(question.from, whose), to: bearerOf(question.to, whose) };
  if (options.json) return printJson(whose === 'router' ? answer : { ...answer, names, ends });
  for (const line of wordsOf(policy, answer)) print(line);
  for (const [end, node] of Object.entries(ends)) {
    if (node !== undefined) print(`${end} is node ${node.name}, in ${node.groups.join(', ') || 'no group'}`);
  }
  for (const line of wordsOfNames(names)) print(line);
}

function questionOf(options: ExplainOptions, whose: Whose): PolicyQuestion {
  const from = addressOf(options.from, whose, options.to);
  const to = addressOf(options.to, whose, options.from);
  const { port, application, host, file, chat, upload = false } = options;
  const protocol = PROTOCOLS[options.protocol] ?? Number(options.protocol);
  if (!Number.isInteger(protocol) || protocol < 0 || protocol > 255) {
    throw new OverlayError(
      'BAD_ARGUMENT',
      `'${options.protocol}' is no protocol; use tcp, udp, icmp, icmpv6 or a number.`,
    );
  }
  const at = new Date(options.at ?? systemClock.wall());
  if (Number.isNaN(at.getTime())) {
    throw new OverlayError('BAD_ARGUMENT', `'${options.at}' is no time; write it as 2026-11-22T09:30.`);
  }
  return {
    from,
    to,
    protocol,
    at,
    ...(port === undefined ? {} : { toPort: port }),
    ...(application === undefined ? {} : { application }),
    ...(host === undefined ? {} : { host }),
    ...(file === undefined ? {} : { file: { ...factsOf(file), fromInitiator: upload } }),
    ...(chat === undefined ? {} : { chat: { text: chat } }),
  };
}

function factsOf(path: string): NonNullable<PolicyQuestion['file']> {
  const name = basename(path);
  if (!existsSync(path)) return { name };
  const { size } = statSync(path);
  if (!statSync(path).isFile() || size > FILE_BYTES_MAX) {
    throw new OverlayError(
      'BAD_ARGUMENT',
      `${path} is no file, or larger than a gigabyte; give one that is smaller, or only a name.`,
    );
  }
  const bytes = readFileSync(path);
  return { name, size: bytes.length, beginning: bytes, sha256: createHash('sha256').update(bytes).digest() };
}

function wordsOf(policy: string, answer: PolicyAnswer): string[] {
  const { action, rule, line, number, needs } = answer;
  const by = number === 0 ? 'by default: no rule matches' : `by rule ${number}, "${rule}" (${policy}:${line})`;
  const also = [
    answer.redirect === undefined ? [] : [`sent to ${targetOf(answer.redirect)}`],
    answer.limit === undefined ? [] : [`limited by ${answer.limit}`],
    answer.mark === undefined ? [] : [`marked ${answer.mark}`],
    answer.log ? ['recorded as an alert'] : [],
    answer.scan ? ['scanned'] : [],
    answer.store ? ['stored'] : [],
    answer.denyForMs > 0 ? [`the connection is refused for ${answer.denyForMs / 1000} s`] : [],
  ].flat();
  const dry = answer.dryRun ? ' The policy only watches: everything goes on.' : '';
  if (!answer.decided) {
    const where = answer.redirect === undefined ? '' : ` to ${targetOf(answer.redirect)}`;
    return [`Not decided yet: the flow goes on${where}, and ${needs.join(', ')} will be looked at.${dry}`];
  }
  const more = needs.length > 0 ? [`Its ${needs.join(', ')} will be looked at.`] : [];
  return [`${action} ${by}${also.length > 0 ? `; ${also.join(', ')}` : ''}.${dry}`, ...more];
}

function targetOf({ address, port }: NonNullable<PolicyAnswer['redirect']>): string {
  if (port === 0) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
