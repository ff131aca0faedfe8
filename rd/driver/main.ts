/** `node rd/driver/main.ts [--config FILE] [--data DIR] [--run DIR] [--listen ADDR:PORT]`: the daemon in the foreground. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { ERRORS, EXIT, fail } from '../../overlay/errors.ts';
import { createLog } from '../../overlay/lib/log.ts';
import type { Result } from '../../overlay/lib/result.ts';
import { parseRdConfig, type RdConfig } from '../../overlay/rd-config.ts';
import type { LogLevel } from '../../overlay/lib/log.ts';
import { startRd } from './daemon.ts';

function readConfig(): Result<RdConfig> {
  try {
    const text = { type: 'string' } as const;
    const { values } = parseArgs({ options: { config: text, data: text, run: text, listen: text } });
    const { config, ...given } = values;
    const file: unknown = config === undefined ? {} : parse(readFileSync(config, 'utf8'));
    return parseRdConfig({ ...(file as object | null), ...given });
  } catch (error) {
    return fail('BAD_ARGUMENT', (error as Error).message);
  }
}

async function main(): Promise<void> {
  const config = readConfig();
  const log = createLog('rd', config.ok ? (config.value.logLevel as LogLevel) : 'info');
  const starting = config.ok ? startRd(config.value, log) : Promise.resolve(config);
  let isStopping = false;
  const stop = async (): Promise<void> => {
    // Whoever asks twice does not want to wait; the next start takes back what is left.
    if (isStopping) process.exit(EXIT.failed);
    isStopping = true;
    const started = await starting;
    if (!started.ok) return;
    await started.value.stop();
    process.exit(EXIT.done);
  };
  process.on('SIGTERM', () => void stop());
  process.on('SIGINT', () => void stop());
  const started = await starting;
  if (started.ok) return;
  log.fatal({ code: started.code }, started.message);
  process.exit(ERRORS[started.code].exit);
}

await main();
