/** The virtual Internet of the forwarding benchmark, and starting its transit node. */
import { fileURLToPath } from 'node:url';
import type { Endpoint } from '../../native/index.ts';
import { Listener } from './tool.ts';

export const VI = {
  id: 'bench',
  vni: 4711,
  ipv4Prefix: '10.77.0.0/16',
  ipv6Prefix: 'fd12:3456:789a:1::/64',
  transitIpv4: '10.77.0.3',
  transitIpv6: 'fd12:3456:789a:1::1',
} as const;

/** Entries in the transit node's ring table: its successors and fingers in a ring of a few thousand nodes. */
export const RING_RANGES = 16;

export type Neighbour = { readonly peer: Endpoint; readonly mac: string };
export type TransitOptions = {
  readonly listen: Endpoint;
  readonly mac: string;
  readonly from: Neighbour;
  readonly to: Neighbour;
};

const FILE = fileURLToPath(new URL('transit-node.ts', import.meta.url));

export function startTransit(namespace: string, options: TransitOptions): Promise<Listener> {
  return Listener.start(namespace, [process.execPath, FILE, JSON.stringify(options)]);
}

/** "02:00:00:00:00:01". */
export function parseMac(text: string): Uint8Array {
  return Uint8Array.from(text.split(':').map((byte) => Number.parseInt(byte, 16)));
}
