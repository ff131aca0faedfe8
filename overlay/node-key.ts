/** The key of a virtual node and the request for its certificate; the key never leaves the machine that made it. */
import type { webcrypto } from 'node:crypto';
import { formatPem, KEY_ALGORITHM, Pkcs10CertificateRequestGenerator, SIGNING_ALGORITHM } from './lib/x509.ts';

export type NodeKey = {
  /** PKCS#8, PEM. A secret: store it with mode 0600. */
  readonly keyPem: string;
  /** PKCS#10, PEM, for JoinRequest.csr. */
  readonly csrPem: string;
};

/** A fresh EC P-256 key, and a request signed by it. Only the key of the request matters to the overlay manager. */
export async function createNodeKey(name: string): Promise<NodeKey> {
  const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { keyPem: formatPem('PRIVATE KEY', pkcs8), csrPem: await requestOf(keys, name) };
}

/** A new request for a key made earlier, so that a join can be repeated. */
export async function createCsr(keyPem: string, name: string): Promise<string> {
  const pkcs8 = Buffer.from(keyPem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const privateKey = await crypto.subtle.importKey('pkcs8', pkcs8, KEY_ALGORITHM, true, ['sign']);
  const { d: _secret, key_ops: _uses, ...publicJwk } = await crypto.subtle.exportKey('jwk', privateKey);
  const publicKey = await crypto.subtle.importKey('jwk', publicJwk, KEY_ALGORITHM, true, ['verify']);
  return requestOf({ privateKey, publicKey }, name);
}

async function requestOf(keys: webcrypto.CryptoKeyPair, name: string): Promise<string> {
  const signingAlgorithm = SIGNING_ALGORITHM;
  const request = await Pkcs10CertificateRequestGenerator.create({ name: `CN=${name}`, keys, signingAlgorithm });
  return formatPem('CERTIFICATE REQUEST', new Uint8Array(request.rawData));
}
