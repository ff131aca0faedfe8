/** Times of the week. */
import { type Compilation, several, unknownName } from './compilation.ts';
import type { TimeWindow } from './compiled-policy.ts';
import type { Path } from './policy-document.ts';
import type { Time } from './policy-schema.ts';
import { quoted } from './problems.ts';
import { parseTimeOfDay } from './quantities.ts';
import { DAYS } from './vocabulary.ts';

const ALL_DAYS = 0x7f;

export class Times {
  readonly table: (readonly TimeWindow[])[] = [];
  readonly #compilation: Compilation;
  readonly #numbers = new Map<string, number>();

  constructor(compilation: Compilation) {
    this.#compilation = compilation;
    for (const [name, value] of Object.entries(compilation.policy.times ?? {})) {
      const path = ['times', name];
      const windows = several(value).map((time, i) => this.#windowOf(time, Array.isArray(value) ? [...path, i] : path));
      this.#numbers.set(name, this.table.push(windows) - 1);
    }
  }

  numbersOf(value: string | readonly string[], path: Path): number[] {
    const { document, problems } = this.#compilation;
    return several(value).flatMap((name, i) => {
      const number = this.#numbers.get(name);
      if (number !== undefined) return [number];
      const place = document.place(Array.isArray(value) ? [...path, i] : path);
      unknownName(problems, place, 'entry in times', name, [...this.#numbers.keys()]);
      return [];
    });
  }

  #windowOf(time: Time, path: Path): TimeWindow {
    const days = (time.days ?? []).reduce((mask, day) => mask | (1 << DAYS.indexOf(day)), 0);
    const from = this.#minutes(time.from ?? '00:00', [...path, 'from']);
    const to = this.#minutes(time.to ?? '24:00', [...path, 'to']);
    if (from === to) {
      const place = this.#compilation.document.place(path);
      this.#compilation.problems.error(place, "It begins when it ends; leave 'from' and 'to' away for the whole day.");
    }
    return { utc: time.zone === 'utc', days: days === 0 ? ALL_DAYS : days, from, to };
  }

  #minutes(text: string, path: Path): number {
    const minutes = parseTimeOfDay(text);
    const isStart = path.at(-1) === 'from';
    if (minutes !== undefined && !(isStart && minutes === 1440)) return minutes;
    const { document, problems } = this.#compilation;
    problems.error(document.place(path), `${quoted(text)} is no time of day; write it as "08:00", with quotes.`);
    return isStart ? 0 : 1440;
  }
}
