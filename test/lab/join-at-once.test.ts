import { test } from 'node:test';
import { joinAndCheck } from './joining.ts';
import { skip } from './topology.ts';

test('8 nodes join all at once and make an ideal ring', { skip, timeout: 120_000 }, (context) =>
  joinAndCheck(context, 8, 'at once', 100),
);

test('24 nodes join all at once and make an ideal ring', { skip, timeout: 240_000 }, (context) =>
  joinAndCheck(context, 24, 'at once', 1000),
);
