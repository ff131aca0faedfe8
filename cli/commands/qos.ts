/** Quality of service of tunnels: shown, set and cleared while they run. */
import { OverlayError } from '../../overlay/errors.ts';
import { formatLinkShape, type LinkShape, type LinkWords, parseLinkWords } from '../../overlay/link-shape.ts';
import type { PeerQos } from '../../overlay/messages/control.ts';
import { chooseNode, type RdOptions, scopeOf, statusOf, titleOf, valueOf } from '../command.ts';
import { print, printJson, table } from '../output.ts';
import { type AnswerNamed, askRd, runDirectory } from '../rd-client.ts';

type Ways = { readonly in?: boolean; readonly out?: boolean; readonly both?: boolean };
export type SetOptions = RdOptions & LinkWords & Ways;
export type ClearOptions = RdOptions & { readonly all?: boolean };

export async function show(peer: string | undefined, options: RdOptions): Promise<void> {
  const question = { t: 'qos' as const, ...scopeOf(options), ...(peer === undefined ? {} : { peer }) };
  tell(valueOf(await askRd(runDirectory(options.run), question, 'qos')), options);
}

export async function set(peer: string, options: SetOptions): Promise<void> {
  const shape = shapeOf(options);
  const { in: isIn = false, out: isOut = false, both = false } = options;
  const isBoth = both || isIn === isOut;
  const ways = { ...(isBoth || isOut ? { out: shape } : {}), ...(isBoth || isIn ? { in: shape } : {}) };
  const question = { t: 'qos.set' as const, ...(await nodeMeant(options)), peer, ...ways };
  tell(valueOf(await askRd(runDirectory(options.run), question, 'qos')), options);
}

export async function clear(peer: string | undefined, options: ClearOptions): Promise<void> {
  if ((peer === undefined) !== (options.all === true)) {
    throw new OverlayError('BAD_ARGUMENT', 'Give either a peer or --all.');
  }
  const named = peer === undefined ? {} : { peer };
  const question = { t: 'qos.clear' as const, ...(await nodeMeant(options)), ...named };
  tell(valueOf(await askRd(runDirectory(options.run), question, 'qos')), options);
}

function shapeOf({ rate, burst, queue, delay, jitter, loss, reorder }: LinkWords): LinkShape {
  const given = Object.entries({ rate, burst, queue, delay, jitter, loss, reorder });
  const words = Object.fromEntries(given.filter(([, text]) => text !== undefined)) as LinkWords;
  const parsed = parseLinkWords(words);
  // The field is an option here.
  if (!parsed.ok) throw new OverlayError(parsed.code, `--${parsed.message}`);
  if (parsed.value !== null) return parsed.value;
  throw new OverlayError(
    'BAD_ARGUMENT',
    "Give at least --rate, --delay or --loss; 'p2pxbone qos clear' ends a setting.",
  );
}

async function nodeMeant(options: RdOptions): Promise<{ vi: string; netns: string }> {
  const node = chooseNode(await statusOf(options), options);
  // Names may be those of VIs of several overlay managers.
  return { vi: node.vi.id, netns: node.netns ?? '' };
}

function tell({ nodes }: AnswerNamed<'qos'>, options: RdOptions): void {
  if (options.json) return printJson({ nodes });
  if (nodes.length === 0) return print("No virtual node runs here; join a VI with 'p2pxbone join INVITATION'.");
  for (const node of nodes) {
    if (nodes.length > 1) print(titleOf(node));
    print(table(['PEER', 'WAY', 'SHAPE', 'SET BY'], node.peers.flatMap(rowsOf)));
  }
}

function rowsOf({ peerName, peerIpv4, hasTunnel, out, in: inwards }: PeerQos): string[][] {
  const name = `${peerName} ${peerIpv4}${hasTunnel ? '' : ' (no tunnel)'}`;
  return (
    [
      ['out', out],
      ['in', inwards],
    ] as const
  ).map(([way, { shape, from }], i) => [
    i === 0 ? name : '',
    way,
    formatLinkShape(shape),
    from === 'none' ? '-' : from,
  ]);
}
