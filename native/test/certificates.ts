/** Certificates for tests: an authority that lives as long as the test, and what it issues. */
import * as x509 from '../../overlay/lib/x509.ts';
import { CIPHERS, type Credential } from '../index.ts';

export type TestCa = { readonly pem: string; issue(commonName: string): Promise<Omit<Credential, 'serverName'>> };

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate authority that lives as long as the test. */
export async function makeCa(): Promise<TestCa> {
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=test CA',
    ...validity,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  const caPem = ca.toString('pem');
  let next = 1;
  return {
    pem: caPem,
    async issue(commonName) {
      next += 1;
      const own = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: next.toString(16).padStart(2, '0'),
        subject: `CN=${commonName}`,
        issuer: ca.subject,
        ...validity,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
        ],
      });
      const pkcs8 = await crypto.subtle.exportKey('pkcs8', own.privateKey);
      return {
        certificatePem: certificate.toString('pem'),
        privateKeyPem: x509.formatPem('PRIVATE KEY', new Uint8Array(pkcs8)),
        caPem,
        ciphers: CIPHERS,
        rekeySeconds: 3600,
        crlPem: null,
      };
    },
  };
}
