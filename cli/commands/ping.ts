import { OverlayError } from '../../overlay/errors.ts';
import { formatId } from '../../overlay/id.ts';
import { chooseNode, type RdOptions, statusOf } from '../command.ts';
import { print, printJson } from '../output.ts';
import { ping } from '../probe.ts';
import { runDirectory } from '../rd-client.ts';
import { type Family, namespaceOf, resolveTarget } from '../target.ts';

export type PingCommandOptions = RdOptions & {
  readonly count: number;
  readonly interval?: number;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
};

export function familyOf(options: { readonly ipv4?: boolean; readonly ipv6?: boolean }): Family | undefined {
  if (options.ipv4 && options.ipv6) throw new OverlayError('BAD_ARGUMENT', 'Give -4 or -6, not both.');
  return options.ipv4 ? 4 : options.ipv6 ? 6 : undefined;
}

export async function run(text: string, options: PingCommandOptions): Promise<void> {
  const status = await statusOf(options);
  const node = chooseNode(status, options);
  const target = await resolveTarget(runDirectory(options.run), node, text, familyOf(options));
  if (!options.json && target.key !== undefined) {
    print(`${text} is ${formatId(target.key.id)}; ${target.key.owner.name} is responsible for it now.`);
  }
  const result = await ping({
    namespace: namespaceOf(status, node),
    address: target.address,
    family: target.family,
    count: options.count,
    ...(options.interval === undefined ? {} : { interval: options.interval }),
    ...(options.json ? {} : { onLine: print }),
  });
  if (options.json) {
    printJson({
      target: text,
      address: target.address,
      ...(target.key === undefined ? {} : { id: target.key.id, owner: target.key.owner }),
      ...result,
    });
  }
  if (result.received > 0) return;
  const message = `${text} (${target.address}) does not answer; see 'p2pxbone status' and 'p2pxbone trace ${text}'.`;
  // The JSON shown already says that nothing was received; the exit code says it again.
  if (options.json) process.exitCode = 4;
  else throw new OverlayError('TIMEOUT', message);
}
