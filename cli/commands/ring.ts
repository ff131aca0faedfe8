import { formatId, type Id } from '../../overlay/id.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { chooseNode, type RdOptions, statusOf } from '../command.ts';
import { print, printJson, table } from '../output.ts';
import { runDirectory } from '../rd-client.ts';
import * as picture from '../ring-picture.ts';
import { type KnownNode, knownNodes } from '../target.ts';

export async function run(options: RdOptions): Promise<void> {
  const node = chooseNode(await statusOf(options), options);
  const known = await knownNodes(runDirectory(options.run), node);
  const { present: nodes, absent } = picture.presentOf(withNeighbours(known.nodes, node), node);
  const view: picture.RingView = {
    nodes,
    self: node.id,
    predecessor: node.predecessor,
    successors: node.successors,
    fingers: node.fingers.map((finger) => finger.node),
  };
  const ranges = picture.rangesOf(nodes);
  if (options.json) {
    printJson({
      vi: node.vi.name,
      self: node.id,
      phase: node.phase,
      predecessor: node.predecessor,
      successors: node.successors,
      fingers: node.fingers,
      /** Whether the overlay manager answered, so that all nodes are listed. */
      complete: known.complete,
      nodes: ranges.map(({ node: other, after, until }) => ({
        ...other,
        range: { after, until },
        roles: picture.rolesOf(view, other.id),
      })),
      /** Members of the VI that this node knows not to be on the ring now. */
      absent,
    });
    return;
  }
  if (nodes.length <= picture.PICTURE_NODES_MAX) print(`${picture.drawRing(view)}\n`);
  print(`${picture.legend()}\n`);
  print(
    table(
      ['', 'NODE', 'ID', 'IPV4', 'RESPONSIBLE FOR (AFTER, UNTIL]', 'SHARE %', 'USED AS'],
      ranges.map(({ node: other, after, until }) => [
        picture.markOf(view, other.id),
        other.name,
        formatId(other.id),
        other.ipv4,
        picture.formatRange(after, until),
        picture.shareOf(after, until),
        picture.rolesOf(view, other.id).join(', '),
      ]),
    ),
  );
  if (absent.length > 0) print(`\nNot on the ring now: ${absent.map((other) => other.name).join(', ')}.`);
  if (!known.complete) print('\nThe overlay manager does not answer: only this node and its neighbours are shown.');
}

/** The listed nodes, and those that the ring has but the list has not. */
function withNeighbours(listed: readonly KnownNode[], node: NodeStatus): KnownNode[] {
  const nodes = [...listed];
  const add = (id: Id, name: string, ipv4: string, ipv6: string): void => {
    if (!nodes.some((other) => other.id === id)) nodes.push({ id, name, ipv4, ipv6 });
  };
  add(node.id, node.name, node.ipv4, node.ipv6);
  for (const id of [node.predecessor, ...node.successors]) if (id !== null) add(id, '?', '-', '-');
  return nodes;
}
