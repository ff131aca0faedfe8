/** Documents that would drift are generated, or checked here. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { auditDocument, auditSchema } from '../../scripts/generate-audit.ts';
import { limits } from '../../scripts/generate-limits.ts';
import { policySchema } from '../../scripts/generate-policy-schema.ts';
import { reference } from '../../scripts/generate-reference.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('docs/reference.md is what the code says; else run npm run docs', () => {
  assert.equal(readFileSync(join(root, 'docs/reference.md'), 'utf8'), reference());
});

test('docs/limits.md is what the code says; else run npm run docs', () => {
  assert.equal(readFileSync(join(root, 'docs/limits.md'), 'utf8'), limits());
});

test('docs/audit.md and docs/audit.schema.json are what the code says; else run npm run docs', () => {
  assert.equal(readFileSync(join(root, 'docs/audit.md'), 'utf8'), auditDocument());
  assert.equal(readFileSync(join(root, 'docs/audit.schema.json'), 'utf8'), auditSchema());
});

test('docs/gateway-policy.schema.json is what the code says; else run npm run docs', () => {
  assert.equal(readFileSync(join(root, 'docs/gateway-policy.schema.json'), 'utf8'), policySchema());
});

test('relative links in documents lead somewhere', async () => {
  const broken: string[] = [];
  for await (const file of glob('{*.md,docs/**/*.md}', { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
      if (!existsSync(join(root, dirname(file), target as string))) broken.push(`${file}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('file and folder names in ARCHITECTURE.md exist', () => {
  const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
  const named = [
    ...text.matchAll(/`((?:overlay|p2pd|rd|gateway|native|om-server|cli|test|bench|scripts|docs)\/[\w./-]*)`/g),
  ];
  assert.ok(named.length > 10);
  assert.deepEqual(
    named.map(([, path]) => path as string).filter((path) => !existsSync(join(root, path))),
    [],
  );
});

test('the lock file names no registry', () => {
  assert.doesNotMatch(readFileSync(join(root, 'package-lock.json'), 'utf8'), /"resolved"/);
});
