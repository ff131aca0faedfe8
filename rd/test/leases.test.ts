import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Millis } from '../../overlay/lib/clock.ts';
import { blockOf, type LeaseOrder, Leases } from '../core/leases.ts';
import { LEASE_BLOCK, LEASE_BLOCK_MIN, LEASE_SPARE_BLOCKS } from '../core/limits.ts';

const DAY = 86_400_000;
const at = (ms: number): Millis => ms as Millis;
const orders = (leases: Leases): LeaseOrder[] => {
  const list: LeaseOrder[] = [];
  for (let order = leases.poll(); order !== undefined; order = leases.poll()) list.push(order);
  return list;
};
const block = (from: number): number[] => Array.from({ length: LEASE_BLOCK }, (_, index) => from + index);
const empty = { pairs: [], msLeft: 0, requestPrefix: '00', block: LEASE_BLOCK };

/** A start: what is held is told, then more is asked for and granted. */
function started(from = 0): Leases {
  const leases = new Leases(empty, at(0));
  leases.kept([], DAY, at(1));
  const request = orders(leases).findLast((order) => order.kind === 'leases.request');
  assert.ok(request?.kind === 'leases.request');
  leases.granted(request.request, block(from), DAY, at(2));
  orders(leases);
  return leases;
}

describe('leases of link pairs', () => {
  test('tell first what they have, then ask for a block', () => {
    const leases = new Leases({ pairs: [1, 2], msLeft: DAY, requestPrefix: '00', block: LEASE_BLOCK }, at(0));
    assert.deepEqual(orders(leases), [{ kind: 'leases.keep', pairs: [1, 2] }]);
    leases.kept([1], DAY, at(1));
    const [changed, request] = orders(leases);
    assert.deepEqual(changed?.kind === 'leases.changed' && changed.pairs, [1], 'what the server forgot is not ours');
    assert.ok(request?.kind === 'leases.request' && /^[0-9a-f]+$/.test(request.request));
  });

  test('are fetched again before they run out', () => {
    const leases = started();
    for (let n = 0; n < LEASE_BLOCK / 2; n++) assert.notEqual(leases.take(at(10)), undefined);
    assert.deepEqual(orders(leases), []);
    leases.take(at(10));
    assert.equal(orders(leases)[0]?.kind, 'leases.request');
  });

  test('ask again under the same name while nobody answers', () => {
    const leases = new Leases(empty, at(0));
    leases.kept(undefined, 0, at(1));
    const first = orders(leases).find((order) => order.kind === 'leases.request');
    assert.ok(first?.kind === 'leases.request');
    leases.granted(first.request, undefined, 0, at(2));
    const retryAt = leases.deadline();
    assert.ok(retryAt !== undefined);
    leases.timer(at(60_000));
    const again = orders(leases).find((order) => order.kind === 'leases.request');
    assert.deepEqual(again, first);
  });

  test('are told again soon where that was not heard, also when new ones were granted meanwhile', () => {
    const leases = new Leases({ pairs: [7], msLeft: DAY, requestPrefix: '00', block: LEASE_BLOCK }, at(0));
    leases.kept(undefined, 0, at(1));
    const request = orders(leases).find((order) => order.kind === 'leases.request');
    assert.ok(request?.kind === 'leases.request');
    leases.granted(request.request, block(100), DAY, at(2));
    orders(leases);
    leases.timer(at(60_000));
    assert.ok(orders(leases).some((order) => order.kind === 'leases.keep'));
  });

  test('are not asked for while the ones to keep are being told', () => {
    const leases = started();
    leases.timer(at(DAY / 2));
    assert.equal(orders(leases)[0]?.kind, 'leases.keep');
    for (let n = 0; n < LEASE_BLOCK; n++) leases.take(at(DAY / 2));
    assert.deepEqual(orders(leases), []);
    leases.kept(block(0), DAY, at(DAY / 2 + 1));
    assert.ok(orders(leases).some((order) => order.kind === 'leases.request'));
  });

  test('that are over are used no more', () => {
    const leases = started();
    const used = leases.take(at(10));
    leases.timer(at(DAY + 10));
    assert.deepEqual(leases.all(), [used], 'only what a tunnel has stays');
    assert.ok(orders(leases).some((order) => order.kind === 'leases.request'));
  });

  test('in use that the server gave away do not come back', () => {
    const leases = started();
    const used = leases.take(at(10)) as number;
    leases.timer(at(DAY / 2));
    leases.kept(
      block(0).filter((pair) => pair !== used),
      DAY,
      at(DAY / 2),
    );
    leases.giveBack(used, at(DAY / 2 + 1));
    assert.equal(leases.all().includes(used), false);
  });

  test('a pair given back rests while there are others', () => {
    const leases = started();
    const first = leases.take(at(10)) as number;
    leases.giveBack(first, at(11));
    const taken = Array.from({ length: LEASE_BLOCK - 1 }, () => leases.take(at(12)));
    assert.equal(taken.includes(first), false);
    assert.equal(leases.take(at(13)), first, 'better soon than not at all');
  });

  test('beyond the spare ones go back', () => {
    const leases = started();
    const all = Array.from({ length: 8 }, (_, index) => block(100 + index * LEASE_BLOCK)).flat();
    const many = new Leases({ pairs: all, msLeft: DAY, requestPrefix: '01', block: LEASE_BLOCK }, at(0));
    const [keep] = orders(many);
    assert.ok(keep?.kind === 'leases.keep');
    assert.equal(keep.pairs.length, LEASE_SPARE_BLOCKS * LEASE_BLOCK);
    assert.equal(leases.free, LEASE_BLOCK);
  });

  test('come in smaller blocks where the pool is small', () => {
    assert.equal(blockOf(32_768), LEASE_BLOCK);
    assert.equal(blockOf(256), 4);
    assert.equal(blockOf(2), LEASE_BLOCK_MIN);
  });

  test('never give one pair twice, whatever happens', () => {
    const step = fc.constantFrom('take', 'take', 'give', 'grant', 'silence', 'time', 'keep');
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const leases = new Leases(empty, at(0));
        const used = new Set<number>();
        let [next, now] = [0, 0];
        const waiting: LeaseOrder[] = [];
        for (const what of steps) {
          now += what === 'time' ? 40_000 : 1;
          waiting.push(...orders(leases));
          const request = waiting.find((order) => order.kind === 'leases.request');
          const keep = waiting.find((order) => order.kind === 'leases.keep');
          if (what === 'take') {
            const pair = leases.take(at(now));
            assert.ok(pair === undefined || !used.has(pair));
            if (pair !== undefined) used.add(pair);
          } else if (what === 'give') {
            const [pair] = used;
            if (pair !== undefined) leases.giveBack(pair, at(now));
            if (pair !== undefined) used.delete(pair);
          } else if (what === 'time') {
            leases.timer(at(now));
          } else if (what === 'keep' && keep?.kind === 'leases.keep') {
            waiting.splice(waiting.indexOf(keep), 1);
            leases.kept(keep.pairs, DAY, at(now));
          } else if ((what === 'grant' || what === 'silence') && request?.kind === 'leases.request') {
            waiting.splice(waiting.indexOf(request), 1);
            const pairs = what === 'grant' ? block(next) : undefined;
            leases.granted(request.request, pairs, DAY, at(now));
            next += LEASE_BLOCK;
          }
          const all = leases.all();
          assert.equal(new Set(all).size, all.length);
          for (const pair of used) assert.ok(all.includes(pair));
        }
      }),
      { numRuns: 500 },
    );
  });
});
