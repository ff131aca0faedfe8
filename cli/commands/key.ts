import { formatId, idOfKey } from '../../overlay/id.ts';
import { chooseNode, type RdOptions, statusOf, valueOf } from '../command.ts';
import { fields, print, printJson } from '../output.ts';
import { askRd, runDirectory } from '../rd-client.ts';
import { keyAddress } from '../target.ts';

export async function run(key: string, options: RdOptions): Promise<void> {
  const node = chooseNode(await statusOf(options), options);
  const id = idOfKey(key);
  const address = keyAddress(node, id);
  const { owner, hops } = valueOf(await askRd(runDirectory(options.run), { t: 'lookup', vi: node.vi.id, id }, 'found'));
  if (options.json) return printJson({ key, vi: node.vi.name, id, address, owner, hops });
  print(
    fields([
      ['key', key],
      ['id', formatId(id)],
      ['address', address],
      ['responsible', `${owner.name} (${formatId(owner.id)}, ${owner.ipv4}, ${owner.ipv6})`],
      ['found after', hops === 1 ? '1 hop' : `${hops} hops`],
    ]),
  );
}
