/** What native code writes is what the schema says: the golden file holds records of every kind, written by native tests. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TObject, TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Value } from '@sinclair/typebox/value';
import { DROP_REASONS } from '../../../native/reasons.ts';
import { AUDIT_RECORDS, type AuditEvent, AuditRecord } from '../audit-record.ts';

type Json = Readonly<Record<string, unknown>>;

const lines = readFileSync(new URL('golden/audit-records.jsonl', import.meta.url), 'utf8')
  .split('\n')
  .slice(0, -1);
const records = lines.map((line) => JSON.parse(line) as Json & { readonly event_type: AuditEvent });
const events = Object.keys(AUDIT_RECORDS) as AuditEvent[];

function sample(event: AuditEvent): Json {
  return records.findLast((record) => record.event_type === event) as Json;
}

test('every record that native code writes is what the schema says', () => {
  const check = TypeCompiler.Compile(AuditRecord);
  for (const record of records) {
    const [error] = Value.Errors(AUDIT_RECORDS[record.event_type], record);
    assert.equal(error, undefined, `${error?.path}: ${error?.message} in ${JSON.stringify(record)}`);
    assert.ok(check.Check(record));
  }
});

test('every event, field and word of the schema occurs', () => {
  const missing: string[] = [];
  const actions = new Set<string>();
  const visit = (schema: TSchema, values: readonly unknown[], path: string): void => {
    if (values.length === 0) missing.push(path);
    const words = ((schema['anyOf'] ?? []) as { const: string }[]).map((option) => option.const);
    // A decision is written by the same code wherever it stands.
    if (path.endsWith('.action')) for (const value of values) actions.add(String(value));
    else missing.push(...words.filter((word) => !values.includes(word)).map((word) => `${path} = ${word}`));
    for (const [name, field] of Object.entries((schema['properties'] ?? {}) as Record<string, TSchema>)) {
      visit(field, valuesOf(values as Json[], name), `${path}.${name}`);
    }
  };
  const valuesOf = (all: readonly Json[], name: string): unknown[] =>
    all.map((value) => value[name]).filter((value) => value !== undefined);
  for (const event of events) {
    const { properties } = AUDIT_RECORDS[event] as TObject;
    for (const [name, field] of Object.entries(properties)) {
      const own = name === event || name === 'metadata';
      visit(field, valuesOf(own ? records.filter((record) => record.event_type === event) : records, name), name);
    }
  }
  assert.deepEqual(missing, []);
  assert.deepEqual(actions, new Set(['accept', 'drop', 'redirect', 'reject']));
  assert.deepEqual(new Set(valuesOf(records, 'event_type')), new Set(events));
});

test('what the schema does not say is refused', () => {
  for (const event of events) {
    const good: Json = sample(event);
    const own = good[event] as Json;
    const bad: Json[] = [
      { ...good, surprise: 1 },
      { ...good, timestamp: '2026-11-22' },
      { ...good, event_type: 'flows' },
      { ...good, [event]: undefined },
      { ...good, [event]: { ...own, surprise: true } },
    ];
    // Last, because a check that succeeds narrows the type.
    assert.ok(Value.Check(AuditRecord, good), event);
    for (const record of bad) assert.ok(!Value.Check(AuditRecord, record), JSON.stringify(record));
  }
});

test('reasons are those that are documented', () => {
  const reasons = lines.flatMap((line) => [...line.matchAll(/"reason":"(gateway\w+)"/g)].map(([, reason]) => reason));
  assert.ok(reasons.length > 5);
  for (const reason of reasons) assert.ok(String(reason) in DROP_REASONS, reason);
});

test('hostile texts stay one line, in their field, and harmless to look at', () => {
  for (const line of lines) assert.doesNotMatch(line, /[\p{Cc}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{feff}]/u);
  const texts = records.flatMap((record) => {
    const { text, from } = (record['chat'] ?? {}) as { text?: string; from?: string };
    return from === 'alice' && text !== undefined ? [text] : [];
  });
  assert.equal(texts.length, 4);
  for (const text of texts) assert.equal(text, '"}\n{"a\\\u001b[2J\ufffd\u009b \u202egpj.exe\ufeff\ufffd \u{1f3b5}');
});
