/** A clamd with a database of one signature, which scans for the gateway and gets out of everybody's way. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { untilTrue } from '../../cli/demo/machine.ts';
import { END_CPU, type GatewayNetwork } from './network.ts';

const START_MS = 30_000;
/** The body of the EICAR test file, in two halves, so that nobody takes this file for infected. */
const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-', 'STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'].join('');

/** Resolves to its socket once it listens there. */
export async function startClamd(network: GatewayNetwork): Promise<string> {
  const { lab } = network;
  const home = join(lab.directory, 'clamd');
  const socket = join(home, 'clamd.sock');
  mkdirSync(home);
  writeFileSync(join(home, 'test.ndb'), `Test-Body:0:*:${Buffer.from(EICAR).toString('hex')}\n`);
  const lines = [
    'Foreground yes',
    `DatabaseDirectory ${home}`,
    `LocalSocket ${socket}`,
    'User root',
    'MaxThreads 4',
    'AlertExceedsMax yes',
  ];
  writeFileSync(join(home, 'clamd.conf'), `${lines.join('\n')}\n`);
  const command = ['taskset', '-c', String(END_CPU), 'chrt', '-i', '0', 'clamd', '-c', join(home, 'clamd.conf')];
  lab.start(network.node, command, 'clamd.log');
  await untilTrue('clamd answers', START_MS, 100, () => answers(socket));
  return socket;
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
