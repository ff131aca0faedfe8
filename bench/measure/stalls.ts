/** How long nothing came through, from a steady probe and from throughput in short intervals. */

/** Instants of the answers in the output of `ping -D`, seconds since 1970. */
export function parseAnswerTimes(text: string): readonly number[] {
  return [...text.matchAll(/^\[(\d+\.\d+)\] \d+ bytes from/gm)].map(([, seconds]) => Number(seconds));
}

/** Longest time between two answers that follow each other, seconds; Infinity where there are less than two. */
export function longestGap(instants: readonly number[]): number {
  if (instants.length < 2) return Infinity;
  return Math.max(...instants.slice(1).map((instant, i) => instant - (instants[i] ?? instant)));
}

/** Longest run of intervals in which nothing arrived, in seconds. */
export function longestSilence(bytes: readonly number[], intervalSeconds: number): number {
  let longest = 0;
  let current = 0;
  for (const count of bytes) {
    current = count === 0 ? current + 1 : 0;
    longest = Math.max(longest, current);
  }
  return longest * intervalSeconds;
}
