/** Writes docs/audit.md and docs/audit.schema.json from the schema of the records: `npm run docs`. A test compares. */
import { writeFileSync } from 'node:fs';
import type { TSchema } from '@sinclair/typebox';
import { AUDIT_RECORDS, AuditRecord } from '../gateway/core/audit-record.ts';

type Properties = Readonly<Record<string, TSchema>>;

const COMMON: ReadonlySet<string> = new Set(['timestamp', 'flow_id', 'host', 'event_type', 'cut']);

function typeOf(schema: TSchema): string {
  const words = (schema['anyOf'] as { const: string }[] | undefined)?.map((option) => `\`${option.const}\``);
  if (words !== undefined) return words.join(', ');
  if (schema['const'] !== undefined) return `\`${schema['const']}\``;
  return schema['type'] as string;
}

function rows(properties: Properties, required: readonly string[], prefix = ''): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const nested = schema['properties'] as Properties | undefined;
    const path = `${prefix}${name}`;
    if (nested !== undefined) return rows(nested, (schema['required'] as string[] | undefined) ?? [], `${path}.`);
    const presence = required.includes(name) ? 'always' : '';
    return [`| \`${path}\` | ${typeOf(schema)} | ${presence} | ${schema.description ?? ''} |`];
  });
}

function table(properties: Properties, required: readonly string[]): string {
  return ['| field | type | | meaning |', '|---|---|---|---|', ...rows(properties, required)].join('\n');
}

function pick(properties: Properties, wanted: (name: string) => boolean): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([name]) => wanted(name)));
}

function eventSection([event, schema]: [string, TSchema]): string {
  const properties = schema['properties'] as Properties;
  const own = pick(properties, (name) => name === event || name === 'metadata');
  return `### ${event}

${properties['event_type']?.description}

${table(own, schema['required'] as string[])}`;
}

export function auditDocument(): string {
  const { properties, required } = AUDIT_RECORDS.flow;
  const ends = pick(properties, (name) => !COMMON.has(name) && name !== 'flow' && name !== 'metadata');
  return `# The audit trail

Generated from \`gateway/core/audit-record.ts\` by \`npm run docs\`; do not edit. The schema of a line: [audit.schema.json](audit.schema.json).

The gateway tells what it saw and did as lines of JSON in the manner of Suricata's EVE, so that what reads those reads these:
\`eve.json\` in the directory of the policy's \`audit\`. Each line is one record, whole and by itself.

## Files

- A full \`eve.json\` becomes \`eve.json.1\`, that one \`eve.json.2\`, and so on; the oldest goes. A line is never divided. If
  somebody moves or removes the file, a new one begins with the next record.
- Directory and files are for their owner only (0700, 0600): they hold what people wrote to each other. One process writes to
  a directory; a second one is refused.
- What was written is synced to the disk every second, when a file is full, and at the end. After a crash, records of the last
  second may be missing; a line that was cut off is removed at the next start.
- Records wait in a bounded queue (8 MB) for a thread that writes them. A disk that is full or broken holds up neither traffic
  nor process: the queue fills, records that find no room are counted, and when the disk takes them again, the trail goes on
  with what had waited and a \`stats\` record whose \`audit.lost\` tells the gap. It is tried again every second.
- A clean stop writes everything that was recorded. If the disk refuses then, too, the rest is counted as lost.

## Texts

All texts are UTF-8; what was not is U+FFFD. Control characters, marks that turn the direction of writing, and characters that
cannot be seen are always escaped (\`\\u202e\`), so that a line can be looked at in a terminal. Texts are bounded (1,024 bytes, chat
8,192, values of \`metadata\` 512, as written); where one was longer, \`cut\` says so. Numbers above 2^63 - 1 are written as that.

## All records

${table(
  pick(properties, (name) => COMMON.has(name)),
  required ?? [],
)}

### Ends

In all records but \`stats\`.

${table(ends, required ?? [])}

## By event

${Object.entries(AUDIT_RECORDS).map(eventSection).join('\n\n')}

## Stored files

With the action \`store\`, files are kept under their SHA-256: \`ab/abcd…\` in the directory of the policy's \`audit.files\`, those that did
not come to their end in \`partial/\`, if such are to be kept at all. The same bytes are kept once.

- A thread of its own takes what comes in. A file of at most 4 MB stays in memory until it is whole (a sixteenth of the machine's for
  all together, at most 256 MB), so that one that is known already, or does not come to its end, costs the disk nothing; others are
  written to \`incoming/\` in parts of 512 KB. Files are hashed while they pass, and only whole ones get their name. What an earlier
  process left in \`incoming/\` is removed at the start. Other files in the directory are left alone.
- The total is bounded in bytes (those that come in included) and in number. For a new file, those go that were seen longest ago;
  one that passes again counts as new.
- Given up and counted are: a file above the bound for one file, or that does not fit at all; one whose data found no room in
  the queue (16 MB), because the disk is too slow; one that the disk refused. A full disk does not cost files that are already
  there. A file that is given up is not \`stored\`; the traffic goes on.
- Files are not synced one by one. After a power failure, a file whose SHA-256 is not its name had not reached the disk.
`;
}

/** Plain JSON Schema: what is TypeBox's own is left out. */
export function auditSchema(): string {
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', ...AuditRecord };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

if (import.meta.main) {
  writeFileSync(new URL('../docs/audit.md', import.meta.url), auditDocument());
  writeFileSync(new URL('../docs/audit.schema.json', import.meta.url), auditSchema());
}
