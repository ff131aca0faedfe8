/** A way between two hosts that is measured: with nothing, with a tunnel of ours or of others. */
import { OverlayError } from '../../overlay/errors.ts';
import type { Host } from '../lab/lab.ts';

export type Variant = {
  readonly name: string;
  /** Addresses inside the tunnel. */
  readonly from: Host;
  readonly to: Host;
  /** Largest inner IP packet, bytes. */
  readonly mtu: number;
  /** Of the daemons at both ends; empty where the kernel does it all. */
  readonly pids: readonly number[];
};

/** A variant that could not be set up. */
export type Missing = { readonly name: string; readonly reason: string };

export type VariantSource = {
  readonly name: string;
  /** Resolves when packets go through. */
  readonly setUp: () => Promise<Variant>;
};

/** Sets them up one after the other; the failure of one leaves the others. */
export async function setUpAll(
  sources: readonly VariantSource[],
  say: (line: string) => void,
): Promise<{ readonly variants: readonly Variant[]; readonly missing: readonly Missing[] }> {
  const variants: Variant[] = [];
  const missing: Missing[] = [];
  for (const { name, setUp } of sources) {
    say(`setting up ${name}`);
    try {
      variants.push(await setUp());
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      missing.push({ name, reason: error.message });
      say(`${name} is missing: ${error.message}`);
    }
  }
  if (variants.length === 0) throw new OverlayError('SYSTEM', 'No variant could be set up.');
  return { variants, missing };
}
