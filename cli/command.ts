/** What every command shares: results become values or end the command; which VI is meant. */
import { OverlayError } from '../overlay/errors.ts';
import type { Result } from '../overlay/lib/result.ts';
import type { NodeStatus, RdStatus } from '../overlay/messages/control.ts';
import { askRd, runDirectory } from './rd-client.ts';

export type JsonOption = { readonly json?: boolean };
export type RdOptions = JsonOption & { readonly run?: string; readonly vi?: string; readonly netns?: string };

/** The value, or an end of the command with the failure's sentence and exit code. */
export function valueOf<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new OverlayError(result.code, result.message);
}

export async function statusOf(options: RdOptions): Promise<RdStatus> {
  return valueOf(await askRd(runDirectory(options.run), { t: 'status' }, 'status'));
}

/** The virtual node that the command is about: the only one here, or the one chosen by --vi and --netns. */
export function chooseNode(status: RdStatus, options: RdOptions): NodeStatus {
  const { nodes } = status;
  if (nodes.length === 0) {
    throw new OverlayError('NOT_FOUND', "No virtual node runs here; join a VI with 'p2pxbone join INVITATION'.");
  }
  const named = options.vi === undefined ? nodes : nodes.filter((node) => node.vi.name === options.vi);
  const matching = options.netns === undefined ? named : named.filter((node) => node.netns === options.netns);
  const [node, second] = matching;
  if (node === undefined) {
    const names = [...new Set(nodes.map((other) => other.vi.name))].join(', ');
    throw new OverlayError('NOT_FOUND', `No virtual node of that VI runs here; choose from: ${names}.`);
  }
  if (second !== undefined) {
    const option = new Set(matching.map((other) => other.vi.name)).size > 1 ? '--vi' : '--netns';
    throw new OverlayError('BAD_ARGUMENT', `Several virtual nodes run here; choose one with ${option}.`);
  }
  return node;
}
