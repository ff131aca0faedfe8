import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { parseOmConfig } from '../../om-server/config.ts';
import { FILES } from '../../om-server/files.ts';
import { startOm } from '../../om-server/server.ts';
import { valueOf } from '../command.ts';
import { readYaml } from '../config-file.ts';
import { print } from '../output.ts';
import { untilStopped } from '../signals.ts';

export type OmStartOptions = { readonly config?: string; readonly data?: string; readonly listen?: string };

export async function start(options: OmStartOptions): Promise<void> {
  const file = options.config === undefined ? {} : readYaml(options.config);
  const settings = valueOf(
    parseOmConfig({
      ...file,
      ...(options.data === undefined ? {} : { data: options.data }),
      ...(options.listen === undefined ? {} : { listen: options.listen }),
    }),
  );
  const om = valueOf(await startOm(settings));
  print(`overlay manager at ${om.url}, admin token in ${join(settings.data, FILES.token)}`);
  print(`address server on port ${om.addressPort}, UDP and TCP`);
  // The next start profits from it, also if this process does not end in good order.
  flushCompileCache();
  await untilStopped();
  await om.close();
}
