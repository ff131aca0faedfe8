/** A control socket for tests of its client and of the commands: answers by a function of the question. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame, FrameReader } from '../../overlay/frames.ts';
import { type FromControl, type ToControl, toControlCodec } from '../../overlay/messages/control.ts';
import { partsOf } from '../../overlay/parts.ts';
import { controlSocket } from '../rd-client.ts';

export type ControlServer = { readonly run: string; close(): void };

export async function controlServer(
  answer: (question: ToControl, socket: Socket) => readonly FromControl[],
): Promise<ControlServer> {
  const run = mkdtempSync(join(tmpdir(), 'pxc-'));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const reader = new FrameReader();
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Uint8Array) => {
      const messages = reader.push(bytes);
      if (!messages.ok) throw new Error(messages.message);
      for (const bytes of messages.value) {
        const question = toControlCodec.decode(bytes);
        if (!question.ok) throw new Error(question.message);
        for (const message of answer(question.value, socket)) {
          const parts = partsOf(message);
          if (!parts.ok) throw new Error(parts.message);
          for (const part of parts.value) socket.write(encodeFrame(part));
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(controlSocket(run), resolve));
  return {
    run,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      rmSync(run, { recursive: true, force: true });
    },
  };
}
