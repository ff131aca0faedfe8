import { HEARTBEAT_MS, type NodeSummary, type RemovedNode } from '../../overlay/om-api.ts';
import { valueOf } from '../command.ts';
import { type AdminOptions, withOm } from '../om-admin.ts';
import { print, printJson, table } from '../output.ts';

/** For fetching the list and ending the tunnels. */
const REVOCATION_MARGIN_MS = 2000;

export async function list(vi: string, options: AdminOptions): Promise<void> {
  const nodes = valueOf(await withOm(options, (om) => om.listNodes(vi)));
  if (options.json) return printJson({ vi, nodes });
  print(nodes.length === 0 ? `VI ${vi} has no nodes. Invite one with: p2pxbone invite ${vi}` : nodeTable(nodes));
}

export async function remove(vi: string, node: string, options: AdminOptions): Promise<void> {
  const removed = valueOf(await withOm(options, (om) => om.deleteNode(vi, node)));
  if (options.json) return printJson({ vi, deleted: node, ...removed });
  print(`Deleted node ${node} of VI ${vi}. ${whatNodesDo(removed)}`);
}

/** Whether nodes refuse one that was removed, one sentence. */
export function whatNodesDo({ certificates, revocations, unlistedUntil }: RemovedNode): string {
  if (unlistedUntil !== null) {
    const until = new Date(unlistedUntil).toISOString();
    return `Its certificate was never on record and cannot be revoked: nodes accept it until that expires, ${until}.`;
  }
  if (certificates === 0) return 'It has no certificate that is valid, so nodes refuse it.';
  const within = `within ${(HEARTBEAT_MS + REVOCATION_MARGIN_MS) / 1000} seconds`;
  return `Its certificate is revoked (list ${revocations}): nodes refuse it ${within}.`;
}

export function nodeTable(nodes: readonly NodeSummary[]): string {
  return table(
    ['NODE', 'ID', 'IPV4', 'IPV6', 'MEMBER', 'HEARD', 'GROUPS'],
    nodes.map((node) => [
      node.name,
      node.id,
      node.ipv4,
      node.ipv6,
      node.member ? 'yes' : 'no',
      node.heardAt === null ? 'never' : new Date(node.heardAt).toISOString(),
      node.groups.join(','),
    ]),
  );
}
