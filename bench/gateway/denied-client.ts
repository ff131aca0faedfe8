/** One client is denied and comes back as fast as it can; what the other one gets, with the connection cache and without. */
import { setTimeout } from 'node:timers/promises';
import { run } from '../../cli/demo/namespaces.ts';
import { OverlayError } from '../../overlay/errors.ts';
import { toolPath } from '../lab/tool.ts';
import { timed } from '../measure/processor.ts';
import { writePolicy } from './configurations.ts';
import { addressOf, type Design } from './network.ts';
import { startNode } from './nodes.ts';
import { CONNECTIONS, gbitsOf, newHome, type Place } from './throughput.ts';

/** The denied client's at a time. */
export const RETRIES = 1000;
/** How long the denied client waits for an answer before it tries from another port: until TCP would repeat its SYN. */
export const PATIENCE_MS = 1000;

/**
 * The denied client begins so much earlier than the other one: its first attempts all set out before any of them has been
 * denied, which happens once and not again.
 */
export const HEAD_START_S = 2;

/** The denied client's attempts, by how they ended. */
type Retries = {
  readonly refused: number;
  readonly unanswered: number;
  readonly answered: number;
  readonly seconds: number;
};

export type DeniedSample = {
  readonly round: number;
  readonly cache: boolean;
  readonly design: Design;
  readonly gbitsPerSecond: number;
  readonly retries: Retries;
  /** Of the gateway's process, seconds for each gigabit of the other client. */
  readonly gatewayPerGbit: number;
};

async function retry({ network }: Place, design: Design, seconds: number): Promise<Retries> {
  const to = `${addressOf('s1', design)}:80`;
  const args = [to, '/part-1.bin', String(RETRIES), String(PATIENCE_MS), String(seconds)];
  const { code, stdout, stderr } = await run(network.within('c2', [toolPath('http_retry'), ...args]));
  if (code !== 0) throw new OverlayError('SYSTEM', `http_retry failed: ${stderr.trim()}.`);
  const retries = JSON.parse(stdout) as Retries;
  if (retries.answered > 0) throw new OverlayError('SYSTEM', `The denied client got ${retries.answered} answers.`);
  return retries;
}

export async function measureDenied(
  place: Place,
  round: number,
  design: Design,
  cache: boolean,
  seconds: number,
): Promise<DeniedSample> {
  const policy = writePolicy({
    configuration: 'filter',
    directory: newHome(place),
    clamd: place.clamd,
    denied: { from: addressOf('c2', design), denyFor: cache ? '10m' : '0s' },
  });
  const node = await startNode(place.network, design, { policy });
  try {
    const retrying = retry(place, design, HEAD_START_S + seconds);
    const fetching = setTimeout(HEAD_START_S * 1000).then(() =>
      timed(node.pids, () => place.web.fetch('c1', 's1', design, 'part-N.bin', CONNECTIONS, seconds)),
    );
    const [[allowed, time], retries] = await Promise.all([fetching, retrying]);
    const gbits = (allowed.bytes * 8) / 1e9;
    const gatewayPerGbit = time.daemonSeconds / gbits;
    return { round, cache, design, gbitsPerSecond: gbitsOf([allowed]), retries, gatewayPerGbit };
  } finally {
    await node.stop();
  }
}
