/** The certificates under which this daemon answers for VIs: one for each VI, of any of its nodes here. */
import { X509Certificate } from 'node:crypto';
import type { DataPlane } from '../../native/index.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { serialOf } from '../../overlay/revocation-list.ts';
import type { Membership } from './files.ts';
import type { Revocations } from './revocations.ts';

export class Credentials {
  readonly #plane: () => DataPlane;
  readonly #privateKeyPem: string;
  readonly #revocations: Pick<Revocations, 'pemOf' | 'serialsOf'>;
  readonly #nodes = new Map<unknown, Membership>();

  constructor(plane: () => DataPlane, privateKeyPem: string, revocations: Pick<Revocations, 'pemOf' | 'serialsOf'>) {
    this.#plane = plane;
    this.#privateKeyPem = privateKeyPem;
    this.#revocations = revocations;
  }

  /** The certificate of this node may be used, in place of its old one. */
  add(node: object, membership: Membership): Result<void> {
    this.#nodes.set(node, membership);
    return this.#use(membership.vi.id);
  }

  /** Another node's certificate takes over where the VI has one here. */
  remove(node: object): void {
    const membership = this.#nodes.get(node);
    if (membership === undefined) return;
    this.#nodes.delete(node);
    this.#use(membership.vi.id);
  }

  /** After a change of what the CA has revoked: once for each VI under it. */
  refresh(caPem: string): Result<void> {
    const vis = new Set([...this.#nodes.values()].filter(({ ca }) => ca === caPem).map(({ vi }) => vi.id));
    for (const vi of vis) {
      const used = this.#use(vi);
      if (!used.ok) return used;
    }
    return ok();
  }

  /** Of the VI's certificates here the one that is not revoked and lasts longest. */
  #use(vi: string): Result<void> {
    const candidates = [...this.#nodes.values()]
      .filter((membership) => membership.vi.id === vi)
      .map((membership) => {
        const certificate = new X509Certificate(membership.certificate);
        const isRevoked = this.#revocations.serialsOf(membership.ca).has(serialOf(certificate));
        return { membership, isRevoked, until: certificate.validToDate.getTime() };
      })
      .sort((a, b) => Number(a.isRevoked) - Number(b.isRevoked) || b.until - a.until);
    const [best] = candidates;
    if (best !== undefined) return this.#set(best.membership);
    this.#plane().removeCredential(vi);
    return ok();
  }

  #set({ vi, certificate, ca }: Membership): Result<void> {
    return this.#plane().setCredential({
      serverName: vi.id,
      certificatePem: certificate,
      privateKeyPem: this.#privateKeyPem,
      caPem: ca,
      ciphers: vi.definition.security.ciphers,
      rekeySeconds: vi.definition.security.rekeySeconds,
      crlPem: this.#revocations.pemOf(ca),
    });
  }
}
