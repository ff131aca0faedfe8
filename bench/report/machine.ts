/** What the figures were measured on and with. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { run } from '../../cli/demo/namespaces.ts';
import { systemClock } from '../../overlay/lib/clock.ts';

export type Setting = {
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly system: string;
  /** Debian package and version. */
  readonly versions: Readonly<Record<string, string>>;
  /** Of our own source; null outside a repository. */
  readonly commit: string | null;
};

export async function settingOf(packages: readonly string[]): Promise<Setting> {
  const osRelease = readFileSync('/etc/os-release', 'utf8');
  // A package that is not known is left out; the others are printed. Of no package, dpkg-query prints all.
  const query = ['dpkg-query', '-W', '-f', '${Package} ${Version}\n', ...packages];
  const listed = packages.length === 0 ? '' : (await run(query)).stdout;
  const commit = await run(['git', 'rev-parse', '--short', 'HEAD']).catch(() => undefined);
  return {
    date: new Date(systemClock.wall()).toISOString().slice(0, 16).replace('T', ' '),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(osRelease)?.[1] ?? 'Linux',
    versions: Object.fromEntries(
      listed
        .split('\n')
        .filter(Boolean)
        .map((line) => line.split(' ') as [string, string]),
    ),
    commit: commit?.code === 0 ? commit.stdout.trim() : null,
  };
}

/** As paragraphs of Markdown. */
export function describeSetting({
  date,
  processor,
  cores,
  memoryGb,
  kernel,
  system,
  versions,
  commit,
}: Setting): string {
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Measured ${date} UTC on ${cores} cores (${processor}), ${memoryGb} GB, Linux ${kernel}, ${system}` +
      `${commit === null ? '' : `, commit ${commit}`}. Everything runs on these cores: both ends and the load generators.`,
    ...(programs.length === 0 ? [] : [`With ${programs.join(', ')}.`]),
  ].join('\n');
}
