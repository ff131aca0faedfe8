/** The compiled policies that native tests put into force. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { compilePolicy } from '../compile.ts';
import { writePolicyImage } from '../policy-image.ts';
import { FILES } from './policy-cases.ts';

const GOLDEN = new URL('../../../native/test/golden/', import.meta.url);

for (const name of readdirSync(GOLDEN).filter((file) => file.endsWith('.yaml'))) {
  test(`${name} is compiled to what stands beside it; else P2PXBONE_WRITE_GOLDEN=1 node --test this file`, () => {
    const { policy, problems } = compilePolicy(name, readFileSync(new URL(name, GOLDEN), 'utf8'), FILES, 'node');
    assert.deepEqual(
      problems.filter(({ severity }) => severity === 'error'),
      [],
    );
    assert.ok(policy !== undefined);
    const image = Buffer.from(writePolicyImage(policy));
    const golden = new URL(name.replace(/yaml$/, 'bin'), GOLDEN);
    if (process.env['P2PXBONE_WRITE_GOLDEN'] === '1') writeFileSync(golden, image);
    assert.ok(image.equals(readFileSync(golden)));
  });
}
