/** Writes docs/gateway-policy.schema.json, for editors: `npm run docs`. A test compares the two. */
import { writeFileSync } from 'node:fs';
import { PolicyFile } from '../gateway/core/policy-schema.ts';

export function policySchema(): string {
  // What an error says of a value is no part of JSON Schema, but readers are helped by it where nothing else is said.
  const text = JSON.stringify(
    PolicyFile,
    (key, value: unknown) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value) || key === 'properties') return value;
      const { wanted, ...schema } = value as { wanted?: string; description?: string };
      return wanted === undefined
        ? schema
        : { ...schema, description: [schema.description, `Give ${wanted}.`].filter(Boolean).join(' ') };
    },
    1,
  );
  const head = { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Policy of the p2pxbone gateway' };
  return `${JSON.stringify({ ...head, ...(JSON.parse(text) as object) }, null, 1)}\n`;
}

if (import.meta.main) writeFileSync(new URL('../docs/gateway-policy.schema.json', import.meta.url), policySchema());
