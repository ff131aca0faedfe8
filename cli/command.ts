/** What every command shares: results become values or end the command; which VI is meant. */
import { wayToChoose } from '../overlay/choice.ts';
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

/** Heads what is said of one of several nodes. */
export function titleOf({ vi, netns }: { readonly vi: string; readonly netns: string | null }): string {
  return netns === null ? `VI ${vi}` : `VI ${vi} in network namespace ${netns}`;
}

/** Which nodes a question is about, by --vi and --netns. */
export function scopeOf({ vi, netns }: RdOptions): { vi?: string; netns?: string } {
  return { ...(vi === undefined ? {} : { vi }), ...(netns === undefined ? {} : { netns }) };
}

export async function statusOf(options: RdOptions): Promise<RdStatus> {
  return valueOf(await askRd(runDirectory(options.run), { t: 'status' }, 'status'));
}

/**
 * The virtual node that the command is about: the only one here, or the one chosen by --vi (name or id) and --netns
 * ('': the daemon's own).
 */
export function chooseNode(status: RdStatus, options: RdOptions): NodeStatus {
  const { nodes } = status;
  if (nodes.length === 0) {
    throw new OverlayError('NOT_FOUND', "No virtual node runs here; join a VI with 'p2pxbone join INVITATION'.");
  }
  const { vi, netns } = options;
  const named = vi === undefined ? nodes : nodes.filter((node) => node.vi.name === vi || node.vi.id === vi);
  const matching = netns === undefined ? named : named.filter((node) => (node.netns ?? '') === netns);
  const [node, second] = matching;
  if (node === undefined) {
    const names = [...new Set(nodes.map((other) => other.vi.name))].join(', ');
    const where = named.length > 0 && netns !== undefined ? 'is in that network namespace' : 'of that VI runs here';
    throw new OverlayError('NOT_FOUND', `No virtual node ${where}; choose from: ${names}.`);
  }
  if (second !== undefined) {
    const option = wayToChoose(matching.map((other) => ({ vi: other.vi.id, name: other.vi.name })));
    throw new OverlayError('BAD_ARGUMENT', `Several virtual nodes run here; choose one with ${option}.`);
  }
  return node;
}
