import { formatId } from '../../overlay/id.ts';
import { type RdOptions, scopeOf, statusOf, titleOf, valueOf } from '../command.ts';
import { print, printJson, table } from '../output.ts';
import { askRd, runDirectory } from '../rd-client.ts';
import { formatRange, shareOf } from '../ring-picture.ts';
import { knownNodes } from '../target.ts';

export async function run(options: RdOptions): Promise<void> {
  const where = runDirectory(options.run);
  const question = { t: 'routes', ...scopeOf(options) } as const;
  const { nodes } = valueOf(await askRd(where, question, 'routes'));
  if (options.json) return printJson({ nodes });
  if (nodes.length === 0) return print("No virtual node runs here; join a VI with 'p2pxbone join INVITATION'.");
  const status = await statusOf(options);
  for (const node of nodes) {
    const here = status.nodes.find((other) => other.id === node.id && other.vi.name === node.vi);
    // It has just left.
    if (here === undefined) continue;
    const known = await knownNodes(where, here);
    const names = new Map(known.nodes.map(({ id, name }) => [id, name]));
    print(`${titleOf(node)}, generation ${node.generation}`);
    print(
      table(
        ['RANGE (AFTER, UNTIL]', 'SHARE %', 'NEXT HOP', 'NAME'],
        node.routes.map((route) => [
          formatRange(route.after, route.until),
          shareOf(route.after, route.until),
          route.to === node.id ? 'this node' : formatId(route.to),
          names.get(route.to) ?? '?',
        ]),
      ),
    );
  }
}
