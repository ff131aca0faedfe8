/** Randomness is an argument of every core. Secrets never come from here: they come from the system's generator. */

export interface Rng {
  /** Uniform in [0, 2^32). */
  uint32(): number;
}

/** Deterministic generator (SplitMix32): the same seed gives the same sequence on every machine. */
export function seededRng(seed: number): Rng {
  let state = seed >>> 0;
  return {
    uint32() {
      state = (state + 0x9e3779b9) >>> 0;
      let mixed = state;
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    },
  };
}

/** Uniform in [0, 1). */
export function fraction(rng: Rng): number {
  return rng.uint32() / 2 ** 32;
}

/** Uniform integer in [0, bound); bound in 1..2^32. */
export function below(rng: Rng, bound: number): number {
  return Math.floor(fraction(rng) * bound);
}

/** `ms` spread uniformly over [0.5, 1.5) of itself, so that nodes started together do not stay in step. */
export function jittered(rng: Rng, ms: number): number {
  return ms * (0.5 + fraction(rng));
}
