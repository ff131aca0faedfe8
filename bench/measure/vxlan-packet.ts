/** UDP packets in VXLAN (RFC 7348), as a traffic generator sends them to a tunnel's end. */
import { isIPv6 } from 'node:net';
import { parseAddress } from '../../overlay/addresses.ts';
import { parseMac } from '../lab/transit.ts';

const VXLAN_BYTES = 8;
const ETHERNET_BYTES = 14;
const UDP_BYTES = 8;
const HOP_LIMIT = 64;
const UDP_PROTOCOL = 17;
const PORT = 9;

export type InnerPacket = {
  readonly vni: number;
  readonly fromMac: string;
  readonly toMac: string;
  readonly from: string;
  readonly to: string;
  /** Of the inner IP packet, bytes. */
  readonly size: number;
};

/** Sum of RFC 1071 over an even number of bytes. */
export function internetChecksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new RangeError(`${text} is no address`);
  return bytes;
}

function ipv4Header({ from, to, size }: InnerPacket): Uint8Array {
  const header = new Uint8Array(20);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, size);
  view.setUint8(8, HOP_LIMIT);
  view.setUint8(9, UDP_PROTOCOL);
  header.set(addressBytes(from), 12);
  header.set(addressBytes(to), 16);
  view.setUint16(10, internetChecksum(header));
  return header;
}

function ipv6Header({ from, to, size }: InnerPacket): Uint8Array {
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, size - header.length);
  view.setUint8(6, UDP_PROTOCOL);
  view.setUint8(7, HOP_LIMIT);
  header.set(addressBytes(from), 8);
  header.set(addressBytes(to), 24);
  return header;
}

/**
 * The outer UDP payload, and where the inner payload begins in it. The inner UDP checksum is zero: nobody on the way
 * looks at it.
 */
export function vxlanPacket(inner: InnerPacket): { readonly bytes: Uint8Array; readonly payloadOffset: number } {
  const isVersion6 = isIPv6(inner.to);
  const header = isVersion6 ? ipv6Header(inner) : ipv4Header(inner);
  const bytes = new Uint8Array(VXLAN_BYTES + ETHERNET_BYTES + inner.size);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 0x08);
  view.setUint32(4, inner.vni * 256);
  bytes.set(parseMac(inner.toMac), VXLAN_BYTES);
  bytes.set(parseMac(inner.fromMac), VXLAN_BYTES + 6);
  view.setUint16(VXLAN_BYTES + 12, isVersion6 ? 0x86dd : 0x0800);
  const ipOffset = VXLAN_BYTES + ETHERNET_BYTES;
  bytes.set(header, ipOffset);
  const udpOffset = ipOffset + header.length;
  view.setUint16(udpOffset, PORT);
  view.setUint16(udpOffset + 2, PORT);
  view.setUint16(udpOffset + 4, inner.size - header.length);
  return { bytes, payloadOffset: udpOffset + UDP_BYTES };
}
