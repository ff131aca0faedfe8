/** Waits until a tunnel works, as seen from inside. */
import { untilTrue } from '../../cli/demo/machine.ts';
import { run, within } from '../../cli/demo/namespaces.ts';
import { type Host, type Lab, mustRun } from '../lab/lab.ts';

const POLL_MS = 200;
const REACHABLE_MS = 20_000;

export async function untilReachable(name: string, from: Host, to: Host): Promise<void> {
  await untilTrue(`an answer to a ping through ${name}`, REACHABLE_MS, POLL_MS, async () => {
    const command = ['ping', '-n', '-c', '1', '-W', '1', '-I', from.address, to.address];
    return (await run(within(from.namespace, command))).code === 0;
  });
}

export async function deviceMtu(namespace: string, device: string): Promise<number> {
  const [link] = JSON.parse(await mustRun(namespace, ['ip', '-json', 'link', 'show', device])) as { mtu: number }[];
  return link?.mtu ?? 0;
}

export async function untilDevice(lab: Lab, namespace: string, device: string, log: string): Promise<void> {
  try {
    await untilTrue(`the interface ${device}`, REACHABLE_MS, POLL_MS, async () => {
      return (await run(within(namespace, ['ip', 'link', 'show', device]))).code === 0;
    });
  } catch (error) {
    throw new Error(`${(error as Error).message} Its log ends: ${lab.logTail(log)}`, { cause: error });
  }
}
