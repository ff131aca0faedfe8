/** Which policy is in force for which node, and what becomes of mistakes in it. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Acquaintances } from '../../gateway/driver/loaded-policy.ts';
import type { DataPlane, GatewayRules, GatewayServices, NodeHandle } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import { ok } from '../../overlay/lib/result.ts';
import { parseRdConfig, type RdConfig } from '../../overlay/rd-config.ts';
import type { Membership } from '../driver/files.ts';
import { checkPolicies, openGateway } from '../driver/node-gateways.ts';

const directory = mkdtempSync(join(tmpdir(), 'p2pxbone-gateways-'));
after(() => rmSync(directory, { recursive: true }));

const HEAD = 'policy: p2pxbone gateway, format 1\n';
const NODE = 7 as NodeHandle;

function policy(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, `${HEAD}${text}`);
  return path;
}

function configOf(gateway: { vi?: string; policy: string }[]): RdConfig {
  const parsed = parseRdConfig({ gateway });
  if (!parsed.ok) assert.fail(parsed.message);
  return parsed.value;
}

function memberOf(vi: string, name: string): Membership {
  return { vi: { name: vi }, name, p2pdPort: 4750 } as Membership;
}

const STRANGE: Acquaintances = { isListed: false, prefixes: [], nodes: [] };
const alone = (): Acquaintances => STRANGE;

/** A data plane that notes what it is given. */
class NotedPlane {
  readonly set: { node: NodeHandle; services: GatewayServices; daemonPort: number }[] = [];
  rules: GatewayRules | undefined;
  readonly sets: Uint8Array[] = [];
  refuses = false;

  get plane(): DataPlane {
    return {
      setGateway: (node, services, rules, daemonPort) => {
        if (this.refuses) return fail('SYSTEM', 'Could not start the gateway: it is tired.');
        this.set.push({ node, services, daemonPort });
        this.rules = rules;
        return ok();
      },
      useGatewayRules: (_node, rules) => {
        this.rules = rules;
        return ok();
      },
      useGatewaySets: (_node, sets) => {
        this.sets.push(sets);
        return ok();
      },
    } as Partial<DataPlane> as DataPlane;
  }
}

test('the first policy that is for the VI counts, in a directory of the node’s own', () => {
  const noted = new NotedPlane();
  const lab = policy('lab.yaml', 'audit: {directory: audit, files: {directory: /nowhere}}\nrules: [{do: reject}]\n');
  const all = policy('all.yaml', 'rules: []\n');
  const config = configOf([{ vi: 'lab', policy: lab }, { policy: all }, { vi: 'other', policy: lab }]);
  assert.ok(checkPolicies(config).ok);
  const opened = openGateway(config, noted.plane, NODE, memberOf('lab', 'n1'), alone);
  assert.ok(opened.ok && opened.value?.inForce.rules === 1);
  const audit = join(directory, 'audit', 'lab.n1');
  assert.deepEqual(noted.set[0]?.services.host, 'n1');
  assert.deepEqual(noted.set[0]?.services.audit?.directory, audit);
  assert.equal(noted.set[0]?.services.files, undefined, 'no rule stores');
  assert.equal(noted.set[0]?.daemonPort, 4750);
  assert.ok(existsSync(join(directory, 'audit')));
  const other = openGateway(config, noted.plane, NODE, memberOf('other', 'n1'), alone);
  assert.ok(other.ok && other.value?.inForce.rules === 0);
  const none = openGateway(configOf([{ vi: 'lab', policy: lab }]), noted.plane, NODE, memberOf('other', 'n1'), alone);
  assert.ok(none.ok && none.value === undefined);
});

test('a policy with a mistake is said, and the one in force stays', () => {
  const noted = new NotedPlane();
  const path = policy('changing.yaml', 'rules: [{do: reject}]\n');
  const config = configOf([{ policy: path }]);
  const opened = openGateway(config, noted.plane, NODE, memberOf('lab', 'n1'), alone);
  assert.ok(opened.ok && opened.value !== undefined);
  const inForce = noted.rules;
  policy('changing.yaml', 'rules: [{do: nothing}]\n');
  const refused = opened.value.reload();
  assert.ok(!refused.ok && refused.code === 'BAD_CONFIG');
  assert.match(refused.message, /changing\.yaml:2:/);
  assert.equal(noted.rules, inForce);
  const checked = checkPolicies(config);
  assert.ok(!checked.ok && /changing\.yaml:2:/.test(checked.message));
  assert.ok(!openGateway(config, noted.plane, NODE, memberOf('lab', 'n1'), alone).ok, 'never without');
  policy('changing.yaml', 'audit: {directory: audit}\nrules: []\n');
  const reloaded = opened.value.reload();
  assert.ok(reloaded.ok && reloaded.value.rules === 0);
  assert.match(reloaded.value.warnings[0] ?? '', /holds from the next start on/);
  assert.notEqual(noted.rules, inForce);
  const withAudit = noted.rules;
  policy('changing.yaml', 'rules: [{when: {file: {}}, do: scan}]\n');
  const scanning = opened.value.reload();
  assert.ok(
    !scanning.ok && /asks for a scanner, without which/.test(scanning.message),
    'no rule does less than it says',
  );
  assert.equal(noted.rules, withAudit);
});

test('a gateway that cannot start is a failure, and so is a directory that cannot be made', () => {
  const noted = new NotedPlane();
  noted.refuses = true;
  const plain = configOf([{ policy: policy('plain.yaml', 'rules: []\n') }]);
  const refused = openGateway(plain, noted.plane, NODE, memberOf('lab', 'n1'), alone);
  assert.ok(!refused.ok && refused.message === 'Could not start the gateway: it is tired.');
  const nowhere = configOf([{ policy: policy('nowhere.yaml', 'audit: {directory: /dev/null/x}\nrules: []\n') }]);
  const failed = openGateway(nowhere, new NotedPlane().plane, NODE, memberOf('lab', 'n1'), alone);
  assert.ok(!failed.ok && failed.code === 'SYSTEM');
});

test('names are who bears them now: addresses are exchanged when that changes, and only then', () => {
  const noted = new NotedPlane();
  const path = policy(
    'names.yaml',
    'rules: [{when: {from: "group:guests"}, do: drop}, {when: {to: "node:n9"}, do: drop}]\n',
  );
  const config = configOf([{ policy: path }]);
  assert.ok(checkPolicies(config).ok, 'a daemon that has no node yet takes it');
  const known = (groups: readonly string[], isListed = true): Acquaintances => ({
    isListed,
    prefixes: ['10.77.0.0/16'],
    nodes: [{ name: 'n1', groups, addresses: ['10.77.0.1', 'fd00::1'] }],
  });
  const unlisted = openGateway(config, noted.plane, NODE, memberOf('lab', 'n1'), () => known([], false));
  assert.ok(!unlisted.ok && unlisted.code === 'NOT_READY', 'not before the overlay manager has told of all');

  let now = known(['staff']);
  const opened = openGateway(config, noted.plane, NODE, memberOf('lab', 'n1'), () => now);
  assert.ok(opened.ok && opened.value !== undefined);
  const gateway = opened.value;
  assert.ok(gateway.namesAnybody);
  assert.deepEqual(gateway.inForce.names, [
    { name: 'group:guests', nodes: [], count: 0 },
    { name: 'node:n9', nodes: [], count: 0 },
  ]);
  assert.match(gateway.inForce.warnings.join('\n'), /names\.yaml:2:.*Nobody in the virtual Internet is 'group:guests'/);
  assert.ok(gateway.refresh().ok);
  assert.equal(noted.sets.length, 0, 'nothing has changed');
  now = known(['guests', 'staff']);
  assert.ok(gateway.refresh().ok);
  assert.ok(gateway.refresh().ok);
  assert.equal(noted.sets.length, 1);
  // Two sets, the first of one IPv4 and one IPv6 address, the second empty.
  assert.equal(noted.sets[0]?.length, 2 + 2 * (2 + 4) + 2 * 32);
  assert.deepEqual(gateway.inForce.names[0], { name: 'group:guests', nodes: ['n1'], count: 1 });
  now = known([]);
  assert.ok(gateway.reload().ok);
  assert.ok(gateway.refresh().ok);
  assert.equal(noted.sets.length, 1, 'a policy that is read again has the addresses of its time');
});
