/** A transfer over a path that loses packets, with out-of-order packets held back until they are in order, and let go at once. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../overlay/lib/clock.ts';
import { mustRun } from '../lab/lab.ts';
import { addressOf, type CongestionControl } from './network.ts';
import { startNode } from './nodes.ts';
import { newHome, type Place } from './throughput.ts';

const CONNECTIONS = 50;
const SECONDS_MAX = 900;

export type FastPassSample = {
  readonly round: number;
  readonly fastPass: boolean;
  /** Of the server. */
  readonly control: CongestionControl;
  /** Of the data packets, before the gateway. */
  readonly loss: number;
  /** One way, from the server. */
  readonly delayMs: number;
  readonly bytes: number;
  readonly seconds: number;
};

export type FastPassTrial = Pick<FastPassSample, 'fastPass' | 'control' | 'loss' | 'delayMs'> & {
  readonly megabytes: number;
};

/** In so many connections at once, all files of the same size. */
export async function measureFastPass(place: Place, round: number, trial: FastPassTrial): Promise<FastPassSample> {
  const { fastPass, control, loss, delayMs, megabytes } = trial;
  await place.network.setCongestionControl(control);
  const policy = join(newHome(place), 'policy.yaml');
  const rules = 'rules: [{name: songs, when: {file: {name: ["*.mp3"]}}, do: reject}]';
  writeFileSync(policy, `policy: p2pxbone gateway, format 1\nfastPass: ${fastPass}\n${rules}\n`);
  const way = { delayMs, loss, rateBitsPerSecond: 1e9, queueBytes: 20_000_000 };
  const node = await startNode(place.network, 'embedded', { policy, shapes: { s1: { out: null, in: way } } });
  try {
    const name = `large-${megabytes / CONNECTIONS}`;
    const bytes = place.web.file(name, (megabytes * 1e6) / CONNECTIONS);
    const url = `http://${addressOf('s1', 'embedded')}/${name}?[1-${CONNECTIONS}]`;
    const started = systemClock.now();
    await mustRun(
      place.network.at('c1'),
      ['curl', '-sS', '--parallel', '--parallel-immediate', '--parallel-max', String(CONNECTIONS)].concat(
        ['--max-time', String(SECONDS_MAX), '--fail', '-o', '/dev/null'],
        [url],
      ),
    );
    const seconds = (systemClock.now() - started) / 1000;
    return { round, fastPass, control, loss, delayMs, bytes: bytes * CONNECTIONS, seconds };
  } finally {
    await node.stop();
  }
}
