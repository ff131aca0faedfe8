/** The certificates under which this daemon answers for VIs: one for each VI, of any of its nodes here. */
import type { DataPlane } from '../../native/index.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { Membership } from './files.ts';
import type { Revocations } from './revocations.ts';

export class Credentials {
  readonly #plane: () => DataPlane;
  readonly #privateKeyPem: string;
  readonly #revocations: Pick<Revocations, 'pemOf'>;
  readonly #nodes = new Map<unknown, Membership>();

  constructor(plane: () => DataPlane, privateKeyPem: string, revocations: Pick<Revocations, 'pemOf'>) {
    this.#plane = plane;
    this.#privateKeyPem = privateKeyPem;
    this.#revocations = revocations;
  }

  /** Uses the certificate of this node, and a new one in place of its old one. */
  add(node: object, membership: Membership): Result<void> {
    this.#nodes.set(node, membership);
    return this.#set(membership);
  }

  /** Another node's certificate takes over where the VI has one here. */
  remove(node: object): void {
    const membership = this.#nodes.get(node);
    if (membership === undefined) return;
    this.#nodes.delete(node);
    const heir = [...this.#nodes.values()].find((other) => other.vi.id === membership.vi.id);
    if (heir === undefined) this.#plane().removeCredential(membership.vi.id);
    else this.#set(heir);
  }

  /** After a change of what the CA has revoked: once for each VI under it. */
  refresh(caPem: string): Result<void> {
    const current = new Map<string, Membership>();
    for (const membership of this.#nodes.values())
      if (membership.ca === caPem) current.set(membership.vi.id, membership);
    for (const membership of current.values()) {
      const set = this.#set(membership);
      if (!set.ok) return set;
    }
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
