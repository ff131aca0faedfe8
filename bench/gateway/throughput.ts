/** Two clients fetch files from three servers with a hundred connections each, by design and configuration. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { timed } from '../measure/processor.ts';
import { CONFIGURATIONS, type Configuration, writePolicy } from './configurations.ts';
import { CLIENTS, type Design, type GatewayNetwork, SERVERS } from './network.ts';
import { type NodeReport, startNode } from './nodes.ts';
import type { Load, Web } from './web.ts';

export const DESIGNS = ['nfqueue', 'embedded'] as const satisfies readonly Design[];
/** Of a client, at a time. */
export const CONNECTIONS = 100;
const WARM_UP_S = 1;

export type ThroughputSample = {
  readonly round: number;
  readonly design: Design;
  readonly configuration: Configuration;
  readonly gbitsPerSecond: number;
  readonly files: number;
  readonly errors: number;
  /** Of the machine, and of the gateway's process, seconds for each gigabit. */
  readonly machinePerGbit: number;
  readonly gatewayPerGbit: number;
  /** Of requests for a small file meanwhile, one after the other. */
  readonly small: Load;
  readonly report: NodeReport;
};

/** Where things are measured. */
export type Place = { readonly network: GatewayNetwork; readonly web: Web; readonly clamd: string };

function fetchAll({ web }: Place, design: Design, seconds: number): Promise<Load[]> {
  const each = Math.floor(CONNECTIONS / SERVERS.length);
  return Promise.all(
    CLIENTS.flatMap((client) =>
      SERVERS.map((server, i) => {
        const connections = i === 0 ? CONNECTIONS - each * (SERVERS.length - 1) : each;
        return web.fetch(client, server, design, 'part-N.bin', connections, seconds);
      }),
    ),
  );
}

export const gbitsOf = (loads: readonly Load[]): number =>
  loads.reduce((sum, { bytes, seconds }) => sum + (bytes * 8) / seconds / 1e9, 0);

let homes = 0;
/** A directory of its own for a gateway's policy and what it writes. */
export function newHome({ network }: Place): string {
  homes++;
  const home = join(network.lab.directory, `gateway-${homes}`);
  mkdirSync(home);
  return home;
}

export async function measureThroughput(
  place: Place,
  round: number,
  design: Design,
  configuration: Configuration,
  seconds: number,
): Promise<ThroughputSample> {
  const { network, clamd } = place;
  const policy =
    configuration === 'forwarding' ? undefined : writePolicy({ configuration, directory: newHome(place), clamd });
  const node = await startNode(network, design, policy === undefined ? {} : { policy });
  try {
    await fetchAll(place, design, WARM_UP_S);
    const [[loads, small], time] = await fetchWatched(place, design, node.pids, seconds);
    const report = await node.stop();
    const gbits = loads.reduce((sum, { bytes }) => sum + (bytes * 8) / 1e9, 0);
    return {
      round,
      design,
      configuration,
      gbitsPerSecond: gbitsOf(loads),
      files: loads.reduce((sum, { requests }) => sum + requests, 0),
      errors: loads.reduce((sum, { errors }) => sum + errors, 0),
      machinePerGbit: time.machineSeconds / gbits,
      gatewayPerGbit: time.daemonSeconds / gbits,
      small,
      report,
    };
  } finally {
    await node.stop();
  }
}

function fetchWatched(place: Place, design: Design, pids: readonly number[], seconds: number) {
  const small = (): Promise<Load> => place.web.fetch(CLIENTS[0], SERVERS[0], design, 'small.html', 1, seconds);
  return timed(pids, () => Promise.all([fetchAll(place, design, seconds), small()]));
}

export type ThroughputOptions = {
  readonly rounds: number;
  readonly seconds: number;
  readonly only: readonly Configuration[];
};

/** Configurations round by round, both designs of each one after the other. */
export async function measureConfigurations(
  place: Place,
  { rounds, seconds, only }: ThroughputOptions,
  say: (line: string) => void,
): Promise<ThroughputSample[]> {
  const samples: ThroughputSample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const configuration of CONFIGURATIONS.filter((name) => only.includes(name))) {
      for (const design of DESIGNS) {
        const sample = await measureThroughput(place, round, design, configuration, seconds);
        samples.push(sample);
        say(`round ${round} of ${rounds}: ${configuration}, ${design}: ${sample.gbitsPerSecond.toFixed(2)} Gbit/s`);
      }
    }
  }
  return samples;
}
