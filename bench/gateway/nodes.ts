/** The node in the middle, with a gateway of a configuration: behind NFQUEUE, or in our data plane. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { valueOf } from '../../cli/command.ts';
import { untilTrue } from '../../cli/demo/machine.ts';
import { askRouter, controlPath } from '../../gateway/driver/router-control.ts';
import type { TunnelShape } from '../../native/index.ts';
import { OverlayError } from '../../overlay/errors.ts';
import type { GatewayStatistics } from '../../overlay/gateway-status.ts';
import { Listener } from '../lab/tool.ts';
import {
  addressOf,
  cableAddress,
  type Design,
  ENDS,
  type End,
  type GatewayNetwork,
  macOf,
  NODE_CPU,
  NODE_MAC,
  OUR_PORT,
} from './network.ts';

const CLI = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const FILE = fileURLToPath(new URL('gateway-node.ts', import.meta.url));
const START_MS = 30_000;
const QUEUE = 0;
const ON_ITS_CPU = ['taskset', '-c', String(NODE_CPU)];

export type GatewayNodeOptions = {
  readonly listen: { readonly address: string; readonly port: number };
  readonly mac: string;
  readonly neighbours: readonly {
    readonly peer: { readonly address: string; readonly port: number };
    readonly mac: string;
    readonly ipv4: string;
    readonly shape?: TunnelShape;
  }[];
  /** Absent: no gateway. */
  readonly policy?: string;
};

export type NodeReport = {
  readonly drops: Readonly<Record<string, number>>;
  readonly statistics?: GatewayStatistics;
};

let starts = 0;

/** A node at work. */
export type RunningNode = {
  /** Of the processes whose time is the gateway's. */
  readonly pids: readonly number[];
  /** The same report when called again. */
  stop(): Promise<NodeReport>;
};

export type NodeSettings = {
  readonly policy?: string;
  /** Of tunnels of our data plane. */
  readonly shapes?: Partial<Record<End, TunnelShape>>;
};

export async function startNode(network: GatewayNetwork, design: Design, settings: NodeSettings): Promise<RunningNode> {
  const node = await (design === 'nfqueue' ? startQueued : startEmbedded)(network, settings);
  let stopped: Promise<NodeReport> | undefined;
  return { pids: node.pids, stop: () => (stopped ??= node.stop()) };
}

/** The kernel forwards anyway; with a policy its packets pass the queue. */
async function startQueued(network: GatewayNetwork, { policy }: NodeSettings): Promise<RunningNode> {
  if (policy === undefined) return { pids: [], stop: async () => ({ drops: {} }) };
  const { lab, node } = network;
  const run = join(lab.directory, 'run');
  mkdirSync(run, { recursive: true });
  const log = `gateway-${++starts}.log`;
  const words = ['--nfqueue', String(QUEUE), '--policy', policy, '--rules', 'set', '--run', run];
  const child = lab.start(node, [...ON_ITS_CPU, process.execPath, CLI, 'gateway', 'run', ...words], log);
  const says = (): string => readFileSync(join(lab.directory, log), 'utf8');
  await untilTrue('the gateway serves its queue', START_MS, 50, async () => {
    if (child.exitCode !== null) throw new OverlayError('SYSTEM', `The gateway has ended: ${says()}`);
    return says().includes('until this ends');
  });
  return {
    pids: child.pid === undefined ? [] : [child.pid],
    stop: async () => {
      const statistics = valueOf(await askRouter(controlPath(run, QUEUE), { t: 'statistics' }));
      await ended(child);
      return { drops: statistics.drops, statistics };
    },
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

async function startEmbedded(network: GatewayNetwork, { policy, shapes = {} }: NodeSettings): Promise<RunningNode> {
  const options: GatewayNodeOptions = {
    listen: { address: '0.0.0.0', port: OUR_PORT },
    mac: NODE_MAC,
    neighbours: ENDS.map((end) => {
      const shape = shapes[end];
      return {
        peer: { address: cableAddress(end), port: OUR_PORT },
        mac: macOf(end),
        ipv4: addressOf(end, 'embedded'),
        ...(shape === undefined ? {} : { shape }),
      };
    }),
    ...(policy === undefined ? {} : { policy }),
  };
  const command = [...ON_ITS_CPU, process.execPath, FILE, JSON.stringify(options)];
  const listener = await Listener.start(network.node, command);
  return { pids: [listener.pid], stop: () => listener.finish<NodeReport>() };
}
