import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { generate } from '../../scripts/generate-reasons.ts';

for (const [path, contents] of generate()) {
  test(`${path} is what native/reasons.json generates; run scripts/generate-reasons.ts after changing it`, () => {
    assert.equal(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'), contents);
  });
}
