/** Writes docs/reference.md from the tables in the code: `npm run docs`. A test compares the two. */
import { writeFileSync } from 'node:fs';
import type { TSchema } from '@sinclair/typebox';
import { OmConfig } from '../om-server/config.ts';
import { ERRORS } from '../overlay/errors.ts';
import { FROM_ADDRESS_SERVER, TO_ADDRESS_SERVER } from '../overlay/messages/address.ts';
import { TO_CONTROL } from '../overlay/messages/control.ts';
import { P2PD_P2PD } from '../overlay/messages/p2pd-p2pd.ts';
import { TO_P2PD, TO_RD } from '../overlay/messages/p2pd-rd.ts';
import { RD_RD } from '../overlay/messages/rd-rd.ts';
import { RdConfig } from '../overlay/rd-config.ts';
import { ViDefinition } from '../overlay/vi.ts';

type Properties = Readonly<Record<string, TSchema>>;

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

function rangeOf(schema: TSchema): string {
  const { minimum, maximum, anyOf } = schema as { minimum?: number; maximum?: number; anyOf?: { const?: unknown }[] };
  if (anyOf !== undefined) return anyOf.map((option) => String(option.const)).join(', ');
  if (minimum === undefined && maximum === undefined) return '';
  return `${minimum ?? ''}..${maximum ?? ''}`;
}

function fieldRows(properties: Properties, prefix = ''): string[][] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    if (schema['properties'] !== undefined) return fieldRows(schema['properties'] as Properties, `${prefix}${name}.`);
    const flat = (schema['allOf'] as TSchema[] | undefined)?.[0] ?? schema;
    const value = schema.default === undefined ? '' : `\`${JSON.stringify(schema.default)}\``;
    return [[`\`${prefix}${name}\``, value, rangeOf(flat), schema.description ?? '']];
  });
}

function messageRows(messages: Readonly<Record<string, TSchema>>): string[][] {
  return Object.entries(messages).map(([name, schema]) => [
    `\`${name}\``,
    Object.entries((schema['properties'] ?? {}) as Properties)
      .map(([field]) => field)
      .join(', '),
  ]);
}

export function reference(): string {
  const fields = ['field', 'default', 'range', 'meaning'];
  const messages = ['message', 'fields'];
  return `# Reference

Generated from the code by \`npm run docs\`; do not edit.

## vi.yaml: what an operator says of a VI

${table(fields, fieldRows(ViDefinition.properties))}

## om.yaml: the overlay manager

${table(fields, fieldRows(OmConfig.properties))}

## rd.yaml: the resource daemon

${table(fields, fieldRows(RdConfig.properties))}

## Error codes

Exit codes of \`p2pxbone\`: 0 done, 1 failed, 2 usage, 3 not permitted, 4 not reachable.

${table(
  ['code', 'exit', 'HTTP', 'sentence'],
  Object.entries(ERRORS).map(([code, row]) => [`\`${code}\``, String(row.exit), String(row.http), row.text]),
)}

## Messages

Every message is a CBOR map with its name in \`t\`; ids are bignums of 8 bytes. Golden files: \`overlay/test/golden/\`.

### P2P daemon to resource daemon (Unix stream socket, frames)

${table(messages, messageRows(TO_RD))}

### Resource daemon to P2P daemon

${table(messages, messageRows(TO_P2PD))}

### P2P daemon to P2P daemon (datagrams inside the VI)

${table(messages, messageRows(P2PD_P2PD))}

### Resource daemon to resource daemon (inside DTLS)

${table(messages, messageRows(RD_RD))}

### Resource daemon to address server (UDP, TCP, TLS)

${table(messages, messageRows(TO_ADDRESS_SERVER))}

### Address server to resource daemon

${table(messages, messageRows(FROM_ADDRESS_SERVER))}

### Command line to resource daemon (Unix stream socket, frames)

${table(messages, messageRows(TO_CONTROL))}
`;
}

if (import.meta.main) writeFileSync(new URL('../docs/reference.md', import.meta.url), reference());
