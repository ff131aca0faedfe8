/**
 * X.509 v2 revocation lists (RFC 5280 §5) of an overlay manager's CA: written by it, read by resource daemons. The
 * certificate library is too slow for long lists.
 */
import { type KeyObject, sign, verify, X509Certificate } from 'node:crypto';
import { bitString, DerReader, integer, octetString, sequence, TAG, tagged, time, timeOf } from './der.ts';
import { fail } from './errors.ts';
import { ok, type Result } from './lib/result.ts';

/** Certificates that one list may name. */
export const REVOCATIONS_MAX = 100_000;
/** Largest list, bytes of PEM: REVOCATIONS_MAX entries and what stands around them. */
export const REVOCATION_LIST_BYTES_MAX = 8 * 1024 * 1024;
/** Of a serial number, bytes (RFC 5280 §4.1.2.2). */
const SERIAL_BYTES_MAX = 20;

/** A certificate that is not to be accepted any more, and since when. */
export type Revocation = {
  /** Hexadecimal, lower case, without leading zeros. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly revokedAt: number;
};

export type RevocationList = {
  /** Grows with each list of a CA. */
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly serials: ReadonlySet<string>;
  readonly pem: string;
};

export type NewRevocationList = {
  readonly number: number;
  readonly issuedAt: number;
  /** Until when verifiers of all kinds may go on with it. */
  readonly usableUntil: number;
  readonly revocations: readonly Revocation[];
};

const ECDSA_WITH_SHA256 = sequence(Uint8Array.of(0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2));
const CRL_NUMBER = Uint8Array.of(0x06, 3, 0x55, 0x1d, 0x14);
const VERSION_2 = integer(1);
const LABEL = 'X509 CRL';

/** A CA as the writer of its lists needs it. */
export type ListSigner = {
  /** Its name, DER. */
  readonly issuer: Uint8Array;
  /** Its extension authorityKeyIdentifier, DER. */
  readonly authorityKeyIdentifier: Uint8Array;
  readonly key: KeyObject;
};

/** PEM. */
export function formatRevocationList(list: NewRevocationList, signer: ListSigner): string {
  const entries = list.revocations.map(({ serial, revokedAt }) => sequence(integer(serial), time(revokedAt)));
  const number = sequence(CRL_NUMBER, octetString(integer(list.number)));
  const parts = [VERSION_2, ECDSA_WITH_SHA256, signer.issuer, time(list.issuedAt), time(list.usableUntil)];
  // An empty list is left out.
  if (entries.length > 0) parts.push(sequence(...entries));
  const body = sequence(...parts, tagged(0, sequence(signer.authorityKeyIdentifier, number)));
  const signature = sign('sha256', body, signer.key);
  return pemOf(sequence(body, ECDSA_WITH_SHA256, bitString(signature)));
}

/** BAD_MESSAGE for what is no list, CERTIFICATE_REFUSED for one that this CA did not sign. */
export function parseRevocationList(pem: string, caPem: string): Result<RevocationList> {
  if (pem.length > REVOCATION_LIST_BYTES_MAX) return fail('BAD_MESSAGE', 'The revocation list is too long.');
  const der = derOf(pem);
  if (der === undefined) return fail('BAD_MESSAGE', 'The revocation list is no PEM.');
  try {
    const whole = new DerReader(der);
    const list = whole.enter(TAG.sequence);
    whole.end();
    const body = list.raw(TAG.sequence);
    expectAlgorithm(list);
    const signature = list.take(TAG.bitString);
    list.end();
    if (signature[0] !== 0) throw new RangeError('unused bits');
    const { publicKey } = new X509Certificate(caPem);
    if (!verify('sha256', body, publicKey, signature.subarray(1))) {
      return fail('CERTIFICATE_REFUSED', 'The revocation list is not signed by the CA of this VI.');
    }
    const parsed = parseRevocationBody(body);
    return parsed.ok ? ok({ ...parsed.value, pem }) : parsed;
  } catch (error) {
    return fail('BAD_MESSAGE', `The revocation list cannot be read (${(error as Error).message}).`);
  }
}

/** What the CA has signed, DER. BAD_MESSAGE for what is no list. */
export function parseRevocationBody(der: Uint8Array): Result<Omit<RevocationList, 'pem'>> {
  try {
    const outer = new DerReader(der);
    const body = parseBody(outer.enter(TAG.sequence));
    outer.end();
    return ok(body);
  } catch (error) {
    return fail('BAD_MESSAGE', `The revocation list cannot be read (${(error as Error).message}).`);
  }
}

function parseBody(body: DerReader): Omit<RevocationList, 'pem'> {
  if (body.integer() !== '1') throw new RangeError('another version');
  expectAlgorithm(body);
  body.take(TAG.sequence);
  const issuedAt = timeOf(body);
  if (body.isTime()) timeOf(body);
  const serials = body.is(TAG.sequence) ? parseEntries(body.enter(TAG.sequence)) : new Set<string>();
  const number = parseNumber(body.enter(TAG.context0).enter(TAG.sequence));
  body.end();
  return { number, issuedAt, serials };
}

function parseEntries(entries: DerReader): Set<string> {
  const serials = new Set<string>();
  while (!entries.isAtEnd()) {
    if (serials.size >= REVOCATIONS_MAX) throw new RangeError('too many entries');
    const entry = entries.enter(TAG.sequence);
    const serial = entry.integer(SERIAL_BYTES_MAX);
    timeOf(entry);
    // Whatever else it says of the certificate, it is revoked.
    if (entry.is(TAG.sequence)) entry.take(TAG.sequence);
    entry.end();
    serials.add(serial);
  }
  return serials;
}

/** The list's number. An extension that is critical could change what the list means, and we know none. */
function parseNumber(extensions: DerReader): number {
  let number: number | undefined;
  while (!extensions.isAtEnd()) {
    const extension = extensions.enter(TAG.sequence);
    const name = extension.raw(TAG.objectIdentifier);
    if (extension.is(TAG.boolean)) throw new RangeError('a critical extension');
    const value = new DerReader(extension.take(TAG.octetString));
    extension.end();
    if (Buffer.compare(name, CRL_NUMBER) !== 0) continue;
    number = Number.parseInt(value.integer(), 16);
    value.end();
  }
  if (number === undefined || !Number.isSafeInteger(number)) throw new RangeError('no number');
  return number;
}

function expectAlgorithm(reader: DerReader): void {
  if (Buffer.compare(reader.raw(TAG.sequence), ECDSA_WITH_SHA256) !== 0) throw new RangeError('another algorithm');
}

/** As lists have it. */
export function serialOf(certificate: X509Certificate | Uint8Array | string): string {
  const parsed = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate);
  return normalSerial(parsed.serialNumber);
}

function normalSerial(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '');
}

const BEGIN = `-----BEGIN ${LABEL}-----\n`;
const END = `-----END ${LABEL}-----\n`;

function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `${BEGIN}${lines.join('\n')}\n${END}`;
}

function derOf(pem: string): Uint8Array | undefined {
  if (!pem.startsWith(BEGIN) || !pem.endsWith(END)) return undefined;
  const base64 = pem.slice(BEGIN.length, -END.length);
  return /^[A-Za-z0-9+/=\n]+$/.test(base64) ? Uint8Array.from(Buffer.from(base64, 'base64')) : undefined;
}
