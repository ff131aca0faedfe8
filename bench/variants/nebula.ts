/** nebula as Debian packages it: an authority, two certificates, one end is the lighthouse. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Host, type Lab, mustRun } from '../lab/lab.ts';
import { deviceMtu, untilDevice, untilReachable } from './reachable.ts';
import type { Variant } from './variant.ts';

const PORT = 4242;
const DEVICE = 'nebula0';

export async function nebula(lab: Lab, a: Host, b: Host): Promise<Variant> {
  const secrets = lab.secretDirectory('nebula');
  const at = (file: string): string => join(secrets, file);
  const ca = ['-ca-crt', at('ca.crt'), '-ca-key', at('ca.key')];
  const cert = (...args: string[]) => mustRun(a.namespace, ['nebula-cert', ...args]);
  await cert('ca', '-name', 'bench', '-out-crt', at('ca.crt'), '-out-key', at('ca.key'));
  const pids: number[] = [];
  const inner: Host[] = [];
  for (const [index, host] of [a, b].entries()) {
    const address = `10.203.0.${index + 1}`;
    const files = { cert: at(`${index}.crt`), key: at(`${index}.key`) };
    const out = ['-out-crt', files.cert, '-out-key', files.key];
    await cert('sign', ...ca, '-name', `end${index}`, '-ip', `${address}/24`, ...out);
    const isLighthouse = index === 0;
    const config = {
      pki: { ca: at('ca.crt'), ...files },
      static_host_map: { '10.203.0.1': [`${a.address}:${PORT}`] },
      lighthouse: { am_lighthouse: isLighthouse, hosts: isLighthouse ? [] : ['10.203.0.1'] },
      listen: { host: host.address, port: PORT },
      tun: { dev: DEVICE },
      logging: { level: 'error' },
      firewall: Object.fromEntries(
        ['inbound', 'outbound'].map((way) => [way, [{ port: 'any', proto: 'any', host: 'any' }]]),
      ),
    };
    writeFileSync(at(`${index}.yaml`), stringify(config), { mode: 0o600 });
    const log = `nebula${index}.log`;
    const child = lab.start(host.namespace, ['nebula', '-config', at(`${index}.yaml`)], log);
    await untilDevice(lab, host.namespace, DEVICE, log);
    pids.push(child.pid ?? 0);
    inner.push({ namespace: host.namespace, address });
  }
  const [from, to] = inner as [Host, Host];
  // The lighthouse learns where the other end is from that end.
  await untilReachable('nebula', to, from);
  await untilReachable('nebula', from, to);
  return { name: 'nebula', from, to, mtu: await deviceMtu(a.namespace, DEVICE), pids };
}
