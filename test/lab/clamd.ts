/** A real clamd that knows one virus: the test string that every scanner knows. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { untilTrue } from '../../cli/demo/machine.ts';
import type { RouterLab } from './router.ts';

/** In two halves, so that nobody takes this file for infected. */
export const EICAR: string = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-', 'STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'].join('');

export class Clamd {
  readonly socket: string;
  readonly #lab: RouterLab;
  readonly #configuration: string;

  constructor(lab: RouterLab, settings = '') {
    this.#lab = lab;
    this.socket = join(lab.directory, 'clamd.sock');
    this.#configuration = join(lab.directory, 'clamd.conf');
    const database = join(lab.directory, 'database');
    mkdirSync(database);
    writeFileSync(join(database, 'local.ndb'), `Test-Body:0:*:${Buffer.from(EICAR).toString('hex')}\n`);
    writeFileSync(
      this.#configuration,
      `Foreground yes\nDatabaseDirectory ${database}\nLocalSocket ${this.socket}\nAlertExceedsMax yes\nUser root\n${settings}`,
    );
  }

  /** Until the gateway, which has to run, has found it. */
  async start(): Promise<ChildProcess> {
    const clamd = this.#lab.start(undefined, ['clamd', '-c', this.#configuration]);
    const isFound = async (): Promise<boolean> => (await this.#lab.statistics()).scanner?.up === true;
    await untilTrue('clamd is found', 30_000, 200, isFound);
    return clamd;
  }
}
