/** An overlay manager whose certificates live for seconds: short-lived-om.ts DATA HOST PORT SECONDS. */
import { startOm } from '../../om-server/server.ts';

const DAY_S = 86_400;
const [data = '', host = '', port = '0', seconds = '60'] = process.argv.slice(2);
const started = await startOm({
  data,
  listen: { host, port: Number(port) },
  certificateDays: Number(seconds) / DAY_S,
});
if (!started.ok) {
  process.stderr.write(`${started.code}: ${started.message}\n`);
  process.exit(1);
}
process.on('SIGTERM', () => void started.value.close());
