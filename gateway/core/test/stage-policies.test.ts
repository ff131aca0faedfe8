/** The policies with which the native stage is tested, as the compiler writes them. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { compilePolicy } from '../compile.ts';
import { writePolicyImage } from '../policy-image.ts';

const POLICIES = new URL('../../../native/gateway/test/policies/', import.meta.url);
const GOLDEN = new URL('../../../native/gateway/test/golden/policies/', import.meta.url);
const NO_FILES = {
  readList: (path: string) => ({ path, error: 'is not read here; write the list into the policy.' }),
  readSignatures: () => [],
};

test('their images are what the compiler makes; else P2PXBONE_WRITE_GOLDEN=1 node --test this file', () => {
  const names = readdirSync(POLICIES).map((name) => name.replace(/\.yaml$/, ''));
  assert.ok(names.length > 0);
  for (const name of names) {
    const text = readFileSync(new URL(`${name}.yaml`, POLICIES), 'utf8');
    const { policy, problems } = compilePolicy(`${name}.yaml`, text, NO_FILES);
    assert.deepEqual(problems, []);
    const image = writePolicyImage(policy ?? assert.fail());
    const golden = new URL(`${name}.bin`, GOLDEN);
    if (process.env['P2PXBONE_WRITE_GOLDEN'] === '1') {
      mkdirSync(GOLDEN, { recursive: true });
      writeFileSync(golden, image);
    }
    assert.ok(Buffer.from(image).equals(readFileSync(golden)), name);
  }
  assert.deepEqual(readdirSync(GOLDEN).sort(), names.map((name) => `${name}.bin`).sort());
});
