/** What can be read on the base network of a world: everything that its switch carries, as tcpdump writes it down. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, within } from '../../cli/demo/namespaces.ts';
import type { World } from '../../cli/demo/world.ts';

/** Bytes that ping takes and repeats over its packets. */
const PATTERN_BYTES = 16;
/** For the last packets to come by. */
const SETTLE_MS = 300;

export type Capture = {
  /** Ends it; resolves with every byte that went over the switch, headers included. */
  stop(): Promise<Buffer>;
};

/** Reads from when it resolves on. */
export async function capture(context: TestContext, world: World): Promise<Capture> {
  const file = join(world.directory, `wire-${randomBytes(4).toString('hex')}.pcap`);
  const command = ['tcpdump', '-i', 'br0', '-U', '-n', '-s', '0', '--immediate-mode', '-Z', 'root', '-w', file];
  const [program = '', ...rest] = within(world.switch, command);
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
  context.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  let said = '';
  while (!said.includes('listening on')) {
    const [more] = (await Promise.race([once(child.stderr, 'data'), ended])) as [Buffer | number | null];
    if (!(more instanceof Buffer)) throw new Error(`tcpdump ended: ${said}`);
    said += more.toString();
  }
  child.stderr.resume();
  return {
    async stop(): Promise<Buffer> {
      await sleep(SETTLE_MS);
      child.kill('SIGINT');
      await ended;
      const bytes = readFileSync(file);
      rmSync(file);
      return bytes;
    },
  };
}

/** Something that is nowhere else. */
export function secretText(): Buffer {
  return randomBytes(PATTERN_BYTES);
}

/** Pings with this text in every packet; resolves with the number of answers. */
export async function pingWith(
  text: Buffer,
  namespace: string,
  address: string,
  options: { readonly count?: number; readonly intervalSeconds?: number } = {},
): Promise<number> {
  const { count = 3, intervalSeconds = 0.1 } = options;
  const timing = ['-c', String(count), '-i', String(intervalSeconds), '-W', '2'];
  const command = ['ping', '-n', ...timing, '-s', '200', '-p', text.toString('hex'), address];
  const { stdout } = await run(within(namespace, command));
  return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
}
