import type { TunnelSecurity } from '../../overlay/messages/control.ts';
import { type RdOptions, scopeOf, titleOf, valueOf } from '../command.ts';
import { formatBytes, formatDuration, print, printJson, table } from '../output.ts';
import { askRd, runDirectory } from '../rd-client.ts';
import { endpoint, securityText } from './status.ts';

export async function run(options: RdOptions): Promise<void> {
  const question = { t: 'tunnels', ...scopeOf(options) } as const;
  const { nodes } = valueOf(await askRd(runDirectory(options.run), question, 'tunnels'));
  if (options.json) return printJson({ nodes });
  if (nodes.length === 0) return print("No virtual node runs here; join a VI with 'p2pxbone join INVITATION'.");
  for (const node of nodes) {
    if (nodes.length > 1) print(titleOf(node));
    print(
      table(
        [
          'PEER',
          'STATE',
          'USED AS',
          'ENDPOINT',
          'LOCAL',
          'REMOTE',
          'SECURITY',
          'CIPHER',
          'KEYS',
          'RTT ms',
          'MTU',
          'IN',
          'OUT',
          'AGE',
        ],
        node.tunnels.map((tunnel) => [
          `${tunnel.peerName} ${tunnel.peerIpv4}`,
          tunnel.state,
          tunnel.uses.join(', ') || (tunnel.heldByPeer ? 'by peer' : '-'),
          tunnel.endpoint === null ? '-' : endpoint(tunnel.endpoint),
          tunnel.local,
          tunnel.remote,
          ...securityCells(tunnel.security),
          tunnel.rttMs === null ? '-' : tunnel.rttMs.toFixed(1),
          String(tunnel.mtu),
          formatBytes(tunnel.bytesIn),
          formatBytes(tunnel.bytesOut),
          formatDuration(tunnel.ageMs),
        ]),
      ),
    );
  }
}

/** Secure or plain and why, the cipher, the age of the keys. */
function securityCells(security: TunnelSecurity | null): [string, string, string] {
  if (security === null) return ['-', '-', '-'];
  const { cipher, keysAgeMs } = security;
  return [securityText(security), cipher ?? '-', keysAgeMs === null ? '-' : formatDuration(keysAgeMs)];
}
