/** Requests for a small file of one client, while the files of another are scanned, and while they are not. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OverlayError } from '../../overlay/errors.ts';
import { addressOf } from './network.ts';
import { startNode } from './nodes.ts';
import { newHome, type Place } from './throughput.ts';
import type { Load } from './web.ts';

/** Of the client whose files are scanned, so that neither the processors nor clamd are what the small ones wait for. */
const RATE = 200e6;
const CONNECTIONS = 8;

export type ScanWaitSample = {
  readonly round: number;
  readonly scans: boolean;
  readonly small: Load;
  readonly large: Load;
  /** Files that clamd has looked at. */
  readonly scanned: number;
};

export async function measureScanWait(
  place: Place,
  round: number,
  scans: boolean,
  seconds: number,
): Promise<ScanWaitSample> {
  const policy = join(newHome(place), 'policy.yaml');
  const action = scans ? 'scan' : 'accept';
  writeFileSync(
    policy,
    `policy: p2pxbone gateway, format 1
scan: {socket: ${place.clamd}}
rules:
  - {name: files of the first, when: {from: ${addressOf('c1', 'embedded')}, file: {}}, do: ${action}}
  - {name: songs, when: {file: {name: ["*.mp3"]}}, do: reject}
`,
  );
  const shapes = { s1: { out: null, in: { rateBitsPerSecond: RATE, queueBytes: 4_000_000 } } };
  const node = await startNode(place.network, 'embedded', { policy, shapes });
  try {
    const [small, large] = await Promise.all([
      place.web.fetch('c2', 's2', 'embedded', 'small.html', 1, seconds),
      place.web.fetch('c1', 's1', 'embedded', 'part-N.bin', CONNECTIONS, seconds),
    ]);
    const { statistics } = await node.stop();
    const scanned = statistics?.scanner?.files ?? 0;
    if (scans !== scanned > 0) throw new OverlayError('SYSTEM', `clamd has looked at ${scanned} files.`);
    const errors = small.errors + large.errors;
    if (errors > 0) throw new OverlayError('SYSTEM', `${errors} requests failed; nothing can be said of the others.`);
    return { round, scans, small, large, scanned };
  } finally {
    await node.stop();
  }
}
