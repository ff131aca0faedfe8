/** A policy's YAML: its values, and for each where it stands. */
import type { ValueError } from '@sinclair/typebox/errors';
import { Value } from '@sinclair/typebox/value';
import { isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { PolicyFile } from './policy-schema.ts';
import { nearest, type Place, type Problems, quoted } from './problems.ts';

/** Longest policy file, characters; long lists belong into files of their own. */
export const POLICY_TEXT_MAX = 4 * 1024 * 1024;

export type Path = readonly (string | number)[];

export class PolicyDocument {
  readonly #file: string;
  readonly #lines = new LineCounter();
  readonly #document: ReturnType<typeof parseDocument>;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      version: '1.2',
      logLevel: 'error',
    });
  }

  /** The value, checked against the schema; undefined if there are errors, which are told. */
  read(problems: Problems): PolicyFile | undefined {
    for (const error of this.#document.errors) problems.error(this.#at(error.pos[0]), yamlAdvice(error.message));
    if (problems.failed) return undefined;
    let value: unknown;
    try {
      value = this.#document.toJS({ maxAliasCount: 100 }) as unknown;
    } catch {
      problems.error(this.#at(0), 'Aliases stand for too much; write it out, or put long lists into files.');
      return undefined;
    }
    for (const error of Value.Errors(PolicyFile, value ?? {})) this.#complain(error, problems);
    return problems.failed ? undefined : (value as PolicyFile);
  }

  /** Where the value at this path begins; of one that is missing, what it should be in. */
  place(path: Path): Place {
    for (let length = path.length; length >= 0; length--) {
      const node = this.#document.getIn(path.slice(0, length), true) as Node | undefined;
      if (node?.range) return this.#at(node.range[0]);
    }
    return this.#at(0);
  }

  /** Where the name of the field at this path stands. */
  placeOfKey(path: Path): Place {
    const parent = path.length > 1 ? this.#document.getIn(path.slice(0, -1), true) : this.#document.contents;
    const key = path.at(-1);
    const pair = isMap(parent)
      ? parent.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key))
      : undefined;
    const range = isScalar(pair?.key) ? pair.key.range : undefined;
    return range ? this.#at(range[0]) : this.place(path);
  }

  #at(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  /** `wanted` is how to write the value of which this one is a part. */
  #complain(error: ValueError, problems: Problems, wanted = 'another value'): void {
    const path = pathOf(error.path);
    const field = nameOf(path);
    const { schema, message } = error;
    const properties = schema['properties'] as object | undefined;
    if (properties === undefined || !message.startsWith('Unexpected property')) {
      if (message.startsWith('Expected required property')) {
        return problems.error(this.place(path.slice(0, -1)), `${field} is missing; give ${wantedOf(schema, wanted)}.`);
      }
      // A field that is missing is told twice, the second time for the type of nothing.
      if (error.value === undefined) return;
      const nested = unionError(error);
      if (nested !== undefined) return this.#complain(nested, problems, wantedOf(schema, wanted));
      return problems.error(this.place(path), `${field}: give ${wantedOf(schema, wanted)}.`);
    }
    const known = Object.keys(properties);
    const near = nearest(String(path.at(-1)), known);
    const advice = near === undefined ? `there are ${known.join(', ')}.` : `do you mean ${quoted(near)}?`;
    const name = quoted(String(path.at(-1)));
    problems.error(this.placeOfKey(path), `There is no field ${name} in ${nameOf(path.slice(0, -1))}; ${advice}`);
  }
}

/** Of a choice between forms: what is wrong inside the one that has the value's type, if there is one. */
function unionError({ schema, value, errors }: ValueError): ValueError | undefined {
  if (schema['anyOf'] === undefined || typeof value !== 'object' || value === null) return undefined;
  const lists = errors.map((iterator) => [...iterator]);
  return lists.find((list) => list.length > 0 && list.every((error) => error.value !== value))?.[0];
}

function wantedOf(schema: Readonly<Record<string, unknown>>, otherwise: string): string {
  if (typeof schema['wanted'] === 'string') return schema['wanted'];
  if (schema['type'] === 'object') {
    return `fields below it: ${Object.keys(schema['properties'] ?? {}).join(', ')}`;
  }
  return otherwise;
}

function pathOf(pointer: string): (string | number)[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/** 'rules[2].when.file'; rules are counted from 1, as people do. */
export function nameOf(path: Path): string {
  if (path.length === 0) return 'the policy';
  return path.map((part, i) => (typeof part === 'number' ? `[${part + 1}]` : i === 0 ? part : `.${part}`)).join('');
}

function yamlAdvice(message: string): string {
  const first = (message.split('\n')[0] ?? '').replace(/[.:]$/, '');
  return `This is not YAML: ${first}; correct it, or put the text in quotes.`;
}
