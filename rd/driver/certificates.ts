/** Checks the certificates by which peers prove for which virtual node they speak. */
import { createHash, X509Certificate } from 'node:crypto';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { type CertificateClaims, parseClaims } from '../../overlay/om-api.ts';
import type { CertificateCheck } from '../core/io.ts';
import { fingerprintOf } from './identity.ts';

const CACHE_MAX = 4096;

type Checked = {
  readonly claims: CertificateClaims;
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
};

export class CertificateVerifier {
  /** By CA and certificate; a refusal is not remembered, so nobody can fill the table with rubbish. */
  readonly #checked = new Map<string, Checked>();

  /** `key`: SHA-256 of the public key that the association has proven. `wall`: milliseconds since 1970. */
  check(certificate: Uint8Array, caPem: string, key: string, wall: number): CertificateCheck {
    const name = createHash('sha256').update(caPem).update(certificate).digest('base64');
    let checked = this.#checked.get(name);
    if (checked === undefined) {
      const verified = verify(certificate, caPem);
      if (!verified.ok) return verified;
      checked = verified.value;
      if (this.#checked.size >= CACHE_MAX) this.#checked.clear();
      this.#checked.set(name, checked);
    }
    if (wall < checked.from || wall > checked.until) {
      return fail('CERTIFICATE_REFUSED', 'The certificate is not valid at this time.');
    }
    return checked.key === key ? ok(checked.claims) : fail('CERTIFICATE_REFUSED', 'The certificate has another key.');
  }
}

function verify(certificate: Uint8Array, caPem: string): Result<Checked> {
  try {
    const parsed = new X509Certificate(certificate);
    const ca = new X509Certificate(caPem);
    if (!parsed.checkIssued(ca) || !parsed.verify(ca.publicKey)) {
      return fail('CERTIFICATE_REFUSED', 'The certificate is from another authority.');
    }
    const claims = claimsOf(parsed);
    if (claims === undefined) return fail('CERTIFICATE_REFUSED', 'The certificate names no node.');
    const times = { from: parsed.validFromDate.getTime(), until: parsed.validToDate.getTime() };
    return ok({ claims, key: fingerprintOf(parsed.publicKey), ...times });
  } catch {
    return fail('CERTIFICATE_REFUSED', 'The certificate cannot be read.');
  }
}

/** The one claim among the alternative names; quoted by Node where it contains a comma. */
export function claimsOf(certificate: X509Certificate): CertificateClaims | undefined {
  for (const [, quoted, plain] of (certificate.subjectAltName ?? '').matchAll(/URI:(?:("(?:[^"\\]|\\.)*")|([^,]*))/g)) {
    const claims = parseClaims(quoted === undefined ? (plain ?? '') : String(JSON.parse(quoted)));
    if (claims !== undefined) return claims;
  }
  return undefined;
}
