import { type RdOptions, valueOf } from '../command.ts';
import { print, printJson } from '../output.ts';
import { Progress } from '../progress.ts';
import { askRd, runDirectory } from '../rd-client.ts';

export async function run(vi: string, options: RdOptions): Promise<void> {
  const progress = new Progress(options.json);
  try {
    progress.step(`leaving ${vi}`);
    const question = { t: 'leave' as const, vi, ...(options.netns === undefined ? {} : { netns: options.netns }) };
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
