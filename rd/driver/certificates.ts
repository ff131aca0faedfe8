/** Checks the certificates by which peers prove for which virtual node they speak. */
import { createHash, X509Certificate } from 'node:crypto';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { type CertificateClaims, parseClaims } from '../../overlay/om-api.ts';
import { serialOf } from '../../overlay/revocation-list.ts';
import type { CertificateCheck } from '../core/io.ts';
import { fingerprintOf } from './identity.ts';

const CACHE_MAX = 4096;

type Checked = {
  readonly claims: CertificateClaims;
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  readonly serial: string;
};

export class CertificateVerifier {
  /** By CA and certificate; a refusal is not remembered, so nobody can fill the table with rubbish. */
  readonly #checked = new Map<string, Checked>();

  /**
   * `key`: SHA-256 of the public key that the association has proven. `revoked`: serial numbers. `wall`: milliseconds
   * since 1970. The end of a certificate is taken exactly; its beginning lies CLOCK_SKEW_MS of the overlay manager before
   * it was made, so that a clock may be slow by so much.
   */
  check(
    certificate: Uint8Array,
    caPem: string,
    key: string,
    wall: number,
    revoked: ReadonlySet<string>,
  ): CertificateCheck {
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
    if (checked.key !== key) return fail('CERTIFICATE_REFUSED', 'The certificate has another key.');
    const { claims, serial, until } = checked;
    if (revoked.has(serial)) return fail('CERTIFICATE_REVOKED');
    return ok({ ...claims, certificate: { serial, msLeft: until - wall } });
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
    return ok({ claims, key: fingerprintOf(parsed.publicKey), serial: serialOf(parsed), ...times });
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
