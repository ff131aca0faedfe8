/** The names and numbers of policies are those of the native gateway's sources. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { USUAL_BOUNDS } from '../bounds.ts';
import {
  APPLICATION_ALIASES,
  APPLICATION_OWN_FIRST,
  APPLICATIONS,
  CHATTING,
  CONDITION_ACTIONS,
  CONDITIONS,
  FILE_KINDS,
  FILE_TYPES,
  FILELESS,
  functionsOf,
  HOSTED,
} from '../vocabulary.ts';
import { NOT_WORDS } from '../words.ts';

const GATEWAY = new URL('../../../native/gateway/', import.meta.url);

function source(path: string): string {
  return readFileSync(new URL(path, GATEWAY), 'utf8');
}

/** What stands between two texts of a source. */
function between(path: string, begin: string, end: string): string {
  const text = source(path);
  const start = text.indexOf(begin);
  assert.ok(start >= 0, `${path} has '${begin}'`);
  return text.slice(start + begin.length, text.indexOf(end, start + begin.length));
}

function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, first]) => first as string);
}

test('applications have the numbers of application.h', () => {
  const rows = [...between('application.h', 'enum class Application : uint16_t {', '};').matchAll(/(\w+) = (\d+),/g)];
  assert.deepEqual(
    rows.map(([, name, number]) => [name, Number(number)]),
    APPLICATIONS.map((name, number) => [name, number]),
  );
  assert.ok(source('application.h').includes(`kApplicationUserFirst = ${APPLICATION_OWN_FIRST};`));
});

test('other names of applications are those of signature_set.cpp', () => {
  const rows = [...between('signature_set.cpp', 'kAliases{{', '}};').matchAll(/\{"(\w+)", Application::(\w+)\}/g)];
  assert.deepEqual(Object.fromEntries(rows.map(([, alias, name]) => [alias, name])), APPLICATION_ALIASES);
});

test('functions are those of parsers/functions.cpp', () => {
  const pattern = /\{Application::(\w+), (\w+), (\w+), (\w+), (\w+), (\w+)\}/g;
  const rows = [...between('parsers/functions.cpp', 'kFunctions{{', '}};').matchAll(pattern)];
  assert.ok(rows.length > 10);
  const listed = new Map(rows.map(([, name, , filter, scan, audit]) => [name as string, { filter, scan, audit }]));
  for (const name of APPLICATIONS) {
    const { filter = 'false', scan = 'false', audit = 'false' } = listed.get(name) ?? {};
    assert.deepEqual(
      functionsOf(name),
      { filter: filter === 'true', scan: scan === 'true', audit: audit === 'true' },
      name,
    );
  }
});

test('who chats, has hosts and has no files is what policy/rule_match.cpp says', () => {
  const all = /Application::(\w+)/g;
  assert.deepEqual(
    found(between('policy/rule_match.cpp', 'bool chats(', 'return true'), /case Application::(\w+)/g),
    CHATTING,
  );
  assert.deepEqual(found(between('policy/rule_match.cpp', 'bool namesHost(', '}'), all), HOSTED);
  assert.deepEqual(found(between('policy/rule_match.cpp', 'bool namesFiles(', '}'), all), FILELESS);
});

test('conditions and their actions have the order of condition.cpp', () => {
  assert.deepEqual(found(between('condition.cpp', 'kRows{{', '}};'), /\{Condition::(\w+)/g), CONDITIONS);
  assert.deepEqual(found(between('condition.cpp', 'kActionNames{', '}'), /"(\w+)"/g), CONDITION_ACTIONS);
});

test('kinds and types of files are those of file_type.cpp', () => {
  assert.deepEqual(found(between('file_type.cpp', 'fileKindName(FileKind kind)', '};'), /"(\w+)"/g), FILE_KINDS);
  const names = [
    ...found(source('file_type.cpp'), /\{"(\w+)", FileKind::/g),
    ...found(source('file_type.cpp'), /"(\w+)"sv \?? ?:/g),
    ...found(source('file_type.cpp'), /"sv : "(\w+)"sv/g),
  ];
  assert.deepEqual([...new Set(names)].sort(), [...FILE_TYPES].sort());
});

test('what is no part of a word is the same in policy/marked_words.cpp', () => {
  const rows = between('policy/marked_words.cpp', 'kNotWords{{', '}};').matchAll(/\{0x(\w+), 0x(\w+)\}/g);
  assert.deepEqual(
    [...rows].map(([, first, last]) => [Number.parseInt(first as string, 16), Number.parseInt(last as string, 16)]),
    NOT_WORDS,
  );
});

test('bounds that a policy does not set are those of limits.h, under the names that the addon reads', () => {
  const fields = new Map(
    [...source('limits.h').matchAll(/^ {2}(?:uint32_t|uint64_t|Millis) (\w+) = ([\d']+);/gm)].map(([, name, value]) => [
      name as string,
      Number(value?.replaceAll("'", '')),
    ]),
  );
  const UNITS: Readonly<Record<string, number>> = { kBlock: 2048, kPage: 2048 };
  const rows = [
    ...source('../binding/gateway_rules.cpp').matchAll(/\{"(\w+)", &gateway::Limits::(\w+)(?:, (\w+))?\}/g),
  ];
  const read = new Map(
    rows.map(([, name, field, unit]) => [
      name as string,
      (fields.get(field as string) ?? 0) * (UNITS[unit ?? ''] ?? 1),
    ]),
  );
  read.set('keptMemory', fields.get('keptBytes') ?? 0);
  assert.deepEqual(Object.fromEntries(read), USUAL_BOUNDS);
});
