import { EXIT } from '../../overlay/errors.ts';
import { formatId } from '../../overlay/id.ts';
import { chooseNode, type RdOptions, statusOf } from '../command.ts';
import { paint, print, printJson } from '../output.ts';
import { ping } from '../probe.ts';
import { runDirectory } from '../rd-client.ts';
import { knownNodes, nameOfAddress, namespaceOf, resolveTarget } from '../target.ts';
import { familyOf } from './ping.ts';

export type TraceOptions = RdOptions & {
  readonly hops: number;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
};

export type Hop = {
  readonly hop: number;
  /** null where nobody answered. */
  readonly from: string | null;
  readonly name: string | null;
  /** Round-trip time, milliseconds; null for a hop on the way, which answers with an error that carries no time. */
  readonly ms: number | null;
  readonly reached: boolean;
  readonly note: string | null;
};

/** A path that stays silent for so many hops is given up. */
const SILENT_HOPS_MAX = 3;
const EXPIRED = /time (to live )?exceeded/i;

export async function run(text: string, options: TraceOptions): Promise<void> {
  const status = await statusOf(options);
  const node = chooseNode(status, options);
  const where = runDirectory(options.run);
  const target = await resolveTarget(where, node, text, familyOf(options));
  const known = await knownNodes(where, node);
  if (!options.json) {
    const key = target.key === undefined ? '' : `, id ${formatId(target.key.id)}, now of ${target.key.owner.name}`;
    print(`from ${node.name} to ${text} (${target.address}${key})`);
  }
  const path: Hop[] = [];
  let silent = 0;
  for (let hop = 1; hop <= options.hops && silent < SILENT_HOPS_MAX; hop++) {
    const answer = await ping({
      namespace: namespaceOf(status, node),
      address: target.address,
      family: target.family,
      count: 1,
      wait: 1,
      hopLimit: hop,
    });
    const [reply] = answer.replies;
    const [error] = answer.errors;
    const from = reply?.from ?? error?.from ?? null;
    const owner = target.key === undefined ? undefined : target.key.owner.name;
    const name = from === null ? null : (nameOfAddress(known, from) ?? (reply === undefined ? null : (owner ?? null)));
    const note = error === undefined || EXPIRED.test(error.text) ? null : error.text;
    const shown: Hop = { hop, from, name, ms: reply?.ms ?? null, reached: reply !== undefined, note };
    path.push(shown);
    if (!options.json) print(lineOf(shown));
    if (shown.reached || note !== null) break;
    silent = from === null ? silent + 1 : 0;
  }
  const reached = path.at(-1)?.reached ?? false;
  if (options.json) {
    printJson({ from: node.name, target: text, address: target.address, reached, hops: path });
  } else if (!reached) {
    process.stderr.write(`p2pxbone: The trace did not reach ${text}; see 'p2pxbone routes' on the last node shown.\n`);
  }
  if (!reached) process.exitCode = EXIT.notReachable;
}

function lineOf(hop: Hop): string {
  if (hop.from === null) return `${String(hop.hop).padStart(3)}  *`;
  const time = hop.ms === null ? '' : `  ${hop.ms} ms`;
  const name = paint('bold', hop.name ?? '?');
  return `${String(hop.hop).padStart(3)}  ${name}  ${hop.from}${time}${hop.note === null ? '' : `  ${hop.note}`}`;
}
