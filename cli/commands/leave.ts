import { OverlayError } from '../../overlay/errors.ts';
import { type RdOptions, valueOf } from '../command.ts';
import { print, printJson } from '../output.ts';
import { Progress } from '../progress.ts';
import { askRd, runDirectory } from '../rd-client.ts';

/** `host`: the node in the daemon's own network namespace. */
export type LeaveOptions = RdOptions & { readonly host?: boolean };

export async function run(vi: string, options: LeaveOptions): Promise<void> {
  if (options.host === true && options.netns !== undefined) {
    throw new OverlayError('BAD_ARGUMENT', 'Give either --netns or --host.');
  }
  const netns = options.host === true ? '' : options.netns;
  const progress = new Progress(options.json);
  try {
    progress.step(`leaving ${vi}`);
    const question = { t: 'leave' as const, vi, ...(netns === undefined ? {} : { netns }) };
    valueOf(
      await askRd(runDirectory(options.run), question, 'done', {
        timeoutMs: 60_000,
        onProgress: (step) => progress.step(step),
      }),
    );
  } finally {
    progress.end();
  }
  if (options.json) printJson({ left: vi });
  else print(`Left VI ${vi}.`);
}
