/** Writes docs/limits.md: every named limit in the code, where it stands. `npm run docs`. A test compares the two. */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BOUND_NAMES, BOUNDS, boundText } from '../gateway/core/bounds.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const SOURCES = [
  '{overlay,p2pd,rd,gateway,om-server,cli}/**/*.ts',
  'native/{core,os}/*.{h,cpp}',
  'native/gateway/**/*.{h,cpp}',
];
const NOT_OURS = /(^|\/)(test|fuzz)\//;
/** An optional comment, then a constant whose name says that it is a limit. */
const LIMIT =
  /((?:^[ \t]*\/\*\*[^\n]*\*\/\n)|(?:^[ \t]*\/\/[^\n]*\n)+)?^[ \t]*(?:export |inline |static )*(?:const|constexpr \w+(?:::\w+)?)\s+([A-Z][A-Z0-9_]*_MAX|[A-Z][A-Z0-9_]*_MS_MAX|k\w+Max)(?::\s*\w+)?\s*=\s*([^;]+);/gm;

export function limits(): string {
  const rows: string[] = [];
  const files = SOURCES.flatMap((pattern) => globSync(pattern, { cwd: root })).filter((file) => !NOT_OURS.test(file));
  for (const file of files.sort()) {
    for (const [, comment = '', name, value] of readFileSync(`${root}${file}`, 'utf8').matchAll(LIMIT)) {
      const words = comment.replaceAll(/^[ \t]*(\/\*\*|\/\/)|\*\/$/gm, '').replaceAll(/\s+/g, ' ');
      rows.push(
        `| \`${name}\` | ${(value as string).replaceAll(/['_](?=\d)/g, '')} | \`${file}\` | ${words.trim().replaceAll('|', '\\|')} |`,
      );
    }
  }
  const bounds = BOUND_NAMES.map((name) => {
    const { kind, least, most, otherwise, about } = BOUNDS[name];
    const [first, usual, last] = [least, otherwise, most].map((value) => boundText(kind, value));
    return `| \`${name}\` | ${first} | ${usual} | ${last} | ${about} |`;
  });
  return `# Limits

Every queue, table and loop has a named limit; a full one is a counted drop or a clear error. Generated from the code by
\`npm run docs\`; do not edit. What an operator can set of a daemon stands in [reference.md](reference.md).

## Bounds of a gateway

Its policy sets them under \`bounds\`.

| bound | least | if nothing is said | most | |
| --- | --- | --- | --- | --- |
${bounds.join('\n')}

## In the code

| limit | value | where | |
| --- | --- | --- | --- |
${rows.join('\n')}
`;
}

if (import.meta.main) writeFileSync(new URL('../docs/limits.md', import.meta.url), limits());
