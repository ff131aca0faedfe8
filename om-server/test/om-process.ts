/** An overlay manager as a process of its own, to be killed: om-process.ts DATA PORT LOGLEVEL. Prints its port. */
import type { LogLevel } from '../../overlay/lib/log.ts';
import { startOm } from '../server.ts';

const [data = '', port = '0', logLevel = 'silent'] = process.argv.slice(2);
const started = await startOm({
  data,
  listen: { host: '127.0.0.1', port: Number(port) },
  addressListen: { host: '127.0.0.1', port: 0 },
  logLevel: logLevel as LogLevel,
});
if (!started.ok) {
  process.stderr.write(`${started.code}: ${started.message}\n`);
  process.exit(1);
}
process.on('SIGTERM', () => void started.value.close());
process.stdout.write(`${started.value.address.port}\n`);
