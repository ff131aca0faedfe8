/** A policy, and the lists and signatures beside it, from the disk. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FileText, PolicyFiles, Scope } from '../core/compilation.ts';
import { type Compiled, compilePolicy } from '../core/compile.ts';
import type { CompiledPolicy } from '../core/compiled-policy.ts';
import { POLICY_TEXT_MAX } from '../core/policy-document.ts';

/** Of a list with as many hashes as a policy may have. */
const LIST_BYTES_MAX = 256 * 1024 * 1024;
/** Of a signature file; the native reader has the same limit. */
const SIGNATURE_BYTES_MAX = 65_536;
const SIGNATURE_FILES_MAX = 1024;

export type LoadedPolicy = Compiled & {
  /** Why there is no text to compile; the rest of a sentence behind the path. */
  readonly unreadable?: string;
};

/** Paths in the policy are relative to its directory. */
export function loadPolicy(path: string, scope: Scope): LoadedPolicy {
  const text = textOf(path, path, POLICY_TEXT_MAX);
  if ('error' in text) return { problems: [], unreadable: text.error };
  return compilePolicy(path, text.text, policyFiles(dirname(path)), scope);
}

/** The texts of the signature files that the policy names, for those who have compiled it already. */
export function signatureTexts(path: string, policy: CompiledPolicy): { file: string; text: string }[] {
  const files = policyFiles(dirname(path));
  const named = policy.services.signatures.flatMap((name) => files.readSignatures(name));
  return named.flatMap((file) => ('text' in file ? [{ file: file.path, text: file.text }] : []));
}

/** Those that come with the gateway. */
export function ownSignatures(): { file: string; text: string }[] {
  const directory = fileURLToPath(new URL('../signatures', import.meta.url));
  return signatures('signatures', directory).flatMap((file) =>
    'text' in file ? [{ file: file.path, text: file.text }] : [],
  );
}

function policyFiles(directory: string): PolicyFiles {
  return {
    readList: (path) => textOf(path, resolve(directory, path), LIST_BYTES_MAX),
    readSignatures: (path) => signatures(path, resolve(directory, path)),
  };
}

function signatures(shown: string, path: string): readonly FileText[] {
  try {
    if (!statSync(path).isDirectory()) return [textOf(shown, path, SIGNATURE_BYTES_MAX)];
    const names = readdirSync(path).filter((name) => name.endsWith('.pat'));
    if (names.length === 0) return [{ path: shown, error: 'has no files *.pat; give the directory that has.' }];
    if (names.length > SIGNATURE_FILES_MAX) {
      return [{ path: shown, error: `has more than ${SIGNATURE_FILES_MAX} signature files; move some away.` }];
    }
    return names.sort().map((name) => textOf(join(shown, basename(name)), join(path, name), SIGNATURE_BYTES_MAX));
  } catch (error) {
    return [{ path: shown, error: reasonOf(error) }];
  }
}

/** `shown` is the path in messages. */
function textOf(shown: string, path: string, bytesMax: number): FileText {
  try {
    const { size } = statSync(path);
    if (size > bytesMax) return { path: shown, error: `is larger than ${bytesMax} bytes; make it smaller.` };
    return { path: shown, text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)) };
  } catch (error) {
    if (error instanceof TypeError) return { path: shown, error: 'is not UTF-8; convert it.' };
    return { path: shown, error: reasonOf(error) };
  }
}

function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'does not exist; correct the path.';
  if (code === 'EISDIR') return 'is a directory; name a file.';
  return `cannot be read (${code ?? String(error)}); see that it is there and readable.`;
}
