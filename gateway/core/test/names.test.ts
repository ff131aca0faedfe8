/** Nodes and groups in policies: what is refused where, and whose addresses they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { merged, parseAddressRanges, without } from '../address-sets.ts';
import type { PolicyFiles, Scope } from '../compilation.ts';
import { type Compiled, compilePolicy } from '../compile.ts';
import { type Directory, resolved } from '../names.ts';

const HEAD = 'policy: p2pxbone gateway, format 1\n';
const NO_FILES: PolicyFiles = { readList: (path) => ({ path, error: 'is not there.' }), readSignatures: () => [] };

const DIRECTORY: Directory = {
  prefixes: ['10.77.0.0/30', 'fd00::/126'],
  nodes: [
    { name: 'a', groups: ['staff'], addresses: ['10.77.0.1', 'fd00::1', '10.78.0.9'] },
    { name: 'b', groups: ['staff', 'guests'], addresses: ['10.77.0.2', 'fd00::2'] },
    { name: 'staff', groups: [], addresses: ['10.77.0.3'] },
  ],
};

function compile(text: string, scope: Scope = 'node'): Compiled {
  return compilePolicy('p.yaml', HEAD + text, NO_FILES, scope);
}

/** The addresses of the first set. */
function setOf(text: string, scope: Scope = 'node'): string[] {
  const { policy, problems } = compile(text, scope);
  assert.deepEqual(problems, []);
  const [set] = policy?.addressSets ?? [];
  assert.ok(set !== undefined);
  return resolved(set, DIRECTORY).map(({ first, last }) => `${first.toString(16)}-${last.toString(16)}`);
}

function rangesOf(...texts: string[]): string[] {
  const ranges = merged(texts.flatMap((text) => parseAddressRanges(text) ?? []));
  return ranges.map(({ first, last }) => `${first.toString(16)}-${last.toString(16)}`);
}

test('a name stands for all addresses of those who bear it', () => {
  const one = (value: string): string => `rules: [{when: {from: ${value}}, do: drop}]\n`;
  assert.deepEqual(setOf(one('node:a')), rangesOf('10.77.0.1', 'fd00::1', '10.78.0.9'));
  assert.deepEqual(setOf(one('group:guests')), rangesOf('10.77.0.2', 'fd00::2'));
  assert.deepEqual(
    setOf(one('[group:staff, node:staff, 192.0.2.7]')),
    rangesOf('10.77.0.1-10.77.0.3', '10.78.0.9', 'fd00::1', 'fd00::2', '192.0.2.7'),
  );
  assert.deepEqual(setOf(one('node:nobody')), [], 'of whom nobody knows, nothing is');
  assert.deepEqual(setOf(one('strangers')), rangesOf('10.77.0.0', 'fd00::', 'fd00::3'));
});

test('names go into sets, and sets may bear such names', () => {
  const sets = 'sets: {all: [some, "group:guests"], some: ["node:a", 192.0.2.0/24]}\n';
  assert.deepEqual(
    setOf(`${sets}rules: [{when: {between: all}, do: drop}]\n`),
    rangesOf('10.77.0.1', '10.77.0.2', '10.78.0.9', 'fd00::1', 'fd00::2', '192.0.2.0/24'),
  );
  const own =
    'sets: {"group:staff": [192.0.2.1], strangers: [192.0.2.2]}\nrules: [{when: {to: [group:staff, strangers]}, do: drop}]\n';
  assert.deepEqual(setOf(own, 'router'), rangesOf('192.0.2.1-192.0.2.2'), 'the policy’s own sets count first');
  assert.deepEqual(setOf(own), rangesOf('192.0.2.1-192.0.2.2'));
});

test('without a virtual Internet a policy that names somebody is refused, wherever it does', () => {
  for (const text of [
    'rules: [{when: {from: node:a}, do: drop}]\n',
    'rules: [{when: {file: {sender: [group:staff]}}, do: drop}]\n',
    'rules: [{when: {to: strangers}, do: drop}]\n',
    'sets: {unused: [group:staff]}\n',
  ]) {
    const { policy, problems } = compile(text, 'router');
    assert.equal(policy, undefined, text);
    assert.match(problems[0]?.message ?? '', /known in a virtual Internet only: name it in sets, with addresses/, text);
    assert.ok(compile(text).policy !== undefined, text);
  }
});

test('what nobody can be called is a mistake', () => {
  for (const name of ['node:Big', 'group:', 'node:a_b', 'group:-x', `node:${'a'.repeat(33)}`]) {
    const { policy, problems } = compile(`rules: [{when: {from: "${name}"}, do: drop}]\n`);
    assert.equal(policy, undefined, name);
    assert.match(problems[0]?.message ?? '', /Nobody can be called/, name);
  }
});

test('rules that name different people do not hide each other', () => {
  const hidden = 'rules: [{when: {from: node:a}, do: drop}, {when: {from: node:b}, do: accept}]\n';
  assert.deepEqual(compile(hidden).problems, []);
  const twice = 'rules: [{when: {from: node:a}, do: drop}, {when: {from: node:a}, do: accept}]\n';
  assert.match(compile(twice).problems[0]?.message ?? '', /never matches/);
});

test('what is taken out of ranges is not in them any more, and nothing else', () => {
  const of = (...pairs: [number, number][]) =>
    pairs.map(([first, last]) => ({ first: BigInt(first), last: BigInt(last) }));
  const holds = (ranges: ReturnType<typeof of>, value: number): boolean =>
    ranges.some(({ first, last }) => first <= value && value <= last);
  for (let seed = 0; seed < 4096; seed++) {
    // Two subsets of 0 to 11, from the bits of a number.
    const subset = (bits: number) =>
      merged(
        of(
          ...Array.from({ length: 12 }, (_, i) => i).flatMap((i): [number, number][] =>
            (bits >> i) & 1 ? [[i, i]] : [],
          ),
        ),
      );
    const all = subset(seed);
    const taken = subset((seed * 2_654_435_761) >>> 20);
    const rest = without(all, taken);
    for (let value = 0; value < 12; value++) {
      assert.equal(holds(rest, value), holds(all, value) && !holds(taken, value), `${seed} ${value}`);
    }
    assert.deepEqual(merged(rest), rest);
  }
});
