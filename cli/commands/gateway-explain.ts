/** What a policy says: before there is traffic, or of a flow that a gateway has now. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { inForceNames, loadInForce, type Whose } from '../../gateway/driver/loaded-policy.ts';
import { explainPolicy, type PolicyAnswer, type PolicyQuestion } from '../../native/index.ts';
import { OverlayError } from '../../overlay/errors.ts';
import type { GatewayFlow } from '../../overlay/gateway-status.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import { type RdOptions, valueOf } from '../command.ts';
import { print, printJson } from '../output.ts';
import { addressOf, bearerOf, whoseBy, wordsOfNames } from './gateway-names.ts';
import { endOf, flowBy, protocolName } from './gateway-watch.ts';

export type ExplainOptions = RdOptions & {
  readonly nfqueue: number;
  readonly flow?: number;
  readonly from?: string;
  readonly to?: string;
  /** Of a flow that was seen. */
  readonly fromPort?: number;
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
  const flow = options.flow === undefined ? undefined : await flowBy(options.flow, options);
  const question = questionOf(flow === undefined ? options : { ...options, ...seenOf(flow) }, whose);
  const answer = valueOf(explainPolicy(loaded.rules, question));
  const ends = { from: bearerOf(question.from, whose), to: bearerOf(question.to, whose) };
  const about = flow === undefined ? {} : { flow };
  if (options.json)
    return printJson(whose === 'router' ? { ...about, ...answer } : { ...about, ...answer, names, ends });
  if (flow !== undefined) print(flowWords(flow));
  for (const line of wordsOf(policy, answer)) print(line);
  for (const [end, node] of Object.entries(ends)) {
    if (node !== undefined) print(`${end} is node ${node.name}, in ${node.groups.join(', ') || 'no group'}`);
  }
  for (const line of wordsOfNames(names)) print(line);
}

/** What a flow has shown, as options would say it; what is asked beyond it may be given beside. */
function seenOf(flow: GatewayFlow): Partial<ExplainOptions> {
  const { from, fromPort, to, toPort, protocol, application, host } = flow;
  return {
    from,
    fromPort,
    to,
    port: toPort,
    protocol: String(protocol),
    ...(application === '' ? {} : { application }),
    ...(host === '' ? {} : { host }),
  };
}

/** What becomes of it now, by the policy in force. */
function flowWords(flow: GatewayFlow): string {
  const { id, from, fromPort, to, toPort, protocol, application, host, state, parser, rule, needs } = flow;
  const what = [application || 'not classified', ...(host === '' ? [] : [host])].join(', ');
  const looked = needs.length > 0 ? `: ${needs.join(', ')} will be looked at` : '';
  const passes = {
    '': '',
    initial: '',
    receiving: '; a file passes now',
    processing: '; a file waits for its verdict',
  };
  const by = rule === '' ? '' : ` by "${rule}"`;
  const words = { inspected: `inspected${looked}${passes[parser]}`, settled: `goes on${by}`, denied: `denied${by}` };
  return `flow ${id}, ${protocolName(protocol)} ${endOf(from, fromPort)} to ${endOf(to, toPort)}, ${what}: ${words[state]}.`;
}

function questionOf({ from: begins, to: other, ...options }: ExplainOptions, whose: Whose): PolicyQuestion {
  if (begins === undefined || other === undefined) {
    throw new OverlayError(
      'BAD_ARGUMENT',
      'Say which flow: give --from and --to, or --flow with a number of gateway top.',
    );
  }
  const from = addressOf(begins, whose, other);
  const to = addressOf(other, whose, begins);
  const { port, fromPort, application, host, file, chat, upload = false } = options;
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
    ...(fromPort === undefined ? {} : { fromPort }),
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
