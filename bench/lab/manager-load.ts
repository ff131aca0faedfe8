/** What an overlay manager, a real one in a process of its own, can answer in a second; the load comes from this process. */
import { readFileSync } from 'node:fs';
import { valueOf } from '../../cli/command.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { Result } from '../../overlay/lib/result.ts';
import { createOmClient, type OmClient } from '../../overlay/om-client.ts';
import { AddressServerLab } from './address-server.ts';

const NODES = 16;
const WARM_UP_S = 1;
const CONTACT_BYTES = 60;

/** Per second. */
export type ManagerLoad = { readonly heartbeats: number; readonly bootstraps: number; readonly joins: number };

/** Nodes keep their connections, and each asks again as soon as it has its answer. */
export async function measureManager(seconds: number): Promise<ManagerLoad> {
  const lab = new AddressServerLab();
  try {
    await lab.start();
    const started = systemClock.now();
    const list = readFileSync(await lab.addNodes('tls', NODES), 'utf8');
    const joins = (NODES * 1000) / (systemClock.now() - started);
    const caPem = readFileSync(lab.caFile, 'utf8');
    const clients = list
      .trim()
      .split('\n')
      .map((line) => {
        const [, , certFile = '', keyFile = ''] = line.split(' ');
        const clientCertificate = { certPem: readFileSync(certFile, 'utf8'), keyPem: readFileSync(keyFile, 'utf8') };
        return createOmClient({ ...lab.manager, caPem, clientCertificate });
      });
    const contact = Buffer.alloc(CONTACT_BYTES, 1).toString('base64');
    const heartbeat = (client: OmClient) => client.heartbeat({ incarnation: 1, contact, member: true });
    const heartbeats = await rateOf(clients, seconds, heartbeat);
    const bootstraps = await rateOf(clients, seconds, (client) => client.bootstrap());
    for (const client of clients) client.close();
    return { heartbeats, bootstraps, joins };
  } finally {
    lab.remove();
  }
}

async function rateOf(
  clients: readonly OmClient[],
  seconds: number,
  ask: (client: OmClient) => Promise<Result<unknown>>,
): Promise<number> {
  const from = systemClock.now() + WARM_UP_S * 1000;
  const until = from + seconds * 1000;
  let answered = 0;
  const loop = async (client: OmClient): Promise<void> => {
    while (systemClock.now() < until) {
      valueOf(await ask(client));
      if (systemClock.now() >= from) answered++;
    }
  };
  await Promise.all(clients.map(loop));
  return answered / seconds;
}
