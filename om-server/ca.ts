/** The overlay manager's certificate authority: its own certificate, the server's, and those of the nodes. */
import {
  createHash,
  createPrivateKey,
  KeyObject,
  X509Certificate as NodeX509,
  randomBytes,
  type webcrypto,
} from 'node:crypto';
import { join } from 'node:path';
import { fail } from '../overlay/errors.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  formatPem,
  KEY_ALGORITHM,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SIGNING_ALGORITHM,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '../overlay/lib/x509.ts';
import { type CertificateClaims, formatClaims, OM_SERVER_NAME } from '../overlay/om-api.ts';
import { formatRevocationList, type Revocation } from '../overlay/revocation-list.ts';
import { FILES, readIfExists, writeSafely } from './files.ts';

const DAY_MS = 86_400_000;
const CA_DAYS = 20 * 365;
const SERVER_DAYS = 365;
const SERVER_RENEW_DAYS = 30;
/** Clocks of nodes may be behind by this much, milliseconds. */
export const CLOCK_SKEW_MS = 300_000;
const SERIAL_BYTES = 16;
/** Largest node certificate, bytes of DER: it must fit into one datagram of a DTLS handshake. */
export const NODE_CERTIFICATE_BYTES_MAX = 799;

const NO_CA = new BasicConstraintsExtension(false, undefined, true);
const BOTH_SIDES = new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth, ExtendedKeyUsage.serverAuth]);

/**
 * A revocation list may be used as long as any certificate of its time is valid: nodes that cannot reach the overlay
 * manager go on with the last one they have, and OpenSSL refuses everybody by a list that has expired.
 */
const LIST_DAYS = 3650;

export type NodeCertificate = {
  readonly pem: string;
  /** Hexadecimal, as revocation lists have it. */
  readonly serial: string;
  readonly expiresAt: number;
};

export type NodeCertificateRequest = {
  readonly claims: CertificateClaims;
  readonly ipv6: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** Lifetime; may be a fraction. */
  readonly days: number;
};

export class Authority {
  readonly pem: string;
  readonly certificate: NodeX509;
  /** SHA-256 of the DER. */
  readonly fingerprint: Uint8Array;
  readonly #issuer: X509Certificate;
  readonly #key: webcrypto.CryptoKey;
  readonly #certificateDays: number | undefined;

  private constructor(pem: string, key: webcrypto.CryptoKey, certificateDays: number | undefined) {
    this.pem = pem;
    this.certificate = new NodeX509(pem);
    this.fingerprint = Uint8Array.from(createHash('sha256').update(this.certificate.raw).digest());
    this.#issuer = new X509Certificate(pem);
    this.#key = key;
    this.#certificateDays = certificateDays;
  }

  /** Reads the authority from the directory, or makes it there. `certificateDays` goes before what is asked for. */
  static async open(data: string, wall: number, certificateDays?: number): Promise<Authority> {
    const keyPem = readIfExists(join(data, FILES.caKey));
    const pem = readIfExists(join(data, FILES.ca));
    // The key is written first: a certificate without it cannot be there, a key without it is one of a broken start.
    if (keyPem !== undefined && pem !== undefined) return new Authority(pem, await importKey(keyPem), certificateDays);
    const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: `CN=p2pxbone CA ${randomBytes(4).toString('hex')}`,
      keys,
      signingAlgorithm: SIGNING_ALGORITHM,
      serialNumber: newSerial(),
      ...validity(wall, CA_DAYS),
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const made = formatPem('CERTIFICATE', new Uint8Array(certificate.rawData));
    writeSafely(join(data, FILES.caKey), await exportKey(keys.privateKey));
    writeSafely(join(data, FILES.ca), made);
    return new Authority(made, keys.privateKey, certificateDays);
  }

  /**
   * The server's certificate, followed by the CA's so that a joiner can check the fingerprint, and its key, both PEM. Made
   * anew if it ends soon or lacks one of the names.
   */
  async server(data: string, names: readonly ServerName[], wall: number): Promise<{ cert: string; key: string }> {
    const key = readIfExists(join(data, FILES.serverKey));
    const cert = readIfExists(join(data, FILES.server));
    if (key !== undefined && cert !== undefined && this.#serves(cert, key, names, wall))
      return { cert: cert + this.pem, key };
    const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
    const alternatives = names.map(({ type, value }) => ({ type, value }));
    const made = await this.#sign({
      subject: 'CN=p2pxbone overlay manager',
      publicKey: keys.publicKey,
      ...validity(wall, SERVER_DAYS),
      extensions: [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension([{ type: 'dns', value: OM_SERVER_NAME }, ...alternatives]),
      ],
    });
    const fresh = { cert: formatPem('CERTIFICATE', made), key: await exportKey(keys.privateKey) };
    writeSafely(join(data, FILES.serverKey), fresh.key);
    writeSafely(join(data, FILES.server), fresh.cert);
    return { cert: fresh.cert + this.pem, key: fresh.key };
  }

  #serves(certPem: string, keyPem: string, names: readonly ServerName[], wall: number): boolean {
    try {
      const certificate = new NodeX509(certPem);
      const covers = ({ type, value }: ServerName): boolean =>
        (type === 'ip' ? certificate.checkIP(value) : certificate.checkHost(value)) !== undefined;
      return (
        certificate.verify(this.certificate.publicKey) &&
        certificate.checkPrivateKey(createPrivateKey(keyPem)) &&
        certificate.validToDate.getTime() - wall > SERVER_RENEW_DAYS * DAY_MS &&
        names.every(covers)
      );
    } catch {
      return false;
    }
  }

  /** LIMIT_REACHED where name and groups make the certificate too large. */
  async issue(request: NodeCertificateRequest, wall: number): Promise<Result<NodeCertificate>> {
    const { claims, ipv6, publicKey, days } = request;
    const { notBefore, notAfter } = validity(wall, this.#certificateDays ?? days);
    const serialNumber = newSerial();
    const der = await this.#sign({
      subject: `CN=${claims.name}`,
      serialNumber,
      publicKey: await crypto.subtle.importKey('spki', Uint8Array.from(publicKey), KEY_ALGORITHM, true, ['verify']),
      notBefore,
      notAfter,
      extensions: [
        BOTH_SIDES,
        new SubjectAlternativeNameExtension([
          { type: 'url', value: formatClaims(claims) },
          { type: 'ip', value: claims.ipv4 },
          { type: 'ip', value: ipv6 },
        ]),
      ],
    });
    if (der.length > NODE_CERTIFICATE_BYTES_MAX) {
      const limit = `${der.length} bytes, of at most ${NODE_CERTIFICATE_BYTES_MAX}`;
      return fail(
        'LIMIT_REACHED',
        `With these groups the node’s certificate has ${limit}; give fewer groups or shorter names.`,
      );
    }
    return ok({ pem: formatPem('CERTIFICATE', der), serial: serialNumber, expiresAt: notAfter.getTime() });
  }

  /** The revocation list of that number, PEM. */
  async revocationList(number: number, issuedAt: number, revocations: readonly Revocation[]): Promise<string> {
    const identifier = await AuthorityKeyIdentifierExtension.create(await this.#issuer.publicKey.export());
    const signer = {
      issuer: new Uint8Array(this.#issuer.subjectName.toArrayBuffer()),
      authorityKeyIdentifier: new Uint8Array(identifier.rawData),
      key: KeyObject.from(this.#key),
    };
    const usableUntil = issuedAt + LIST_DAYS * DAY_MS;
    return formatRevocationList({ number, issuedAt: issuedAt - CLOCK_SKEW_MS, usableUntil, revocations }, signer);
  }

  async #sign(params: {
    subject: string;
    serialNumber?: string;
    publicKey: webcrypto.CryptoKey;
    notBefore: Date;
    notAfter: Date;
    extensions: Extension[];
  }): Promise<Uint8Array> {
    const certificate = await X509CertificateGenerator.create({
      serialNumber: newSerial(),
      ...params,
      issuer: this.#issuer.subjectName,
      signingKey: this.#key,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        NO_CA,
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        await AuthorityKeyIdentifierExtension.create(await this.#issuer.publicKey.export()),
        ...params.extensions,
      ],
    });
    return new Uint8Array(certificate.rawData);
  }
}

export type ServerName = { readonly type: 'dns' | 'ip'; readonly value: string };

/** The public key (SubjectPublicKeyInfo, DER) of a request that its owner signed; BAD_ARGUMENT for anything else. */
export async function keyOfCsr(pem: string): Promise<Result<Uint8Array>> {
  const bad = fail('BAD_ARGUMENT', 'csr: give a PKCS#10 request, PEM, with an EC P-256 key that signed it.');
  try {
    const request = new Pkcs10CertificateRequest(pem);
    const { name, namedCurve } = request.publicKey.algorithm as { name: string; namedCurve?: string };
    if (!name.startsWith('EC') || namedCurve !== KEY_ALGORITHM.namedCurve) return bad;
    if (!(await request.verify())) return bad;
    // Importing it checks that the point lies on the curve; exporting gives the one encoding that we compare.
    const key = await request.publicKey.export(KEY_ALGORITHM, ['verify']);
    return ok(new Uint8Array(await crypto.subtle.exportKey('spki', key)));
  } catch {
    return bad;
  }
}

function validity(wall: number, days: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(wall - CLOCK_SKEW_MS), notAfter: new Date(wall + days * DAY_MS) };
}

/** Positive, and without a leading zero that the encoding would have to drop. */
function newSerial(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial.toString('hex');
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return formatPem('PRIVATE KEY', new Uint8Array(await crypto.subtle.exportKey('pkcs8', key)));
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return crypto.subtle.importKey('pkcs8', Uint8Array.from(der), KEY_ALGORITHM, true, ['sign']);
}
