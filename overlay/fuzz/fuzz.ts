/** The fuzzing loop: mutate a seed, run it, keep what took a new path. */
import { below, seededRng } from '../lib/rng.ts';
import { mutate } from './mutate.ts';
import type { FuzzTarget } from './targets.ts';

export type FuzzOutcome = {
  readonly runs: number;
  readonly paths: number;
  readonly failure?: { readonly input: Uint8Array; readonly error: string };
};

/** The clock is asked only once in so many inputs. */
const BATCH = 256;
const CORPUS_MAX = 4096;

export function fuzz(target: FuzzTarget, seed: number, goOn: () => boolean): FuzzOutcome {
  const rng = seededRng(seed);
  const corpus = [...target.seeds];
  const paths = new Set<string>();
  let runs = 0;
  do {
    for (let i = 0; i < BATCH; i++) {
      const pick = (): Uint8Array => corpus[below(rng, corpus.length)] as Uint8Array;
      const input = runs < target.seeds.length ? (target.seeds[runs] as Uint8Array) : mutate(pick(), pick(), rng);
      runs++;
      try {
        const path = target.run(input);
        if (!paths.has(path)) {
          paths.add(path);
          if (corpus.length < CORPUS_MAX) corpus.push(input);
        }
      } catch (error) {
        return { runs, paths: paths.size, failure: { input, error: String(error) } };
      }
    }
  } while (goOn());
  return { runs, paths: paths.size };
}
