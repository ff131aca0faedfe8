import type { NodeSummary, ViSummary } from '../../overlay/om-api.ts';
import { parseViDefinition, type ViDefinition } from '../../overlay/vi.ts';
import { valueOf } from '../command.ts';
import { readYaml } from '../config-file.ts';
import { type AdminOptions, withOm } from '../om-admin.ts';
import { fields, print, printJson, table } from '../output.ts';
import { nodeTable } from './node.ts';

export async function create(name: string, options: AdminOptions & { readonly file?: string }): Promise<void> {
  const definition = options.file === undefined ? undefined : readYaml(options.file);
  // Checked here too, so that the sentence names the field before anything is sent.
  if (definition !== undefined) valueOf(parseViDefinition(definition));
  const vi = valueOf(
    await withOm(options, (om) => om.createVi({ name, ...(definition === undefined ? {} : { definition }) })),
  );
  if (options.json) return printJson(vi);
  print(describe(vi));
  print(`\nInvite a machine with: p2pxbone invite ${name}`);
}

export async function list(options: AdminOptions): Promise<void> {
  const vis = valueOf(await withOm(options, (om) => om.listVis()));
  if (options.json) return printJson({ vis });
  if (vis.length === 0) return print('No VI. Create one with: p2pxbone vi create NAME');
  print(
    table(
      ['NAME', 'ID', 'PREFIX', 'IPV4 POOL', 'NODES', 'UP', 'CREATED'],
      vis.map((vi) => [
        vi.config.name,
        vi.config.id,
        vi.config.prefix,
        vi.config.definition.ipv4Pool,
        String(vi.nodes),
        String(vi.nodesUp),
        new Date(vi.createdAt).toISOString(),
      ]),
    ),
  );
}

export async function show(name: string, options: AdminOptions): Promise<void> {
  const { vi, nodes } = await withOm(
    options,
    async (om): Promise<{ vi: ViSummary; nodes: NodeSummary[] }> => ({
      vi: valueOf(await om.showVi(name)),
      nodes: valueOf(await om.listNodes(name)),
    }),
  );
  if (options.json) return printJson({ ...vi, members: nodes });
  print(describe(vi));
  if (nodes.length > 0) print(`\n${nodeTable(nodes)}`);
}

export async function remove(name: string, options: AdminOptions & { readonly force?: boolean }): Promise<void> {
  valueOf(await withOm(options, (om) => om.deleteVi(name, options.force ?? false)));
  if (options.json) printJson({ deleted: name });
  else print(`Deleted VI ${name}.`);
}

function describe(vi: ViSummary): string {
  const { definition } = vi.config;
  return fields([
    ['VI', `${vi.config.name} (${vi.config.id})`],
    ['prefix', vi.config.prefix],
    ['IPv4 pool', definition.ipv4Pool],
    ['links', `${definition.links}, ${definition.linkPool}, ${vi.config.linkPrefix}`],
    ['address server', `asked by ${definition.addressServer.transport}`],
    ['link pairs', `${vi.linkPairsLeased} of ${vi.linkPairsTotal} leased`],
    ['MTU', String(definition.mtu)],
    ...shapeRows(definition),
    ['successors', String(definition.successors)],
    ['proximity', definition.proximity],
    ['nodes', `${vi.nodes}, ${vi.nodesUp} up${heldBack(vi.placesHeldBack)}`],
    ['created', new Date(vi.createdAt).toISOString()],
  ]);
}

function shapeRows({ shape = {} }: ViDefinition): [string, string][] {
  return Object.entries(shape).map(([way, words]) => {
    const said = Object.entries(words).map(([word, value]) => `${word} ${value}`);
    return [`shape, ${way}`, said.join(', ') || 'none'];
  });
}

/** Places of nodes that left stay theirs until their certificates have expired. */
function heldBack(places: number): string {
  return places === 0 ? '' : `; ${places} more places held back`;
}
