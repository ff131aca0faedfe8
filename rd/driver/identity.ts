/** The key of this resource daemon, and what is made of it. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { KEY_BYTES } from '../core/contact.ts';
import type { DataDirectory } from './files.ts';

const KEY_FILE = 'key.pem';

export type RdIdentity = {
  /** PKCS#8, PEM. */
  readonly privateKeyPem: string;
  /** As in contacts. */
  readonly fingerprint: string;
};

/** The key of the data directory, made there at the first start: EC, P-256. It never leaves this machine. */
export function loadIdentity(data: DataDirectory): Result<RdIdentity> {
  try {
    let privateKeyPem = data.read(KEY_FILE);
    if (privateKeyPem === undefined) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
      const written = data.write(KEY_FILE, privateKeyPem);
      if (!written.ok) return written;
    }
    const fingerprint = shortFingerprint(createPublicKey(createPrivateKey(privateKeyPem)));
    return ok({ privateKeyPem, fingerprint });
  } catch (error) {
    return fail('SYSTEM', `The key ${KEY_FILE} of the data directory cannot be used: ${(error as Error).message}.`);
  }
}

/** SHA-256 of the public key (SPKI, DER), hexadecimal. */
export function fingerprintOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** Its first 16 bytes, as in contacts. */
export function shortFingerprint(publicKey: KeyObject): string {
  return fingerprintOf(publicKey).slice(0, KEY_BYTES * 2);
}

/** A certificate request, PEM. What makes it is loaded only here: it is large, and wanted only when joining. */
export async function createRequest(privateKeyPem: string, name: string): Promise<string> {
  const { createCsr } = await import('../../overlay/node-key.ts');
  return createCsr(privateKeyPem, name);
}

/** SHA-256 of a PEM certificate's DER, hexadecimal, as invitations have it of the CA. */
export function certificateFingerprint(pem: string): string {
  return createHash('sha256').update(pemToDer(pem)).digest('hex');
}

/** The DER inside a PEM certificate. */
export function pemToDer(pem: string): Uint8Array {
  const base64 = pem.replace(/-----[^-]+-----/g, '');
  return Uint8Array.from(Buffer.from(base64, 'base64'));
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}
