/** Network namespaces that play machines: each has one interface into a switch, a bridge in a namespace of its own. */
import { spawn } from 'node:child_process';
import { OverlayError } from '../../overlay/errors.ts';

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs a program to its end; a code other than 0 is a value. */
export function run(command: readonly string[], input = ''): Promise<Ran> {
  const [program = '', ...rest] = command;
  const { promise, resolve, reject } = Promise.withResolvers<Ran>();
  const child = spawn(program, rest, { stdio: 'pipe', env: { ...process.env, LC_ALL: 'C' } });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  child.on('error', (error) => reject(new OverlayError('SYSTEM', `${program} cannot be started: ${error.message}.`)));
  child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
  return promise;
}

/** Many commands of iproute2 in one process; namespace undefined is the caller's own. */
export async function ip(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  const { code, stderr } = await run(['ip', ...where, '-batch', '-'], `${lines.join('\n')}\n`);
  if (code !== 0)
    throw new OverlayError('SYSTEM', `ip cannot set up ${namespace ?? 'the machines'}: ${stderr.trim()}.`);
}

/** A command line in a namespace. */
export function within(namespace: string, command: readonly string[]): readonly string[] {
  return ['nsenter', `--net=/run/netns/${namespace}`, '--', ...command];
}

export async function createNamespaces(names: readonly string[]): Promise<void> {
  await ip(
    undefined,
    names.map((name) => `netns add ${name}`),
  );
}

/** Ends every process inside, at once, and removes the namespaces with all their interfaces. */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  await Promise.all(
    names.map(async (name) => {
      await killInside(name);
      await run(['ip', 'netns', 'del', name]);
    }),
  );
}

export async function killInside(name: string): Promise<void> {
  for (const pid of await processesIn(name)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
}

export async function processesIn(name: string): Promise<number[]> {
  const { stdout } = await run(['ip', 'netns', 'pids', name]);
  return stdout.split('\n').filter(Boolean).map(Number);
}

export async function namespacesWithPrefix(prefix: string): Promise<string[]> {
  const { stdout } = await run(['ip', 'netns', 'list']);
  return stdout
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => name.startsWith(prefix));
}
