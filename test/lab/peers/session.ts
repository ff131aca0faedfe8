/** What the lab does in every protocol for sharing and chat: somebody gets a file, and says something. */
import type { Sockets } from '../sockets.ts';

export type Sides = {
  /** Behind the router: who wants the file, and talks. */
  readonly near: Sockets;
  /** Who has the file, listens, and runs the servers. */
  readonly far: Sockets;
};

export type Protocol = {
  /** What the lab calls it, and what the gateway does. */
  readonly name: string;
  readonly application: string;
  /** Its files can be scanned and recorded: they come in one piece. */
  readonly wholeFiles: boolean;
  /** Finds and gets a file in a session of its own; resolves with what came of it. */
  fetch(name: string, content: Uint8Array): Promise<Buffer>;
  /** Says something in a session of its own; whether it was heard. Absent: there is no chat. */
  say?(text: string): Promise<boolean>;
};

export function le(value: number, bytes: number): Buffer {
  const out = Buffer.alloc(bytes);
  if (bytes === 8) out.writeBigUInt64LE(BigInt(value));
  else out.writeUIntLE(value, 0, bytes);
  return out;
}

export function join(...parts: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}
