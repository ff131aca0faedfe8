/** What the calls have in common: the schemas of their answers, and failures as answers. */
import { type TSchema, Type } from '@sinclair/typebox';
import { OverlayError } from '../../overlay/errors.ts';
import type { Result } from '../../overlay/lib/result.ts';
import { ApiError } from '../../overlay/om-api.ts';

type Answers<T extends TSchema, Status extends number> = Record<Status, T> & {
  '4xx': typeof ApiError;
  '5xx': typeof ApiError;
};

/** The answers of a call: this one, or an error. */
export function answers<T extends TSchema>(schema: T): Answers<T, 200>;
export function answers<T extends TSchema, Status extends number>(schema: T, status: Status): Answers<T, Status>;
export function answers(schema: TSchema, status = 200): Record<string, TSchema> {
  return { [status]: schema, '4xx': ApiError, '5xx': ApiError };
}

export const NoContent = Type.Null({ description: 'Done' });

/** The value; a failure becomes the answer of the call. */
export function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new OverlayError(result.code, result.message);
  return result.value;
}
