/** The image's writer; what the image says is the native tests' to check. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { USUAL_BOUNDS } from '../bounds.ts';
import type { CompiledPolicy } from '../compiled-policy.ts';
import { writePolicyImage } from '../policy-image.ts';

const EMPTY: CompiledPolicy = {
  dryRun: false,
  fastPass: false,
  defaultVerdict: 'accept',
  denyForMs: 0,
  conditions: [],
  ownApplications: [],
  addressSets: [],
  names: [],
  times: [],
  groups: { host: 0, fileName: 0, chatText: 0, chatFrom: 0, chatTo: 0 },
  expressions: [],
  hashLists: [],
  limits: [],
  rules: [],
  services: {
    signatures: [],
    bounds: USUAL_BOUNDS,
    scan: { socket: '/s', objectMax: 1, archiveMax: 1, connections: 1, timeoutMs: 1 },
  },
};

test('an image grows to any size, whatever is written when it has to', () => {
  const empty = writePolicyImage(EMPTY).length;
  const many = <Item>(item: Item): Item[] => Array.from({ length: 9000 }, () => item);
  const limit = { name: '', parent: 0, rate: 1, ceiling: 1, per: 'none', way: 'both', burst: 0, queue: 0 } as const;
  for (let shift = 0; shift < 32; shift++) {
    const ownApplications = ['a'.repeat(shift)];
    const sizeOf = (part: Partial<CompiledPolicy>): number =>
      writePolicyImage({ ...EMPTY, ownApplications, ...part }).length - empty - 2 - shift;
    assert.equal(sizeOf({ times: many([]) }), 9000);
    assert.equal(sizeOf({ addressSets: many({ ranges: [], names: [] }) }), 9000 * 4);
    assert.equal(sizeOf({ hashLists: [many(new Uint8Array(32))] }), 4 + 9000 * 32);
    assert.equal(sizeOf({ limits: many(limit) }), 9000 * 30);
  }
});
