/** Gateways that run, those of virtual nodes and that of a router: they take another policy, and are watched. */
import { setTimeout } from 'node:timers/promises';
import { askRouter, controlPath } from '../../gateway/driver/router-control.ts';
import { OverlayError } from '../../overlay/errors.ts';
import {
  GATEWAY_FLOWS_MAX,
  type GatewayFlow,
  type GatewayFlows,
  type GatewayStatistics,
  type PolicyInForce,
} from '../../overlay/gateway-status.ts';
import { type RdOptions, scopeOf, titleOf, valueOf } from '../command.ts';
import { paint, print, printJson, table } from '../output.ts';
import { type AnswerNamed, askRd, runDirectory } from '../rd-client.ts';
import { untilStopped } from '../signals.ts';
import { wordsOfNames } from './gateway-names.ts';

/** Of a virtual node, where the VI or the network namespace is given; else that of a queue. */
export type GatewayOptions = RdOptions & { readonly nfqueue: number };
export type GatewayTopOptions = GatewayOptions & { readonly flows: number; readonly once?: boolean };

type View = GatewayFlows & { readonly title?: string; readonly statistics: GatewayStatistics };

const TOP_MS = 2000;
const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6' };

function isOfNode({ vi, netns }: GatewayOptions): boolean {
  return vi !== undefined || netns !== undefined;
}

export async function reload(options: GatewayOptions): Promise<void> {
  const run = runDirectory(options.run);
  if (!isOfNode(options)) {
    const inForce = valueOf(await askRouter(controlPath(run, options.nfqueue), { t: 'reload' }));
    return options.json ? printJson(inForce) : tellInForce(inForce);
  }
  const question = { t: 'gateway.reload', ...scopeOf(options) } as const;
  const { nodes } = valueOf(await askRd(run, question, 'gateway.reload'));
  if (options.json) return printJson({ nodes });
  for (const node of nodes) {
    if (nodes.length > 1) print(titleOf(node));
    tellInForce(node);
  }
}

function tellInForce({ rules, dryRun, warnings, names }: PolicyInForce): void {
  for (const line of [...warnings, ...wordsOfNames(names)]) print(line);
  print(`The policy is in force: ${rules} rules${dryRun ? ', dry run' : ''}.`);
}

export async function top(options: GatewayTopOptions): Promise<void> {
  if (options.json) return printJson(isOfNode(options) ? { nodes: await lookAtNodes(options) } : await lookAt(options));
  const live = process.stdout.isTTY && !options.once;
  const stop = new AbortController();
  if (live) void untilStopped().then(() => stop.abort());
  for (let before: readonly View[] = []; !stop.signal.aborted; ) {
    const views = await lookAtAll(options);
    if (live) process.stdout.write('\u001b[H\u001b[2J');
    for (const [i, { title, statistics, flows }] of views.entries()) {
      if (views.length > 1 && title !== undefined) print(title);
      print(describe(statistics, before[i]?.statistics, TOP_MS / 1000));
      print(flowTable(flows));
    }
    if (!live) return;
    before = views;
    await setTimeout(TOP_MS);
  }
}

async function lookAtAll(options: GatewayTopOptions): Promise<readonly View[]> {
  if (!isOfNode(options)) return [await lookAt(options)];
  return (await lookAtNodes(options)).map((node) => ({ title: titleOf(node), ...node }));
}

async function lookAtNodes(options: GatewayTopOptions): Promise<AnswerNamed<'gateway'>['nodes']> {
  const question = { t: 'gateway', ...scopeOf(options), flows: options.flows } as const;
  return valueOf(await askRd(runDirectory(options.run), question, 'gateway')).nodes;
}

async function lookAt({ run, nfqueue, flows }: GatewayTopOptions): Promise<View> {
  const path = controlPath(runDirectory(run), nfqueue);
  const statistics = valueOf(await askRouter(path, { t: 'statistics' }));
  return { statistics, ...valueOf(await askRouter(path, { t: 'flows', most: flows })) };
}

function describe(now: GatewayStatistics, before: GatewayStatistics | undefined, seconds: number): string {
  const rate = (of: (all: GatewayStatistics) => number): string =>
    before === undefined ? '' : ` (${Math.round((of(now) - of(before)) / seconds).toLocaleString('en')}/s)`;
  const counted = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none';
  const stages = now.stages
    .filter(({ packets }) => packets > 0)
    .map(({ name, nanoseconds }) => `${name} ${nanoseconds} ns`);
  const { scanner } = now;
  const lines = [
    `${now.packets} packets${rate(({ packets }) => packets)}, ${now.bytes} bytes${rate(({ bytes }) => bytes)}, ${now.flows} flows`,
    `denied ${now.applications['denied'] ?? 0} flows, would deny ${now.applications['wouldDeny'] ?? 0}; waiting ${now.held - now.released} packets`,
    `stages: ${stages.join(', ') || '-'}`,
    `drops: ${counted(now.drops)}`,
    `conditions: ${counted(now.conditions)}`,
    ...(scanner === undefined
      ? []
      : [
          `scanner: ${scanner.up ? scanner.version : paint('red', `not there: ${scanner.why}`)}; ` +
            `${scanner.files} files, ${scanner.infected} infected, ` +
            `not scanned: ${scanner.unavailable} unavailable, ${scanner.tooBig} too big`,
        ]),
    ...(now.redirects.begun === 0
      ? []
      : [`redirected: ${now.redirects.connections} connections now, ${now.redirects.begun} so far`]),
    ...now.limits.map(
      (line) => `limit ${line.name}: ${line.bytes} bytes, ${line.waiting} waiting, ${line.dropped} dropped`,
    ),
  ];
  return lines.join('\n');
}

/** The flow of that number. Only those with the most bytes are told of, but there are many of these. */
export async function flowBy(id: number, options: GatewayOptions): Promise<GatewayFlow> {
  const views = await lookAtAll({ ...options, flows: GATEWAY_FLOWS_MAX });
  const found = views.flatMap(({ flows }) => flows).filter((flow) => flow.id === id);
  if (found[0] === undefined) {
    throw new OverlayError('NOT_FOUND', `No flow has the number ${id} now; gateway top shows those there are.`);
  }
  if (found.length > 1) {
    throw new OverlayError(
      'BAD_ARGUMENT',
      `Several nodes have a flow ${id}; choose one node with --netns, or the VI's id.`,
    );
  }
  return found[0];
}

export function endOf(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export const protocolName = (protocol: number): string => PROTOCOLS[protocol] ?? String(protocol);

function flowTable(flows: readonly GatewayFlow[]): string {
  if (flows.length === 0) return 'No flow is known now.';
  return table(
    ['FLOW', 'PROTOCOL', 'FROM', 'TO', 'APPLICATION', 'STATE', 'RULE', 'UP', 'DOWN'],
    flows.map((flow) => [
      String(flow.id),
      protocolName(flow.protocol),
      endOf(flow.from, flow.fromPort),
      endOf(flow.to, flow.toPort),
      flow.application === '' ? '-' : flow.application,
      flow.state,
      flow.rule,
      String(flow.bytesUp),
      String(flow.bytesDown),
    ]),
  );
}
