import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { keyAddressOf } from '../../cli/demo/check.ts';
import type { Machine } from '../../cli/demo/machine.ts';
import { within } from '../../cli/demo/namespaces.ts';
import { idOfKey } from '../../overlay/id.ts';
import { ringFor, skip, VI } from './topology.ts';

const PROGRAM = fileURLToPath(new URL('./programs/conversations.ts', import.meta.url));
const KEYS = 200;

function start(context: TestContext, machine: Machine, args: readonly string[]): ChildProcess {
  const [program = '', ...rest] = within(machine.namespace, [process.execPath, PROGRAM, ...args]);
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
  context.after(() => child.kill('SIGKILL'));
  return child;
}

class Conversations {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface(child.stdout ?? assert.fail());
  }

  async ask(): Promise<readonly (string | null)[]> {
    const line = once(this.#lines, 'line');
    this.#child.stdin?.write('\n');
    return JSON.parse(String((await line)[0])) as (string | null)[];
  }
}

test('open connections to keys go on where they began when nodes join in front of them', {
  skip,
  timeout: 120_000,
}, async (context) => {
  const { world, members } = await ringFor(context, 4, { order: 'at once' });
  const serve = async (machine: Machine): Promise<void> => {
    await once(start(context, machine, ['serve', machine.name]).stdout ?? assert.fail(), 'data');
  };
  await Promise.all(members.map(({ machine }) => serve(machine)));
  const [client] = members;
  assert.ok(client);
  const addresses = Array.from({ length: KEYS }, (_, i) => keyAddressOf(client.node, idOfKey(`held-${i}`)));
  const hold = (): Conversations => new Conversations(start(context, client.machine, ['hold', ...addresses]));
  const old = hold();
  const before = await old.ask();
  assert.equal(before.includes(null), false);

  let holders = before;
  const movedTwice = new Set<number>();
  for (let joiners = 0; joiners < 2; joiners++) {
    const [joiner] = await world.addMachines(1);
    assert.ok(joiner);
    await joiner.mustJoin(await world.invite(VI));
    await serve(joiner);
    await world.untilIdeal({ timeoutMs: 30_000 });
    const now = await hold().ask();
    assert.equal(now.includes(null), false);
    // A range remembers the last of its former holders only.
    for (const [i, name] of now.entries()) if (name !== holders[i] && holders[i] !== before[i]) movedTwice.add(i);
    holders = now;
    const answers = await old.ask();
    const isKept = (name: string | null, i: number): boolean => movedTwice.has(i) || name === before[i];
    assert.deepEqual(
      answers.filter((name, i) => !isKept(name, i)),
      [],
    );
  }
  const taken = holders.filter((name, i) => name !== before[i]).length;
  assert.ok(taken > 0, 'the joiners answer for some of the keys now');
  context.diagnostic(`${taken} of ${KEYS} keys are the joiners’ now, ${movedTwice.size} of them in third hands`);
});
