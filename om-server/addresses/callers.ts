/** Who asks the address server: from the serial number of a certificate to a node, its counter and its share of time. */
import type { KeyObject } from 'node:crypto';
import { openSealed, sealKey, serialOfSealed } from '../../overlay/address-seal.ts';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { Certificates } from '../store/certificates.ts';
import type { Lessee } from '../store/leases.ts';
import type { Vis } from '../store/vis.ts';
import type { Secrets } from './secrets.ts';

/** Certificates whose key is kept ready; one more costs the oldest of them its place, and that one a little time. */
export const CALLERS_MAX = 100_000;

/** A certificate in whose name somebody has asked who holds its secret or its private key. */
export type Caller = {
  readonly serial: string;
  readonly key: KeyObject;
  /** The node, as it was when `losses` was the certificates' count of losses. */
  standing: Result<Lessee>;
  losses: number;
  expiresAt: number;
};

export class Callers {
  readonly #secrets: Secrets;
  readonly #certificates: Certificates;
  readonly #vis: Vis;
  readonly #known = new Map<string, Caller>();

  constructor(secrets: Secrets, certificates: Certificates, vis: Vis) {
    this.#secrets = secrets;
    this.#certificates = certificates;
    this.#vis = vis;
  }

  /** The sender of a sealed request and what it says; undefined for what nobody sealed who was given a secret. */
  open(sealed: Uint8Array): { readonly caller: Caller; readonly message: Uint8Array } | undefined {
    const serial = serialOfSealed('request', sealed);
    if (serial === undefined) return undefined;
    const caller = this.#known.get(serial) ?? this.#callerOf(serial);
    const message = openSealed(caller.key, sealed);
    if (message === undefined) return undefined;
    // Only now, so that strangers cannot fill the table.
    this.#remember(caller);
    return { caller, message };
  }

  /** The holder of a certificate that TLS has checked. */
  ofCertificate(serial: string): Caller {
    const caller = this.#known.get(serial) ?? this.#callerOf(serial);
    this.#remember(caller);
    return caller;
  }

  /** The node that asks, if it may: NODE_REMOVED, or CERTIFICATE_REFUSED where the certificate has expired. */
  standing(caller: Caller, wall: number): Result<Lessee> {
    if (caller.losses !== this.#certificates.losses) this.#look(caller);
    if (!caller.standing.ok) return caller.standing;
    if (this.#vis.byId(caller.standing.value.vi.id) === undefined) return fail('NODE_REMOVED');
    return wall < caller.expiresAt ? caller.standing : fail('CERTIFICATE_REFUSED');
  }

  #callerOf(serial: string): Caller {
    const key = sealKey(this.#secrets.of(serial));
    return { serial, key, standing: fail('NODE_REMOVED'), losses: -1, expiresAt: 0 };
  }

  #remember(caller: Caller): void {
    if (this.#known.has(caller.serial)) return;
    const oldest = this.#known.size < CALLERS_MAX ? undefined : this.#known.keys().next().value;
    if (oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(caller.serial, caller);
  }

  #look(caller: Caller): void {
    const holder = this.#certificates.holder(caller.serial);
    const vi = holder === undefined ? undefined : this.#vis.byId(holder.vi);
    caller.losses = this.#certificates.losses;
    caller.expiresAt = holder?.expiresAt ?? 0;
    // A secret is given to holders of certificates only, so this one has been a node.
    caller.standing =
      holder === undefined || vi === undefined ? fail('NODE_REMOVED') : ok({ node: holder.node, vi: vi.config });
  }
}
