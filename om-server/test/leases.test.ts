import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { LEASE_MS } from '../../overlay/om-api.ts';
import { parseViDefinition, type ViConfig } from '../../overlay/vi.ts';
import { TURNS_MAX, Turns } from '../addresses/turns.ts';
import { Database } from '../store/database.ts';
import { LEASE_AFTER_START_MS, Leases } from '../store/leases.ts';
import { PairPool } from '../store/pair-pool.ts';
import { Vis } from '../store/vis.ts';
import { temporaryDirectory, valueOf } from './fixture.ts';

const CAPACITY = 16;

function storeOf(t: TestContext): { database: Database; vi: ViConfig } {
  const database = valueOf(Database.open(join(temporaryDirectory(t), 'om.sqlite')));
  t.after(() => database.close());
  const definition = valueOf(parseViDefinition({ linkPool: '10.78.0.0/27' }));
  return { database, vi: valueOf(new Vis(database).create('lab', definition, 0)).config };
}

/** Who holds which pair, as the database has it: "NODE/REQUEST until END" by pair. */
function written(database: Database): Map<number, string> {
  const held = new Map<number, string>();
  for (const row of database.all('SELECT node, request, expires_at, value FROM lease_blocks, json_each(pairs)')) {
    const pair = Number(row['value']);
    assert.ok(!held.has(pair), `pair ${pair} is leased twice`);
    held.set(pair, `${Number(row['node'])}/${String(row['request'])} until ${Number(row['expires_at'])}`);
  }
  return held;
}

test('leases: as a plain model has them, in memory and in the database, whatever happens', (t) => {
  const { database, vi } = storeOf(t);
  const node = fc.integer({ min: 1, max: 3 });
  const pairs = fc.uniqueArray(fc.nat(CAPACITY - 1), { maxLength: 8 });
  const step = fc.oneof(
    fc.record({ kind: fc.constant('lease' as const), node, request: fc.nat(5), count: fc.integer({ min: 1, max: 6 }) }),
    fc.record({
      kind: fc.constant('keep' as const),
      node,
      pairs,
      from: fc.nat(8),
      until: fc.integer({ min: 8, max: 20 }),
    }),
    fc.record({ kind: fc.constant('release' as const), node, pairs }),
    fc.record({ kind: fc.constant('leave' as const), node }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(LEASE_MS / 3) }),
    fc.record({ kind: fc.constantFrom('restart' as const, 'failure' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      database.run('DELETE FROM lease_blocks');
      let now = 1_000_000;
      let leases = new Leases(database, now);
      type Held = { node: number; request: string; expiresAt: number };
      const model = new Map<number, Held>();
      const sweep = (): void => {
        leases.sweep(now);
        for (const [pair, { expiresAt }] of model) if (expiresAt <= now) model.delete(pair);
      };
      for (const step of steps) {
        if (step.kind === 'wait') now += step.ms;
        if (step.kind === 'restart') {
          leases = new Leases(database, now);
          for (const held of model.values()) held.expiresAt = Math.max(held.expiresAt, now + LEASE_AFTER_START_MS);
        }
        sweep();
        if (step.kind === 'failure') {
          const broken = (): void => {
            leases.lease({ node: 1, vi }, 'x', 3, now);
            leases.release({ node: 2, vi }, [...model.keys()]);
            throw new Error('the disk is full');
          };
          assert.throws(() => leases.batch(broken), /disk is full/);
        }
        if (step.kind === 'lease') {
          const request = String(step.request);
          const before = [...model].filter(([, held]) => held.node === step.node && held.request === request);
          const free = Array.from({ length: CAPACITY }, (_, pair) => pair).filter((pair) => !model.has(pair));
          const expected = before.length > 0 ? before.map(([pair]) => pair) : free.slice(0, step.count);
          const leased = leases.batch(() => leases.lease({ node: step.node, vi }, request, step.count, now));
          if (expected.length === 0) assert.equal(leased.ok ? 'ok' : leased.code, 'POOL_EXHAUSTED');
          else
            assert.deepEqual(
              [...valueOf(leased)],
              expected.sort((a, b) => a - b),
            );
          for (const pair of expected) model.set(pair, { node: step.node, request, expiresAt: now + LEASE_MS });
        }
        if (step.kind === 'keep') {
          const kept = leases.batch(() => leases.keep({ node: step.node, vi }, step, step.pairs, now));
          const inside = [...model].filter(
            ([pair, held]) => held.node === step.node && pair >= step.from && pair < step.until,
          );
          const still = inside.filter(([pair]) => step.pairs.includes(pair));
          assert.deepEqual(
            kept,
            still.map(([pair]) => pair).sort((a, b) => a - b),
          );
          for (const [pair] of inside) if (!step.pairs.includes(pair)) model.delete(pair);
          const requests = new Set(still.map(([, { request }]) => request));
          // A block has one end.
          for (const held of model.values()) {
            if (held.node === step.node && requests.has(held.request)) held.expiresAt = now + LEASE_MS;
          }
        }
        if (step.kind === 'release') {
          leases.batch(() => leases.release({ node: step.node, vi }, step.pairs));
          for (const pair of step.pairs) if (model.get(pair)?.node === step.node) model.delete(pair);
        }
        if (step.kind === 'leave') {
          database.transaction(() => leases.deleteAll(step.node));
          leases.forgetNode(step.node);
          for (const [pair, held] of model) if (held.node === step.node) model.delete(pair);
        }
        const expected = [...model].map(([pair, held]) => [
          pair,
          `${held.node}/${held.request} until ${held.expiresAt}`,
        ]);
        assert.deepEqual(
          [...written(database)].sort(([a], [b]) => a - b),
          expected.sort(([a], [b]) => Number(a) - Number(b)),
        );
        assert.equal(leases.usage(vi).linkPairsLeased, model.size);
      }
    }),
    { numRuns: 60 },
  );
});

test('a pool gives the lowest free pairs, and as many as there are', () => {
  const taken = fc.uniqueArray(fc.nat(40), { maxLength: 30 });
  fc.assert(
    fc.property(taken, fc.array(fc.nat(20), { maxLength: 20 }), (first, counts) => {
      const pool = new PairPool(
        41,
        [...first].sort((a, b) => a - b),
      );
      const all = new Set(first);
      for (const [i, count] of counts.entries()) {
        const free = Array.from({ length: 41 }, (_, pair) => pair).filter((pair) => !all.has(pair));
        const got = pool.take(count);
        assert.deepEqual(got, free.slice(0, count));
        for (const pair of got) all.add(pair);
        const back = [...all].filter((pair) => (pair * 7 + i) % 3 === 0);
        for (const pair of back) {
          pool.giveBack(pair);
          all.delete(pair);
        }
        assert.equal(pool.taken, all.size);
      }
    }),
  );
});

test('turns: no counter is taken twice, not of a node that was forgotten either', () => {
  const turns = new Turns(1_000_000);
  const kindOf = (key: number, counter: number): string => turns.take(key, counter, 0).kind;
  assert.deepEqual([kindOf(1, 5), kindOf(1, 5), kindOf(1, 4), kindOf(1, 6)], ['next', 'stale', 'stale', 'next']);
  assert.deepEqual(turns.take(1, 6, 0), { kind: 'stale', highest: 6 });
  assert.equal(kindOf(2, 0), 'next');
  for (let key = 3; key < TURNS_MAX + 3; key++) turns.take(key, 1, 0);
  assert.deepEqual(turns.take(1, 6, 0), { kind: 'stale', highest: 6 });
  assert.equal(kindOf(1, 7), 'next');
});

test('turns: requests are saved up for two seconds', () => {
  const turns = new Turns(10);
  const taken = (from: number, now: number): number => {
    let count = 0;
    while (turns.take(1, from + count, now).kind === 'next') count++;
    return count;
  };
  assert.deepEqual([taken(1, 0), taken(100, 500), taken(200, 500), taken(300, 60_000)], [20, 5, 0, 20]);
});
