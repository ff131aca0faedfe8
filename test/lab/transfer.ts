/** Runs programs/transfer.ts between two machines. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { run, within } from '../../cli/demo/namespaces.ts';

const PROGRAM = fileURLToPath(new URL('./programs/transfer.ts', import.meta.url));

/** Milliseconds that it took to send so many bytes to the address; checks that they arrived unchanged. */
export async function transfer(fromNetns: string, toNetns: string, address: string, bytes: number): Promise<number> {
  const [program = '', ...rest] = within(toNetns, [process.execPath, PROGRAM, 'serve']);
  const server = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(server.stdout, 'data');
    const sender = within(fromNetns, ['timeout', '60', process.execPath, PROGRAM, 'send', address, String(bytes)]);
    const { code, stdout, stderr } = await run(sender);
    assert.equal(code, 0, `the transfer ended with ${code}: ${stderr}`);
    const result = JSON.parse(stdout) as { answer: { bytes: number; digest: string }; digest: string; ms: number };
    assert.equal(result.answer.bytes, bytes);
    assert.equal(result.answer.digest, result.digest);
    return result.ms;
  } finally {
    server.kill('SIGKILL');
  }
}
