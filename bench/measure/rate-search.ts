/** Finds the highest rate of packets at which hardly any is lost. The packets are the caller's. */

/** One try: packets sent at a steady rate for some time, and how many of them arrived. */
export type Trial = {
  /** Asked for, packets a second; 0: as fast as the sender could. */
  readonly rate: number;
  readonly sent: number;
  readonly received: number;
  /** That the sender took. */
  readonly seconds: number;
};

export type RateFound = {
  /** Delivered, packets a second, in the best trial that lost no more than allowed; 0 where there was none. */
  readonly packetsPerSecond: number;
  /** True: the sender could not send faster, the way might have carried more. */
  readonly senderLimited: boolean;
  readonly trials: readonly Trial[];
};

export type SearchOptions = {
  readonly startRate: number;
  readonly trialSeconds: number;
  readonly confirmSeconds: number;
};

export const LOSS_MAX = 0.01;
/** A sender that reaches less of the rate asked for cannot reach it. */
const PACE_MIN = 0.97;
/** Bounds nearer to each other than this are good enough. */
const PRECISION = 1.05;
/** Of the first step; the next ones grow by it, up to the largest. Searches begin near to where the last one ended. */
const STEP_FIRST = 1.25;
const STEP_MAX = 2;
const REPEAT_LOSS_MAX = 0.1;
const STEPS_MAX = 20;
const CONFIRMATIONS_MAX = 6;

export function lossOf({ sent, received }: Trial): number {
  return sent === 0 ? 1 : 1 - received / sent;
}

const passes = (trial: Trial): boolean => lossOf(trial) <= LOSS_MAX;
/** The last packet may have been due just after the end. */
const keptPace = (trial: Trial): boolean => trial.sent + 1 >= trial.rate * trial.seconds * PACE_MIN;

/**
 * Widens from the start rate by growing steps until one bound passes and the other fails, halves the interval (on a
 * logarithmic scale), then confirms the lower bound with a longer trial, going down, faster and faster, while that
 * fails. A trial that fails by little, or in which the sender was too slow, is repeated once: the machine may have been
 * busy with something else.
 */
export async function searchRate(
  { startRate, trialSeconds, confirmSeconds }: SearchOptions,
  tryRate: (rate: number, seconds: number) => Promise<Trial>,
): Promise<RateFound> {
  const trials: Trial[] = [];
  const attempt = async (rate: number, seconds: number): Promise<Trial> => {
    const first = await tryRate(rate, seconds);
    trials.push(first);
    if (passes(first) ? keptPace(first) : lossOf(first) > REPEAT_LOSS_MAX) return first;
    const second = await tryRate(rate, seconds);
    trials.push(second);
    return passes(first) && (!passes(second) || first.sent > second.sent) ? first : second;
  };
  const { low: found, senderLimited } = await bracket(startRate, (rate) => attempt(rate, trialSeconds));
  let low = found;
  for (let failures = 0; low !== undefined && failures < CONFIRMATIONS_MAX; failures++) {
    const trial = await attempt(low, confirmSeconds);
    if (passes(trial)) {
      // Once it had to go down, it is the way that limits.
      const limited = senderLimited && failures === 0;
      return { packetsPerSecond: trial.received / trial.seconds, senderLimited: limited, trials };
    }
    low /= PRECISION ** (failures + 1);
  }
  return { packetsPerSecond: 0, senderLimited: false, trials };
}

type Bracket = { readonly low: number | undefined; readonly senderLimited: boolean };

/** The highest rate that passed, near to one that failed or that the sender does not reach. */
async function bracket(startRate: number, attempt: (rate: number) => Promise<Trial>): Promise<Bracket> {
  let low: number | undefined;
  let high: number | undefined;
  let senderLimited = false;
  let rate = startRate;
  let factor = STEP_FIRST;
  for (let step = 0; step < STEPS_MAX && rate >= 1; step++) {
    const trial = await attempt(rate);
    if (!passes(trial)) {
      high = rate;
      senderLimited = false;
    } else if (keptPace(trial)) {
      low = rate;
    } else {
      // What it reached got through. It may have been held up, so the search goes on between that and what was asked.
      low = Math.max(low ?? 0, trial.sent / trial.seconds);
      high = rate;
      senderLimited = true;
    }
    if (low !== undefined && high !== undefined && high / low <= PRECISION) break;
    if (high === undefined) rate *= factor;
    else if (low === undefined) rate /= factor;
    else rate = Math.sqrt(low * high);
    factor = Math.min(STEP_MAX, factor * STEP_FIRST);
  }
  return { low, senderLimited };
}
