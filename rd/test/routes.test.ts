import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Id, inRange, toId } from '../../overlay/id.ts';
import type { RdRoute } from '../../overlay/messages/p2pd-rd.ts';
import { type Compiled, compileImage, sameImage } from '../core/image.ts';
import { ROUTES_MAX, STAGED_MAX } from '../core/limits.ts';
import { RouteTable, tilesCircle } from '../core/routes.ts';

const id = (value: number): Id => toId(BigInt(value));
const route = (after: number, until: number, to: number): RdRoute => ({
  after: id(after),
  until: id(until),
  to: id(to),
});

/** Routes between neighbouring ones of these ids, each to the id where it ends. */
function ringOf(ids: readonly bigint[]): RdRoute[] {
  const sorted = ids.map(toId).toSorted((a, b) => (a < b ? -1 : 1));
  return sorted.map((until, index) => ({ after: sorted.at(index - 1) as Id, until, to: until }));
}

const ids = fc.uniqueArray(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 1, maxLength: 20 });

function staged(routes: readonly RdRoute[]): RouteTable {
  const table = new RouteTable(id(0));
  for (const item of routes) table.add(item);
  return table;
}

describe('committing routes', () => {
  test('takes every ring, and none with a hole', () => {
    fc.assert(
      fc.property(ids, fc.nat(), (list, which) => {
        const routes = ringOf(list);
        assert.ok(staged(routes).commit(1, routes.length).ok);
        const holed = routes.filter((_, index) => index !== which % routes.length);
        if (holed.length > 0) assert.equal(staged(holed).commit(1, holed.length).ok, false);
      }),
    );
  });

  test('agrees with a slow look at who covers what', () => {
    const small = fc.integer({ min: 0, max: 7 });
    const routes = fc.uniqueArray(fc.record({ after: small, until: small }), {
      selector: ({ until }) => until,
      maxLength: 5,
    });
    fc.assert(
      fc.property(routes, (list) => {
        const table = list
          .map(({ after, until }) => route(after, until, 0))
          .toSorted((a, b) => (a.until < b.until ? -1 : 1));
        // Range ends are among 0..7, so these ids stand for all others.
        const probes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 1000].map(id);
        const covers = probes.map((probe) => table.filter((item) => inRange(item, probe)).length);
        assert.equal(tilesCircle(table), table.length === 0 || covers.every((count) => count === 1));
      }),
      { numRuns: 2000 },
    );
  });

  test('refuses what overlaps, what is miscounted and what is old', () => {
    const overlapping = staged([route(0, 10, 10), route(5, 0, 0)]);
    assert.equal(overlapping.commit(1, 2).ok, false);
    const miscounted = staged([route(0, 10, 10), route(10, 0, 0)]);
    assert.equal(miscounted.commit(1, 3).ok, false);
    assert.equal(miscounted.commit(1, 0).ok, true, 'a refused commit forgets what was staged');
    const table = staged([route(0, 0, 0)]);
    assert.ok(table.commit(5, 1).ok);
    assert.ok(table.commit(5, 1).ok, 'the same again is in effect already');
    table.delete(id(0), id(0));
    assert.equal(table.commit(5, 0).ok, false);
    table.delete(id(0), id(0));
    assert.equal(table.commit(4, 0).ok, false);
    assert.equal(table.routes.length, 1);
    table.delete(id(0), id(0));
    assert.ok(table.commit(6, 0).ok);
  });

  test('changes only what is named', () => {
    const table = staged([route(0, 10, 10), route(10, 0, 0)]);
    assert.ok(table.commit(1, 2).ok);
    table.delete(id(10), id(0));
    table.add(route(10, 20, 20));
    table.add(route(20, 0, 0));
    assert.ok(table.commit(2, 3).ok);
    assert.deepEqual(
      table.routes.map((item) => item.until),
      [0n, 10n, 20n],
    );
  });

  test('stops at its limits', () => {
    const many = new RouteTable(id(0));
    for (let n = 0; n <= ROUTES_MAX; n++) many.add(route(n, n + 1, 0));
    const refused = many.commit(1, ROUTES_MAX + 1);
    assert.ok(!refused.ok && refused.code === 'LIMIT_REACHED');
    for (let n = 0; n <= STAGED_MAX; n++) many.add(route(0, 0, 0));
    const overflown = many.commit(1, 1);
    assert.ok(!overflown.ok && overflown.code === 'LIMIT_REACHED');
  });
});

describe('the former owners of our range', () => {
  const self = id(100);
  const commit = (table: RouteTable, generation: number, routes: readonly RdRoute[]): void => {
    for (const { after, until } of table.routes) table.delete(after, until);
    for (const item of routes) table.add(item);
    assert.ok(table.commit(generation, routes.length).ok);
  };

  test('who joins takes its range from its successor', () => {
    const table = new RouteTable(self);
    commit(table, 1, [route(100, 150, 150), route(150, 50, 50), route(50, 100, 100)]);
    assert.deepEqual(table.formers, [{ until: self, owner: id(150) }]);
  });

  test('a predecessor that leaves has had its own range, not ours', () => {
    const table = new RouteTable(self);
    commit(table, 1, [route(100, 100, 100)]);
    assert.deepEqual(table.formers, [{ until: self, owner: undefined }], 'a ring of one was nobody else’s before');
    commit(table, 2, [route(100, 60, 60), route(60, 80, 80), route(80, 100, 100)]);
    commit(table, 3, [route(100, 60, 60), route(60, 100, 100)]);
    assert.deepEqual(table.formers, [
      { until: id(80), owner: id(80) },
      { until: self, owner: undefined },
    ]);
    commit(table, 4, [route(100, 70, 70), route(70, 100, 100)]);
    assert.equal(table.formers[0]?.owner, id(80), 'what remains of it');
    commit(table, 5, [route(100, 90, 90), route(90, 100, 90)]);
    assert.deepEqual(table.formers, [], 'nothing is ours');
  });

  test('agree with a history kept for each id', () => {
    const place = fc.integer({ min: 0, max: 40 });
    // The ids of the others after each change; ours is 20.
    const history = fc.array(fc.uniqueArray(place, { maxLength: 6 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(history, (memberships) => {
        const table = new RouteTable(id(20));
        const formers = new Map<Id, Id | undefined>();
        const probes = Array.from({ length: 45 }, (_, n) => id(n));
        let before: readonly RdRoute[] = [];
        for (const [index, others] of memberships.entries()) {
          const routes = ringOf([...new Set([20, ...others])].map(BigInt));
          const successor = routes.find(({ after }) => after === id(20))?.to;
          for (const probe of probes) {
            const owner = before.length === 0 ? successor : before.find((item) => inRange(item, probe))?.to;
            if (owner !== id(20)) formers.set(probe, owner);
            else if (before.length === 0) formers.set(probe, undefined);
          }
          commit(table, index + 1, routes);
          const image = compileImage({
            id: id(20),
            ipv4: '10.77.0.5',
            ipv6: 'fd00:1::5',
            prefixes: [],
            routes: table.routes,
            formers: table.formers,
            tunnels: Array.from({ length: 41 }, (_, n) => ({
              peer: id(n),
              link: null,
              stable: { ipv4: `10.77.1.${n}`, ipv6: `fd00:1::${n}` },
              use: 'all' as const,
            })),
          });
          for (const probe of probes) {
            const { hop } = image.ranges.find(({ until }) => probe <= until) ?? image.ranges[0] ?? assert.fail();
            const expected = routes.find((item) => inRange(item, probe))?.to;
            if (expected !== id(20)) assert.deepEqual(hop, { kind: 'tunnel', peer: expected });
            else assert.equal(hop.kind === 'local' ? hop.former : hop, formers.get(probe));
          }
          before = routes;
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the forwarding image', () => {
  const link = {
    local: { ipv4: '10.78.0.0', ipv6: 'fd00::10' },
    remote: { ipv4: '10.78.0.1', ipv6: 'fd00::11' },
  };
  const stable = { ipv4: '10.77.0.9', ipv6: 'fd00:1::9' };
  const self = { id: id(5), ipv4: '10.77.0.5', ipv6: 'fd00:1::5', prefixes: ['fd00:1::/64', '10.77.0.0/16'] };

  test('is the same whether entries are taken over from the last one or not', () => {
    const links = [null, link, { local: link.remote, remote: link.local }];
    const stables = Array.from({ length: 3 }, (_, n) => ({ ipv4: `10.77.1.${n}`, ipv6: `fd00:1::${n}` }));
    const tunnel = fc.record({
      peer: fc.constantFrom(id(10), id(20), id(30)),
      link: fc.constantFrom(...links),
      stable: fc.constantFrom(...stables),
      use: fc.constantFrom('all' as const, 'ranges' as const, 'link' as const),
    });
    const routes = ringOf([5n, 10n, 20n, 30n]);
    const source = fc.record({
      routes: fc.constantFrom([], routes),
      tunnels: fc.uniqueArray(tunnel, { selector: ({ peer }) => peer }),
    });
    let takenOver = 0;
    fc.assert(
      fc.property(fc.array(source, { maxLength: 8 }), (sources) => {
        let last: Compiled | undefined;
        for (const each of sources) {
          const whole = { ...self, formers: [], ...each };
          const image = compileImage(whole, last);
          if (image.exact === last?.image.exact) takenOver++;
          assert.deepEqual(image, compileImage(whole));
          last = { source: whole, image };
        }
      }),
      { numRuns: 2000 },
    );
    assert.ok(takenOver > 0);
  });

  test('before the first commit has exact entries only', () => {
    const image = compileImage({
      ...self,
      routes: [],
      formers: [],
      tunnels: [{ peer: id(9), link, stable, use: 'all' as const }],
    });
    assert.deepEqual(image.prefixes, []);
    assert.deepEqual(image.ranges, []);
    const kindOf = (address: string): string | undefined => image.exact.get(address)?.kind;
    assert.equal(kindOf('10.77.0.5'), 'local');
    assert.equal(kindOf('fd00::10'), 'local');
    assert.equal(kindOf('fd00::11'), 'tunnel');
    assert.equal(kindOf('10.77.0.9'), 'tunnel', 'a peer is reached by its own tunnel');
  });

  test('finds a peer whose association is lost by its place on the ring', () => {
    const image = compileImage({
      ...self,
      routes: [],
      formers: [],
      tunnels: [{ peer: id(9), link, stable, use: 'ranges' as const }],
    });
    assert.ok(image.exact.has('fd00::11') && !image.exact.has('10.77.0.9'));
  });

  test('leaves an address to the tunnel that claimed it first', () => {
    const tunnel = { peer: id(9), link, stable, use: 'all' as const };
    const image = compileImage({ ...self, routes: [], formers: [], tunnels: [tunnel, { ...tunnel, peer: id(10) }] });
    assert.deepEqual(image.exact.get(stable.ipv4), { kind: 'tunnel', peer: id(9) });
    assert.deepEqual(image.exact.get(link.remote.ipv6), { kind: 'tunnel', peer: id(9) });
  });

  test('names a peer by its stable addresses where links are unnumbered', () => {
    const image = compileImage({
      ...self,
      routes: [],
      formers: [],
      tunnels: [{ peer: id(9), link: null, stable, use: 'all' as const }],
    });
    assert.ok(image.exact.get(stable.ipv4)?.kind === 'tunnel');
  });

  test('has a range without its tunnel unreachable, and the others as they are', () => {
    const routes = [route(9, 5, 5), route(5, 7, 7), route(7, 9, 9)];
    const image = compileImage({
      ...self,
      routes,
      formers: [],
      tunnels: [{ peer: id(9), link, stable, use: 'all' as const }],
    });
    assert.deepEqual(
      image.ranges.map(({ until, hop }) => [until, hop.kind]),
      [
        [5n, 'local'],
        [7n, 'unreachable'],
        [9n, 'tunnel'],
      ],
    );
    const again = compileImage({
      ...self,
      routes,
      formers: [],
      tunnels: [{ peer: id(9), link, stable, use: 'all' as const }],
    });
    assert.ok(sameImage(image, again));
    assert.equal(sameImage(image, compileImage({ ...self, routes, formers: [], tunnels: [] })), false);
    assert.equal(sameImage(undefined, again), false);
    const formers = [{ until: id(5), owner: id(9) }];
    const inherited = compileImage({
      ...self,
      routes,
      formers,
      tunnels: [{ peer: id(9), link, stable, use: 'all' as const }],
    });
    assert.deepEqual(inherited.ranges[0], { until: 5n, hop: { kind: 'local', former: 9n } });
    assert.equal(sameImage(image, inherited), false);
    const lost = compileImage({
      ...self,
      routes,
      formers,
      tunnels: [{ peer: id(9), link, stable, use: 'ranges' as const }],
    });
    assert.deepEqual(lost.ranges[0]?.hop, { kind: 'local' });
  });
});
