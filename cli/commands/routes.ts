import { formatId } from '../../overlay/id.ts';
import { chooseNode, type RdOptions, statusOf, valueOf } from '../command.ts';
import { print, printJson, table } from '../output.ts';
import { askRd, runDirectory } from '../rd-client.ts';
import { formatRange, shareOf } from '../ring-picture.ts';
import { knownNodes } from '../target.ts';

export async function run(options: RdOptions): Promise<void> {
  const where = runDirectory(options.run);
  const question = { t: 'routes', ...(options.vi === undefined ? {} : { vi: options.vi }) } as const;
  const { nodes } = valueOf(await askRd(where, question, 'routes'));
  if (options.json) return printJson({ nodes });
  if (nodes.length === 0) return print("No virtual node runs here; join a VI with 'p2pxbone join INVITATION'.");
  const status = await statusOf(options);
  for (const node of nodes) {
    const known = await knownNodes(where, chooseNode(status, { ...options, vi: node.vi }));
    const nameOf = (id: bigint): string => known.nodes.find((other) => other.id === id)?.name ?? '?';
    print(`VI ${node.vi}, generation ${node.generation}`);
    print(
      table(
        ['RANGE (AFTER, UNTIL]', 'SHARE %', 'NEXT HOP', 'NAME'],
        node.routes.map((route) => [
          formatRange(route.after, route.until),
          shareOf(route.after, route.until),
          route.to === node.id ? 'this node' : formatId(route.to),
          nameOf(route.to),
        ]),
      ),
    );
  }
}
