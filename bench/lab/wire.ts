/** Looks at what is on a cable, to be sure that what is measured as secure is secure. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../../cli/demo/namespaces.ts';

const START_MS = 300;

/** Plain VXLAN datagrams of a VI that cross a device of this namespace while `work` runs. IPv4 underneath. */
export async function countPlainVxlan(
  namespace: string,
  device: string,
  vni: number,
  work: () => Promise<unknown>,
): Promise<number> {
  const filter = `udp[8] = 8 and udp[12:2] = ${vni >> 8} and udp[14] = ${vni & 0xff}`;
  const [program = '', ...rest] = within(namespace, ['tcpdump', '-n', '-l', '-i', device, filter]);
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'ignore'] });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const closed = new Promise((resolve) => {
    child.on('close', resolve);
    child.on('error', resolve);
  });
  try {
    await sleep(START_MS);
    await work();
    await sleep(START_MS);
  } finally {
    child.kill('SIGTERM');
  }
  await closed;
  // It ends with an empty line.
  return printed.split('\n').filter((line) => line !== '').length;
}
