/** A fingerprint of all that happened, in its order: two runs with the same fingerprint were the same run. */

const view = new DataView(new ArrayBuffer(8));

export class Trace {
  #high = 0x811c9dc5;
  #low = 0x2f0b4c47;
  readonly #codes = new Map<string, number>();

  event(at: number, kind: number, node: number): void {
    view.setFloat64(0, at);
    this.#mix(view.getUint32(0));
    this.#mix(view.getUint32(4));
    this.#mix((kind << 24) ^ node);
  }

  /** A word that was said. */
  note(word: string): void {
    let code = this.#codes.get(word);
    if (code === undefined) {
      code = 7;
      for (let i = 0; i < word.length; i++) code = Math.imul(code, 31) + word.charCodeAt(i);
      this.#codes.set(word, code);
    }
    this.#mix(code);
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0');
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193);
    this.#low = Math.imul(this.#low ^ (value + (this.#high >>> 15)), 0x5bd1e995);
  }
}
