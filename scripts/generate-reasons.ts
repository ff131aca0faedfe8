/**
 * Generates everything that must agree on the numbered drop reasons from native/reasons.json: the C++ enumeration, the
 * TypeScript union and table, and the document. `node scripts/generate-reasons.ts` writes the three files.
 *
 * The list is append-only: a number, once given, keeps its meaning in counters and captures for ever.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

type Reason = { readonly number: number; readonly name: string; readonly text: string };

const ROOT = new URL('../', import.meta.url);
const SOURCE = 'native/reasons.json';

function readReasons(): readonly Reason[] {
  const reasons = JSON.parse(readFileSync(new URL(SOURCE, ROOT), 'utf8')) as Reason[];
  const names = new Set<string>();
  for (const [index, reason] of reasons.entries()) {
    // Zero means "not dropped" in C++, so the numbers start at one.
    if (reason.number !== index + 1) throw new Error(`${SOURCE}: ${reason.name} must have number ${index + 1}.`);
    if (!/^[a-z][A-Za-z]*$/.test(reason.name)) throw new Error(`${SOURCE}: ${reason.name} is not in camelCase.`);
    if (names.has(reason.name)) throw new Error(`${SOURCE}: ${reason.name} appears twice.`);
    if (!reason.text.endsWith('.') || reason.text.includes('|')) {
      throw new Error(`${SOURCE}: the text of ${reason.name} must be one sentence without a bar.`);
    }
    names.add(reason.name);
  }
  if (reasons.length > 255) throw new Error(`${SOURCE}: a reason is one byte.`);
  return reasons;
}

function header(reasons: readonly Reason[]): string {
  return `// Generated from ${SOURCE} by scripts/generate-reasons.ts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace p2pxbone {

enum class DropReason : uint8_t {
  none = 0,
${reasons.map((reason) => `  // ${reason.text}\n  ${reason.name} = ${reason.number},`).join('\n')}
};

// One past the largest number; the size of an array indexed by reason.
inline constexpr size_t kDropReasonCount = ${reasons.length + 1};

inline constexpr std::array<const char*, kDropReasonCount> kDropReasonNames{
    "none",
${reasons.map((reason) => `    "${reason.name}",`).join('\n')}
};

}  // namespace p2pxbone
`;
}

function typescript(reasons: readonly Reason[]): string {
  return `// Generated from ${SOURCE} by scripts/generate-reasons.ts.

/** Why the data plane dropped a packet, a datagram or a message. Numbers are never given a new meaning. */
export const DROP_REASONS = {
${reasons.map((reason) => `  ${reason.name}: {\n    number: ${reason.number},\n    text: ${quote(reason.text)},\n  },`).join('\n')}
} as const;

export type DropReason = keyof typeof DROP_REASONS;
`;
}

function quote(text: string): string {
  return text.includes("'") ? `"${text.replaceAll('"', '\\"')}"` : `'${text}'`;
}

function document(reasons: readonly Reason[]): string {
  return `# Drop reasons

Everything that the data plane drops is counted under one of these. The list grows at its end; a number never changes its
meaning. Generated from \`${SOURCE}\` by \`scripts/generate-reasons.ts\`.

| number | name | meaning |
|---|---|---|
${reasons.map((reason) => `| ${reason.number} | \`${reason.name}\` | ${reason.text} |`).join('\n')}
`;
}

/** Paths, relative to the repository, and the contents they must have. */
export function generate(): ReadonlyMap<string, string> {
  const reasons = readReasons();
  return new Map([
    ['native/core/reasons.h', header(reasons)],
    ['native/reasons.ts', typescript(reasons)],
    ['docs/drop-reasons.md', document(reasons)],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, contents] of generate()) writeFileSync(new URL(path, ROOT), contents);
}
