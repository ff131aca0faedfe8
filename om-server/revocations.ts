/** The revocation list that nodes fetch: signed when it is first asked for after a change, then kept. */
import type { RevocationAnswer } from '../overlay/om-api.ts';
import type { Authority } from './ca.ts';
import type { Certificates } from './store/certificates.ts';

export class Revocations {
  readonly #authority: Authority;
  readonly #certificates: Certificates;
  #signed: { readonly number: number; readonly list: Promise<string> } | undefined;

  constructor(authority: Authority, certificates: Certificates) {
    this.#authority = authority;
    this.#certificates = certificates;
  }

  get number(): number {
    return this.#certificates.number;
  }

  /** An empty list where nothing was ever revoked. */
  async current(): Promise<RevocationAnswer> {
    const { number } = this.#certificates;
    if (this.#signed?.number !== number) {
      const { issuedAt, revocations } = this.#certificates.list();
      const signed = { number, list: this.#authority.revocationList(number, issuedAt, revocations) };
      this.#signed = signed;
      // One that could not be signed is not kept: the next caller tries anew.
      signed.list.catch(() => {
        if (this.#signed === signed) this.#signed = undefined;
      });
      return { number, list: await signed.list };
    }
    return { number, list: await this.#signed.list };
  }
}
