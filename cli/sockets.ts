/** The connected sockets of a network namespace, as the system's `ss` lists them. */
import { execFile } from 'node:child_process';
import { formatAddress, parseAddress } from '../overlay/addresses.ts';
import { OverlayError } from '../overlay/errors.ts';
import { inNamespace } from './target.ts';

export type SocketEnd = { readonly address: string; readonly port: number };
export type ConnectedSocket = {
  readonly protocol: string;
  readonly state: string;
  readonly local: SocketEnd;
  readonly remote: SocketEnd;
};

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const IPV4_MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;

export async function connectedSockets(namespace: string | undefined): Promise<ConnectedSocket[]> {
  const [program = '', ...args] = inNamespace(namespace, ['ss', '-Htuna']);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  execFile(program, args, { maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout) => {
    if (error === null) resolve(stdout);
    else reject(new OverlayError('SYSTEM', `The sockets cannot be listed: ${error.message.trim()}`));
  });
  return parseSockets(await promise);
}

/** Reads the output of `ss -Htuna`; sockets without a far end are left out. */
export function parseSockets(text: string): ConnectedSocket[] {
  return text.split('\n').flatMap((line) => {
    const [protocol, state, , , localText, remoteText] = line.trim().split(/\s+/);
    const [local, remote] = [parseEnd(localText ?? ''), parseEnd(remoteText ?? '')];
    if (protocol === undefined || state === undefined || local === undefined || remote === undefined) return [];
    return [{ protocol, state, local, remote }];
  });
}

/** ADDRESS:PORT, [ADDRESS]:PORT, either with a %SCOPE; undefined for a wildcard. */
function parseEnd(text: string): SocketEnd | undefined {
  const match = /^\[?([^\]%]+)\]?(?:%[^:]+)?\]?:(\d+)$/.exec(text);
  const [, addressText = '', port] = match ?? [];
  const bytes = parseAddress(IPV4_MAPPED.exec(addressText)?.[1] ?? addressText);
  return bytes === undefined ? undefined : { address: formatAddress(bytes), port: Number(port) };
}
