/** Virtual nodes with gateways of their own: policies, commands, and files by HTTP between them. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Member } from '../../cli/demo/check.ts';
import type { Machine } from '../../cli/demo/machine.ts';
import { run, within } from '../../cli/demo/namespaces.ts';
import { nginxCommand } from './nginx.ts';
import { VI } from './topology.ts';

export const POLICY_HEAD = 'policy: p2pxbone gateway, format 1\n';

export const policyOf = (machine: Machine): string => join(machine.directory, 'policy.yaml');

/** A resource daemon whose nodes have a gateway with this policy. */
export async function startManaged(machine: Machine, policy: string): Promise<void> {
  writeFileSync(policyOf(machine), policy);
  writeFileSync(join(machine.directory, 'rd.yaml'), `gateway: [{vi: ${VI}, policy: policy.yaml}]\n`);
  await machine.startRd(['--config', join(machine.directory, 'rd.yaml')]);
}

export async function gateway({ machine }: Member, ...words: string[]): ReturnType<Machine['command']> {
  return machine.command(['gateway', ...words, '--vi', VI, '--run', machine.run]);
}

/** What `gateway reload` says of it. */
export async function usePolicy(member: Member, policy: string): Promise<string> {
  writeFileSync(policyOf(member.machine), policy);
  const reloaded = await gateway(member, 'reload');
  assert.equal(reloaded.code, 0, reloaded.stderr);
  return reloaded.stdout;
}

export type Fetched = { readonly status: number; readonly bytes: number; readonly exit: number };

export type FetchOptions = { readonly into?: string; readonly seconds?: number };

export async function fetch(from: Member, to: Member, name: string, options: FetchOptions = {}): Promise<Fetched> {
  const { into = '/dev/null', seconds = 10 } = options;
  const form = '%{http_code} %{size_download} %{exitcode}';
  const url = `http://${to.node.ipv4}/${name}`;
  const command = ['curl', '-s', '-m', String(seconds), '-o', into, '-w', form, url];
  const { stdout } = await run(within(from.machine.namespace, command));
  const [status = 0, bytes = 0, exit = 0] = stdout.split(' ').map(Number);
  return { status, bytes, exit };
}

/** nginx at the node's addresses, until it is killed. */
export function serve({ machine, node }: Member, files: Readonly<Record<string, string | Uint8Array>>): ChildProcess {
  const directory = join(machine.directory, 'web');
  mkdirSync(directory);
  const listen = [`${node.ipv4}:80`, `[${node.ipv6}]:80`];
  const [program = '', ...words] = within(machine.namespace, nginxCommand(directory, listen));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, 'www', name), content);
  return spawn(program, words, { stdio: 'ignore' });
}
