/** Classes of bandwidth: names resolved, parents in front of their children. */
import { type Compilation, unknownName } from './compilation.ts';
import type { LimitClass } from './compiled-policy.ts';
import type { Path } from './policy-document.ts';
import type { Limit } from './policy-schema.ts';
import { quoted } from './problems.ts';
import { parseRate, parseSize } from './quantities.ts';

/** Limits above each other; the shaper has these limits too. */
const DEPTH_MAX = 8;
const BURST_BYTES_MAX = 100_000_000;
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;

type Span = Pick<LimitClass, 'per' | 'way'>;

/** Whether all packets of one of the children belong to one of the parents. */
function fits(parent: Span, child: Span): boolean {
  const { per, way } = parent;
  const perFits =
    per === 'none' || per === child.per || (child.per === 'flow' && (per !== 'address' || child.way !== 'together'));
  const isSameWay = way === child.way && (per === 'address') === (child.per === 'address');
  const isWider = way === 'together' || (way === 'both' && child.per !== 'address' && child.way !== 'together');
  return perFits && (isSameWay || isWider || (per === 'address' && child.per !== 'address'));
}

export class Limits {
  readonly table: LimitClass[] = [];
  readonly #compilation: Compilation;
  /** Index + 1; 0 while its ancestors are looked at. */
  readonly #numbers = new Map<string, number>();

  constructor(compilation: Compilation) {
    this.#compilation = compilation;
    for (const name of Object.keys(this.#named)) this.#compile(name, ['limits', name]);
    if (!compilation.problems.failed) this.#warnOfPromises();
  }

  /** Index + 1, as rules and children name it. */
  numberOf(name: string, path: Path): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const { document, problems } = this.#compilation;
    unknownName(problems, document.place(path), 'limit', name, Object.keys(this.#named));
    return 0;
  }

  get #named(): Readonly<Record<string, Limit>> {
    return this.#compilation.policy.limits ?? {};
  }

  #compile(name: string, from: Path): number {
    const { document, problems } = this.#compilation;
    const known = this.#numbers.get(name);
    if (known === 0)
      problems.error(document.place(from), `The limit ${quoted(name)} is its own ancestor; give another parent.`);
    if (known !== undefined) return known;
    this.#numbers.set(name, 0);
    const limit = this.#named[name] as Limit;
    const path = ['limits', name];
    const { parent: parentName } = limit;
    const parentPath = [...path, 'parent'];
    const isKnown = parentName !== undefined && Object.hasOwn(this.#named, parentName);
    const parent =
      parentName === undefined
        ? 0
        : isKnown
          ? this.#compile(parentName, parentPath)
          : this.numberOf(parentName, parentPath);
    const rate = this.#rate(limit.rate, [...path, 'rate']);
    const ceiling = limit.ceiling === undefined ? rate : this.#rate(limit.ceiling, [...path, 'ceiling']);
    if (ceiling < rate) problems.error(document.place([...path, 'ceiling']), 'ceiling: give at least the rate.');
    const above = this.table[parent - 1];
    if (above !== undefined && ceiling > above.ceiling) {
      const place = document.place([...path, limit.ceiling === undefined ? 'rate' : 'ceiling']);
      problems.error(
        place,
        `${quoted(name)} may take more than the ceiling of its parent ${quoted(above.name)}; give less.`,
      );
    }
    const burst = this.#size(limit.burst, BURST_BYTES_MAX, [...path, 'burst']);
    const queue = this.#size(limit.queue, QUEUE_BYTES_MAX, [...path, 'queue']);
    const { per = 'none', way = 'both' } = limit;
    if (per === 'address' && way !== 'up' && way !== 'down') {
      problems.error(document.place([...path, 'per']), 'per: address goes with way: up or way: down; add one of them.');
    }
    if (above !== undefined && !fits(above, { per, way })) {
      const what = `Packets of one ${quoted(name)} would belong to several of its parent ${quoted(above.name)}`;
      problems.error(document.place(parentPath), `${what}; make the parent's per or way the wider one.`);
    }
    if (this.#depthOf(parent) >= DEPTH_MAX) {
      problems.error(
        document.place(parentPath),
        `There are ${DEPTH_MAX} limits above each other already; give another parent.`,
      );
    }
    const number = this.table.push({
      name,
      parent,
      rate,
      ceiling,
      per,
      way,
      burst,
      queue,
    });
    this.#numbers.set(name, number);
    return number;
  }

  /** Rates of children are assured only if the parent's is enough for all of them. */
  #warnOfPromises(): void {
    for (const [index, { name, rate }] of this.table.entries()) {
      const promised = this.table.filter(({ parent, per }) => parent === index + 1 && per === 'none');
      if (promised.reduce((sum, child) => sum + child.rate, 0) <= rate) continue;
      const { document, problems } = this.#compilation;
      const names = promised.map((child) => child.name).join(', ');
      problems.warn(
        document.place(['limits', name, 'rate']),
        `The children of ${quoted(name)} (${names}) are promised more than its rate; none is assured of its own.`,
      );
    }
  }

  #rate(text: string, path: Path): number {
    const rate = parseRate(text);
    if (rate !== undefined) return rate;
    const { document, problems } = this.#compilation;
    problems.error(
      document.place(path),
      `${quoted(text)} is no rate; write it as '20 Mbit/s', from 8 kbit/s to 100 Gbit/s.`,
    );
    return 8000;
  }

  #depthOf(number: number): number {
    const limit = this.table[number - 1];
    return limit === undefined ? 0 : 1 + this.#depthOf(limit.parent);
  }

  #size(text: string | undefined, most: number, path: Path): number {
    if (text === undefined) return 0;
    const size = parseSize(text);
    if (size !== undefined && size >= 1500 && size <= most) return size;
    const { document, problems } = this.#compilation;
    problems.error(document.place(path), `${quoted(text)} is no size from 1500 B to ${most} B; write it as '64 kB'.`);
    return 0;
  }
}
