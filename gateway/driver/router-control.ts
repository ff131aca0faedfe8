/** How commands speak to a router's gateway: one line of JSON each way, by a Unix socket that only root may use. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import type { QueueStatistics } from '../../native/index.ts';
import { type ErrorCode, fail } from '../../overlay/errors.ts';
import { GATEWAY_FLOWS_MAX, type GatewayFlows, type PolicyInForce } from '../../overlay/gateway-status.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { ManagedGateway } from './managed-gateway.ts';

type Router = ManagedGateway<QueueStatistics>;

export type RouterQuestion =
  | { readonly t: 'reload' }
  | { readonly t: 'statistics' }
  | { readonly t: 'flows'; readonly most: number };
export type RouterAnswers = {
  readonly reload: PolicyInForce;
  readonly statistics: QueueStatistics;
  readonly flows: GatewayFlows;
};

const LINE_BYTES_MAX = 4096;
const CONNECTIONS_MAX = 16;
const ANSWER_MS = 10_000;

/** `run`: the directory for sockets. */
export function controlPath(run: string, queue: number): string {
  return `${run}/gateway-${queue}.sock`;
}

export async function serveControl(path: string, router: Router): Promise<Result<Server>> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  // Queues are numbered in each network namespace anew, so that another gateway may have the same number.
  const other = await askRouter(path, { t: 'statistics' });
  if (other.ok)
    return fail('CONFLICT', `Another gateway answers at ${path}; give this one a directory of its own with --run.`);
  rmSync(path, { force: true });
  const server = createServer((socket) => answerAll(socket, router));
  server.maxConnections = CONNECTIONS_MAX;
  const { promise, resolve } = Promise.withResolvers<Result<Server>>();
  server.once('error', (error) => resolve(fail('SYSTEM', `The socket ${path} cannot be made: ${error.message}.`)));
  const before = process.umask(0o177);
  server.listen(path, () => {
    chmodSync(path, 0o600);
    resolve(ok(server));
  });
  process.umask(before);
  return promise;
}

function answerAll(socket: Socket, router: Router): void {
  socket.on('error', () => socket.destroy());
  let bytes = 0;
  socket.on('data', (data) => {
    bytes += data.length;
    if (bytes > LINE_BYTES_MAX) socket.destroy();
  });
  createInterface(socket).on('line', (line) => {
    bytes = 0;
    socket.end(`${JSON.stringify(answer(line, router))}\n`);
  });
}

function answer(line: string, router: Router): Result<unknown> {
  const question = questionOf(line);
  if (question === undefined) {
    return fail('BAD_MESSAGE', 'The gateway does not know that question; use the same version of p2pxbone.');
  }
  if (question.t === 'reload') return router.reload();
  return ok(
    question.t === 'statistics' ? router.statistics() : router.flows(Math.min(question.most, GATEWAY_FLOWS_MAX)),
  );
}

function questionOf(line: string): RouterQuestion | undefined {
  try {
    const question = JSON.parse(line) as { t?: unknown; most?: unknown } | null;
    if (question?.t === 'reload' || question?.t === 'statistics') return { t: question.t };
    const { most } = question ?? {};
    const isCount = typeof most === 'number' && Number.isInteger(most) && most >= 0;
    return question?.t === 'flows' && isCount ? { t: 'flows', most } : undefined;
  } catch {
    return undefined;
  }
}

export async function askRouter<Kind extends RouterQuestion['t']>(
  path: string,
  question: RouterQuestion & { t: Kind },
): Promise<Result<RouterAnswers[Kind]>> {
  const { promise, resolve } = Promise.withResolvers<Result<RouterAnswers[Kind]>>();
  const socket = connect(path);
  const failed = (code: ErrorCode, message: string): void => resolve(fail(code, message));
  socket.setTimeout(ANSWER_MS, () => failed('GATEWAY_UNREACHABLE', `The gateway at ${path} does not answer.`));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EACCES') return failed('NOT_PERMITTED', `${path} may not be used; run it as root.`);
    failed('GATEWAY_UNREACHABLE', `No gateway runs at ${path}; start it with 'p2pxbone gateway run'.`);
  });
  socket.on('connect', () => socket.write(`${JSON.stringify(question)}\n`));
  let text = '';
  socket.on('data', (data) => {
    text += data.toString();
  });
  socket.on('end', () => {
    try {
      resolve(JSON.parse(text) as Result<RouterAnswers[Kind]>);
    } catch {
      failed('BAD_MESSAGE', `The gateway at ${path} has answered something strange; use the same version of p2pxbone.`);
    }
  });
  return promise.finally(() => socket.destroy());
}
