/** Settings of the whole machine that a benchmark needs otherwise than they are, and that are put back. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class MachineSettings {
  /** What the files of settings said before. */
  readonly #before = new Map<string, string>();

  /** By its name for sysctl. One that is as large already stays. */
  raise(name: string, value: number): void {
    const file = join('/proc/sys', ...name.split('.'));
    const before = readFileSync(file, 'utf8');
    if (Number(before) >= value) return;
    if (!this.#before.has(file)) this.#before.set(file, before);
    writeFileSync(file, String(value));
  }

  restore(): void {
    for (const [file, before] of this.#before) writeFileSync(file, before);
    this.#before.clear();
  }
}
