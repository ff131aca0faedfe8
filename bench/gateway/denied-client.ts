/** One client is denied and comes back as fast as it can; what the other one gets, with the connection cache and without. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addressOf, type Design } from './network.ts';
import { startNode } from './nodes.ts';
import { gbitsOf, newHome, type Place } from './throughput.ts';

const CONNECTIONS = 100;

export type DeniedSample = {
  readonly round: number;
  readonly cache: boolean;
  readonly design: Design;
  readonly gbitsPerSecond: number;
  /** Connections of the denied client that failed, per second. */
  readonly retries: number;
};

export async function measureDenied(
  place: Place,
  round: number,
  design: Design,
  cache: boolean,
  seconds: number,
): Promise<DeniedSample> {
  const policy = join(newHome(place), 'policy.yaml');
  const denied = addressOf('c2', design);
  writeFileSync(
    policy,
    `policy: p2pxbone gateway, format 1
connectionCache: {denyFor: ${cache ? '10m' : '0s'}}
rules:
  - {name: no web for the second, when: {from: "${denied}", application: http}, do: reject}
  - {name: no songs, when: {file: {name: ["*.mp3"]}}, do: reject}
`,
  );
  const node = await startNode(place.network, design, { policy });
  try {
    const [allowed, refused] = await Promise.all([
      place.web.fetch('c1', 's1', design, 'part-N.bin', CONNECTIONS, seconds),
      place.web.fetch('c2', 's1', design, 'part-N.bin', CONNECTIONS, seconds),
    ]);
    return { round, cache, design, gbitsPerSecond: gbitsOf([allowed]), retries: refused.errors / refused.seconds };
  } finally {
    await node.stop();
  }
}
