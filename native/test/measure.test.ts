/** Measurements of a path whose capacity is known: the kernel limits the loopback interface of a namespace. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { missingForLab } from './lab.ts';

const skip = missingForLab() ?? missingForLimits() ?? false;
const PROGRAM = fileURLToPath(new URL('./measure-once.ts', import.meta.url));

/** In a namespace of its own. */
const PORT = 4999;

type Outcome = { readonly rttMs: number; readonly bitsPerSecond: number; readonly isBusy: boolean };

function missingForLimits(): string | undefined {
  try {
    execFileSync('unshare', ['--net', 'tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'htb'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'needs tc, and htb in the kernel, to limit a link';
  }
}

async function measured(t: TestContext, megabits: number | undefined): Promise<Outcome> {
  // Only the way there is slow: on one interface the answers would wait behind the requests.
  const limit = [
    'tc qdisc add dev lo root handle 1: htb default 2 r2q 100000',
    `tc class add dev lo parent 1: classid 1:1 htb rate ${megabits}mbit burst 2kb cburst 2kb`,
    'tc class add dev lo parent 1: classid 1:2 htb rate 10gbit',
    `tc filter add dev lo parent 1: protocol ip prio 1 u32 match ip dport ${PORT} 0xffff flowid 1:1`,
  ];
  const steps = ['ip link set lo up', ...(megabits === undefined ? [] : limit), `exec "$0" "$1" ${PORT}`];
  const command = ['--net', 'sh', '-c', steps.join(' && '), process.execPath, PROGRAM];
  const { stdout } = await promisify(execFile)('unshare', command, { timeout: 30_000 });
  t.diagnostic(`${megabits ?? 'no'} Mbit/s: ${stdout.trim()}`);
  return JSON.parse(stdout) as Outcome;
}

for (const megabits of [5, 20]) {
  test(`the capacity of a link of ${megabits} Mbit/s is found`, { skip, timeout: 60_000 }, async (t) => {
    const { bitsPerSecond, rttMs } = await measured(t, megabits);
    // The link counts Ethernet headers and lets some through at once; a processor that is late spreads a train more.
    assert.ok(bitsPerSecond > 0.5e6 * megabits && bitsPerSecond < 1.3e6 * megabits, `${bitsPerSecond}`);
    assert.ok(rttMs >= 0 && rttMs < 500, `${rttMs}`);
  });
}

test('a link without a limit is faster than those', { skip, timeout: 60_000 }, async (t) => {
  const { bitsPerSecond, isBusy } = await measured(t, undefined);
  assert.ok(bitsPerSecond > 100e6 && bitsPerSecond <= 10e9, `${bitsPerSecond}`);
  assert.equal(isBusy, false, 'the next one may begin');
});
