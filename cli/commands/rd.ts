import { flushCompileCache } from 'node:module';
import { dirname, resolve } from 'node:path';
import { EXIT } from '../../overlay/errors.ts';
import { createLog, type LogLevel } from '../../overlay/lib/log.ts';
import { parseRdConfig, type RdConfig } from '../../overlay/rd-config.ts';
import { startRd } from '../../rd/driver/daemon.ts';
import { valueOf } from '../command.ts';
import { readYaml } from '../config-file.ts';
import { untilStopped } from '../signals.ts';

export type DaemonOptions = {
  readonly config?: string;
  readonly run?: string;
  readonly data?: string;
  readonly listen?: string;
};

/** The configuration file with the options of the command line over it. */
export function daemonConfig(options: DaemonOptions): RdConfig {
  const { config, run, data, listen } = options;
  const parsed = valueOf(
    parseRdConfig({
      ...(config === undefined ? {} : readYaml(config)),
      ...(run === undefined ? {} : { run }),
      ...(data === undefined ? {} : { data }),
      ...(listen === undefined ? {} : { listen }),
    }),
  );
  const place = config === undefined ? '.' : dirname(config);
  return { ...parsed, gateway: parsed.gateway.map((each) => ({ ...each, policy: resolve(place, each.policy) })) };
}

export async function start(options: DaemonOptions): Promise<void> {
  const config = daemonConfig(options);
  // A signal during the start counts as soon as there is a daemon to stop.
  const stopped = untilStopped().then(() => {
    // A second signal does not want to wait; the next start takes back what is left.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EXIT.failed));
  });
  const rd = valueOf(await startRd(config, createLog('rd', config.logLevel as LogLevel)));
  // The next daemon starts from it, also if this one does not end in good order.
  flushCompileCache();
  await stopped;
  await rd.stop();
  // What the system's libraries may still hold open does not keep a daemon that has stopped.
  process.exit(EXIT.done);
}
