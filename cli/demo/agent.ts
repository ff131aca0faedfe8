/**
 * An ordinary HTTP server on [::]:8080 that answers with its machine's name, and an ordinary HTTP client; one process
 * per machine of the demo. Takes orders over the channel of its parent; ends with it, unless told to stay.
 *
 * Argument: the name.
 */
import { Agent, createServer, get } from 'node:http';
import { systemClock } from '../../overlay/lib/clock.ts';
import { type AgentAnswer, type AgentOrder, type Fetched, HTTP_PORT } from './agent-client.ts';

const [, , name = ''] = process.argv;
let staying = false;

const server = createServer((request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', connection: 'close' });
  response.end(`${name} ${request.url ?? ''}\n`);
});

function fetchOnce(address: string, timeoutMs: number): Promise<Fetched> {
  const started = systemClock.now();
  const { promise, resolve } = Promise.withResolvers<Fetched>();
  const finish = (by: string | null, error: string | null): void => {
    resolve({ by, error, ms: systemClock.now() - started });
  };
  const options = { host: address, port: HTTP_PORT, path: '/', agent: new Agent({ keepAlive: false }) };
  const request = get(options, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (text: string) => (body += text));
    response.on('end', () => finish(body.split(' ')[0] ?? '', null));
    response.on('error', (error) => finish(null, error.message));
  });
  request.setTimeout(timeoutMs, () => request.destroy(new Error('timeout')));
  // setTimeout above counts idle time on a socket; this one bounds the whole.
  const timer = setTimeout(() => request.destroy(new Error('timeout')), timeoutMs);
  request.on('error', (error) => finish(null, error.message));
  request.on('close', () => {
    clearTimeout(timer);
    finish(null, 'closed');
  });
  return promise;
}

async function fetchAll(addresses: readonly string[], timeoutMs: number, parallel: number): Promise<Fetched[]> {
  const results: Fetched[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < addresses.length) {
      const at = next++;
      results[at] = await fetchOnce(addresses[at] ?? '', timeoutMs);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return results;
}

async function obey(order: AgentOrder): Promise<AgentAnswer> {
  if (order.kind === 'stay') {
    staying = true;
    return { ticket: order.ticket, fetched: [] };
  }
  return { ticket: order.ticket, fetched: await fetchAll(order.addresses, order.timeoutMs, order.parallel) };
}

process.on('message', (order: AgentOrder) => {
  void obey(order).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => {
  if (!staying) process.exit(0);
});
server.listen(HTTP_PORT, '::', () => process.send?.({ ticket: 0, fetched: [] } satisfies AgentAnswer));
