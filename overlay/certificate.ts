/** Reads the claims of a node certificate. Whether the CA signed it, and whether it is still valid, the TLS layer tells. */
import { SubjectAlternativeNameExtension, X509Certificate } from './lib/x509.ts';
import { type CertificateClaims, parseClaims } from './om-api.ts';

/** From DER or PEM; undefined if it is no certificate of a node. */
export function claimsOfCertificate(certificate: Uint8Array | string): CertificateClaims | undefined {
  try {
    const encoded = typeof certificate === 'string' ? certificate : Uint8Array.from(certificate);
    const names = new X509Certificate(encoded).getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
    const claims = names.filter(({ type }) => type === 'url').map(({ value }) => parseClaims(value));
    return claims.length === 1 ? claims[0] : undefined;
  } catch {
    return undefined;
  }
}
