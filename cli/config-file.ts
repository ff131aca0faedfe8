/** YAML files that an operator writes. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { OverlayError } from '../overlay/errors.ts';

/** The content of a file as an object; an empty file is an empty one. */
export function readYaml(path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parse(readFileSync(path, 'utf8')) as unknown;
  } catch (error) {
    throw new OverlayError('BAD_CONFIG', `${path} cannot be read: ${firstLine(error)}; correct it and try again.`);
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new OverlayError('BAD_CONFIG', `${path} is no table of fields; see docs/reference.md.`);
  }
  return value as Record<string, unknown>;
}

function firstLine(error: unknown): string {
  return ((error as Error).message.split('\n')[0] ?? '').replace(/[.:]$/, '');
}
