/** An operating error is a value: code from the one table, and a sentence that says what to do. */
import type { ErrorCode } from '../errors.ts';

export type Ok<T> = { readonly ok: true; readonly value: T };
export type Failure = { readonly ok: false; readonly code: ErrorCode; readonly message: string };
export type Result<T> = Ok<T> | Failure;

export function ok(): Ok<void>;
export function ok<T>(value: T): Ok<T>;
export function ok(value?: unknown): Ok<unknown> {
  return { ok: true, value };
}
