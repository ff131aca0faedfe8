/** wireguard-go as Debian packages it, set up with wg. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ip, run } from '../../cli/demo/namespaces.ts';
import { type Host, type Lab, mustRun } from '../lab/lab.ts';
import { deviceMtu, untilDevice, untilReachable } from './reachable.ts';
import type { Variant } from './variant.ts';

const PORT = 51820;

type End = { readonly host: Host; readonly inner: Host; readonly device: string; readonly privateKey: string };

export async function wireguardGo(lab: Lab, a: Host, b: Host): Promise<Variant> {
  const secrets = lab.secretDirectory('wireguard');
  const ends: End[] = [];
  const publicKeys: string[] = [];
  const pids: number[] = [];
  for (const [index, host] of [a, b].entries()) {
    const privateKey = join(secrets, `key${index}`);
    const key = await mustRun(host.namespace, ['wg', 'genkey']);
    writeFileSync(privateKey, key, { mode: 0o600 });
    publicKeys.push((await run(['wg', 'pubkey'], key)).stdout.trim());
    // Its control socket lies in one directory for all namespaces, under the device's name.
    const device = `${lab.id}w${index}`;
    const log = `wireguard${index}.log`;
    const quiet = { LOG_LEVEL: 'error', WG_PROCESS_FOREGROUND: '1' };
    const child = lab.start(host.namespace, ['wireguard-go', '-f', device], log, quiet);
    await untilDevice(lab, host.namespace, device, log);
    pids.push(child.pid ?? 0);
    ends.push({ host, inner: { namespace: host.namespace, address: `10.202.0.${index + 1}` }, device, privateKey });
  }
  for (const [index, { host, inner, device, privateKey }] of ends.entries()) {
    const peer = ends[1 - index] as End;
    const own = ['listen-port', String(PORT), 'private-key', privateKey];
    const allowed = ['endpoint', `${peer.host.address}:${PORT}`, 'allowed-ips', `${peer.inner.address}/32`];
    await mustRun(host.namespace, ['wg', 'set', device, ...own, 'peer', publicKeys[1 - index] ?? '', ...allowed]);
    await ip(host.namespace, [`addr add ${inner.address}/24 dev ${device}`, `link set ${device} up`]);
  }
  const [from, to] = ends as [End, End];
  await untilReachable('wireguard-go', from.inner, to.inner);
  const mtu = await deviceMtu(a.namespace, from.device);
  return { name: 'wireguard-go', from: from.inner, to: to.inner, mtu, pids };
}
