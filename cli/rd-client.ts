/** Asks a resource daemon over its control socket. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { fail } from '../overlay/errors.ts';
import { encodeFrame, FrameReader } from '../overlay/frames.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import { type FromControl, fromControlCodec, type ToControl, toControlCodec } from '../overlay/messages/control.ts';
import { PartReader } from '../overlay/parts.ts';

const DEFAULT_RUN = '/run/p2pxbone';
const ANSWER_MS = 30_000;

export type AskOptions = {
  /** How long the daemon may be silent, milliseconds; progress counts as an answer. */
  readonly timeoutMs?: number;
  readonly onProgress?: (step: string) => void;
};

export type AnswerNamed<Name extends FromControl['t']> = Extract<FromControl, { t: Name }>;

export function controlSocket(run: string): string {
  return join(run, 'rd.sock');
}

/** The directory of the control socket: as given, from the environment, or the system's. */
export function runDirectory(given?: string): string {
  return given ?? process.env['P2PXBONE_RUN'] ?? DEFAULT_RUN;
}

/** One question on a connection of its own. The failure is the daemon's, or RD_UNREACHABLE, TIMEOUT, NOT_PERMITTED. */
export function askRd<Name extends FromControl['t']>(
  run: string,
  question: ToControl,
  answer: Name,
  options: AskOptions = {},
): Promise<Result<AnswerNamed<Name>>> {
  const path = controlSocket(run);
  const { promise, resolve } = Promise.withResolvers<Result<AnswerNamed<Name>>>();
  const socket = connect(path);
  const reader = new FrameReader();
  const parts = new PartReader();
  const finish = (result: Result<AnswerNamed<Name>>): void => {
    socket.destroy();
    resolve(result);
  };
  const take = (message: FromControl): void => {
    if (message.t === 'progress') options.onProgress?.(message.step);
    else if (message.t === 'failed') finish(fail(message.code, message.message));
    else if (message.t === answer) finish(ok(message as AnswerNamed<Name>));
    else finish(fail('BAD_MESSAGE', `The resource daemon answered '${message.t}' where '${answer}' was expected.`));
  };
  socket.setTimeout(options.timeoutMs ?? ANSWER_MS, () => {
    finish(fail('TIMEOUT', `The resource daemon at ${path} accepts questions but does not answer; see its log.`));
  });
  socket.on('connect', () => socket.write(encodeFrame(toControlCodec.encode(question))));
  socket.on('data', (bytes: Uint8Array) => {
    const messages = reader.push(bytes);
    if (!messages.ok) return finish(messages);
    for (const bytes of messages.value) {
      const message = fromControlCodec.decode(bytes);
      const whole = message.ok ? parts.take(message.value) : message;
      if (!whole.ok) return finish(whole);
      if (whole.value !== undefined) take(whole.value);
    }
  });
  socket.on('error', (error: NodeJS.ErrnoException) => finish(connectFailure(error, path)));
  socket.on('close', () => finish(fail('RD_UNREACHABLE', `The resource daemon at ${path} closed the connection.`)));
  return promise;
}

/** Whether a resource daemon answers there. */
export async function rdAnswers(run: string): Promise<boolean> {
  return (await askRd(run, { t: 'status' }, 'status', { timeoutMs: 5000 })).ok;
}

function connectFailure(error: NodeJS.ErrnoException, path: string): ReturnType<typeof fail> {
  if (error.code === 'EACCES' || error.code === 'EPERM') {
    return fail('NOT_PERMITTED', `The control socket ${path} is not open to you; run this as root.`);
  }
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
    return fail('RD_UNREACHABLE', `No resource daemon answers at ${path}; start one with 'p2pxbone rd start'.`);
  }
  return fail('RD_UNREACHABLE', `The resource daemon at ${path} cannot be asked: ${error.message}.`);
}
