import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeStatus, RdStatus } from '../../overlay/messages/control.ts';
import { chooseNode, type RdOptions } from '../command.ts';

const node = (name: string, id: string, netns: string | null): NodeStatus =>
  ({ vi: { name, id }, netns, name: `${id} ${netns ?? 'host'}` }) as unknown as NodeStatus;

const chosen = (nodes: NodeStatus[], options: RdOptions): string => {
  try {
    return chooseNode({ nodes } as unknown as RdStatus, options).name;
  } catch (error) {
    return (error as Error).message;
  }
};

const [LAB, TWIN] = ['vi-000000000000000a', 'vi-000000000000000b'];

test('a node is chosen by its VI, name or id, and by its network namespace', () => {
  const nodes = [node('lab', LAB, null), node('lab', LAB, 'blue'), node('shop', 'vi-000000000000000c', null)];
  assert.equal(chosen(nodes, { vi: 'shop' }), 'vi-000000000000000c host');
  assert.equal(chosen(nodes, { vi: 'vi-000000000000000c' }), 'vi-000000000000000c host');
  assert.equal(chosen(nodes, { vi: 'lab', netns: 'blue' }), `${LAB} blue`);
  assert.equal(chosen(nodes, { vi: 'lab', netns: '' }), `${LAB} host`);
  assert.match(chosen(nodes, {}), /choose one with --vi NAME\.$/);
  assert.match(chosen(nodes, { vi: 'lab' }), /choose one with --netns NAME, or --netns '' for/);
  assert.match(chosen(nodes, { vi: 'nope' }), /of that VI runs here; choose from: lab, shop\.$/);
  assert.match(chosen(nodes, { vi: 'shop', netns: 'blue' }), /in that network namespace/);
});

test('VIs of several overlay managers may have one name; their ids tell them apart', () => {
  const nodes = [node('lab', LAB, null), node('lab', TWIN, null)];
  assert.match(chosen(nodes, { vi: 'lab' }), /choose one with --vi and the VI's id/);
  assert.equal(chosen(nodes, { vi: TWIN }), `${TWIN} host`);
});
