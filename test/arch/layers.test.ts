import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AMBIENT, EXCEPTIONS, LAYERS, type Layer } from './layers.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)import '([^']+)'/g;

async function sources(): Promise<string[]> {
  const files: string[] = [];
  for await (const file of glob('{overlay,p2pd,rd,gateway,native,om-server,cli,test,bench,scripts}/**/*.ts', {
    cwd: root,
  })) {
    if (!file.includes('native/build/')) files.push(file);
  }
  return files.sort();
}

const isTest = (file: string): boolean => /(^|\/)(test|fuzz)\//.test(file);

function layerOf(file: string): Layer | undefined {
  return LAYERS.find((layer) => file.startsWith(`${layer.folder}/`));
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(IMPORT)].map((match) => (match[1] ?? match[2] ?? match[3]) as string);
}

function violation(file: string, layer: Layer, specifier: string): string | undefined {
  if (specifier.startsWith('node:')) {
    if (layer.node === 'any' || layer.node.includes(specifier)) return undefined;
    return `${file} imports ${specifier}, but ${layer.why}`;
  }
  if (!specifier.startsWith('.')) return undefined;
  const target = normalize(join(dirname(file), specifier));
  if (target.startsWith(`${layer.folder}/`)) return undefined;
  const allowed = layer.mayImport.some((prefix) => target === prefix || target.startsWith(`${prefix}/`));
  if (allowed || EXCEPTIONS.some((e) => e.from === file && e.to === target)) return undefined;
  return `${file} imports ${target}, but ${layer.why}`;
}

test('imports go down the layers only', async () => {
  const problems: string[] = [];
  for (const file of await sources()) {
    if (isTest(file)) continue;
    const layer = layerOf(file);
    if (layer === undefined)
      problems.push(`${file} belongs to no layer; add its folder to test/arch/layers.ts with a reason`);
    else problems.push(...importsOf(file).flatMap((specifier) => violation(file, layer, specifier) ?? []));
  }
  assert.deepEqual(problems, []);
});

test('the layer test itself sees imports and violations', () => {
  const core = LAYERS.find((layer) => layer.folder === 'p2pd/core') as Layer;
  assert.ok(violation('p2pd/core/chord.ts', core, 'node:dgram'));
  assert.ok(violation('p2pd/core/chord.ts', core, '../../rd/core/tunnels.ts'));
  assert.equal(violation('p2pd/core/chord.ts', core, '../../overlay/id.ts'), undefined);
  assert.ok(importsOf('test/arch/layers.test.ts').includes('./layers.ts'));
});

test('the data plane is reached through native/index.ts only', async () => {
  const problems: string[] = [];
  for (const file of await sources()) {
    if (file.startsWith('native/') || isTest(file)) continue;
    for (const specifier of importsOf(file)) {
      const target = normalize(join(dirname(file), specifier));
      if (target.startsWith('native/') && !['native/index.ts', 'native/api.ts'].includes(target))
        problems.push(`${file} → ${target}`);
    }
  }
  assert.deepEqual(problems, []);
});

test('cores take time and randomness as arguments', async () => {
  const problems: string[] = [];
  for (const file of await sources()) {
    if (isTest(file) || file.startsWith('bench/') || file.startsWith('scripts/')) continue;
    const text = readFileSync(join(root, file), 'utf8');
    for (const { pattern, allowed, why } of AMBIENT) {
      if (pattern.test(text) && !allowed.includes(file)) problems.push(`${file}: ${pattern.source}: ${why}`);
    }
    if (/\/core\//.test(file) && /\bset(Timeout|Interval|Immediate)\(|\bawait\b/.test(text)) {
      problems.push(`${file}: a core neither sleeps nor waits`);
    }
  }
  assert.deepEqual(problems, []);
});

test('every layer that exists is named, and no exception is stale', async () => {
  const files = await sources();
  for (const exception of EXCEPTIONS) {
    assert.ok(files.includes(exception.from), `${exception.from} is gone; remove its exception`);
    assert.ok(exception.why.length > 10);
  }
});
