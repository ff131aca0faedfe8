/**
 * How a message to or from the address server is authenticated over UDP and TCP. The secret belongs to one certificate
 * of a node, and the serial number of that certificate names it:
 *
 *   direction and version (1 byte) | serial number (16) | message | HMAC-SHA-256 of all that, first half (16)
 *
 * Nothing is encrypted: which pairs a node has is no secret.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';

/** Other values of the first byte are other versions, and are dropped. */
const FIRST_BYTE = { request: 0x11, answer: 0x21 } as const;
export type SealDirection = keyof typeof FIRST_BYTE;

export const SEAL_SERIAL_BYTES = 16;
export const SEAL_SECRET_BYTES = 32;
const MAC_BYTES = 16;
const HEADER_BYTES = 1 + SEAL_SERIAL_BYTES;
export const SEAL_BYTES: number = HEADER_BYTES + MAC_BYTES;

/** `secret`: SEAL_SECRET_BYTES. */
export function sealKey(secret: Uint8Array): KeyObject {
  if (secret.length !== SEAL_SECRET_BYTES) throw new RangeError(`a secret has ${SEAL_SECRET_BYTES} bytes`);
  return createSecretKey(secret);
}

/** `serial`: 32 hexadecimal digits, as certificates have it. */
export function sealMessage(direction: SealDirection, serial: string, key: KeyObject, message: Uint8Array): Uint8Array {
  const sealed = Buffer.allocUnsafe(SEAL_BYTES + message.length);
  sealed[0] = FIRST_BYTE[direction];
  if (sealed.write(serial, 1, SEAL_SERIAL_BYTES, 'hex') !== SEAL_SERIAL_BYTES)
    throw new RangeError('a serial is short');
  sealed.set(message, HEADER_BYTES);
  const end = HEADER_BYTES + message.length;
  sealed.set(macOf(key, sealed.subarray(0, end)), end);
  return sealed;
}

/** Whose secret it claims to be sealed with; undefined for what is not sealed in this direction. */
export function serialOfSealed(direction: SealDirection, sealed: Uint8Array): string | undefined {
  if (sealed.length <= SEAL_BYTES || sealed[0] !== FIRST_BYTE[direction]) return undefined;
  return viewOf(sealed).toString('hex', 1, HEADER_BYTES);
}

/** The message; undefined unless it was sealed with this key. Valid as long as `sealed` is. */
export function openSealed(key: KeyObject, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length <= SEAL_BYTES) return undefined;
  const end = sealed.length - MAC_BYTES;
  if (!timingSafeEqual(macOf(key, sealed.subarray(0, end)), sealed.subarray(end))) return undefined;
  return sealed.subarray(HEADER_BYTES, end);
}

function macOf(key: KeyObject, bytes: Uint8Array): Uint8Array {
  return createHmac('sha256', key).update(bytes).digest().subarray(0, MAC_BYTES);
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
