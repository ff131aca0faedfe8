/** Time is an argument of every core; this is where daemons get it. The only file that may read the system's clocks. */

/** Monotonic, milliseconds, origin unspecified. */
export type Millis = number & { readonly __brand: 'Millis' };

export interface Clock {
  /** Monotonic milliseconds, for timers and ages. */
  now(): Millis;
  /** Milliseconds since 1970, for expiry dates, incarnations and logs. */
  wall(): number;
}

export const systemClock: Clock = {
  now: () => performance.now() as Millis,
  wall: () => Date.now(),
};

/** The instant `ms` milliseconds after `instant`. */
export function after(instant: Millis, ms: number): Millis {
  return (instant + ms) as Millis;
}
