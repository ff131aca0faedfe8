/** How people say which of the virtual nodes of a machine they mean, where there are several. */

/** By VI: its id, and its name, which those of other overlay managers may have too. */
export type Choosable = { readonly vi: string; readonly name: string };

/** The option that tells these nodes apart, for the end of a sentence. */
export function wayToChoose(nodes: readonly Choosable[]): string {
  if (new Set(nodes.map(({ name }) => name)).size > 1) return '--vi NAME';
  if (new Set(nodes.map(({ vi }) => vi)).size > 1) return "--vi and the VI's id, which 'p2pxbone status' shows";
  return "--netns NAME, or --netns '' for the one in the host's own namespace";
}
