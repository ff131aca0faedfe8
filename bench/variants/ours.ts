/** Ours: a VI for each kind of security, on the same two resource daemons. */
import { OverlayError } from '../../overlay/errors.ts';
import { type Product, tunnelsOf } from '../lab/product.ts';
import { countPlainVxlan } from '../lab/wire.ts';
import { measureRoundTrip } from '../measure/round-trip.ts';
import { deviceMtu, untilReachable } from './reachable.ts';
import type { Variant } from './variant.ts';

export const CIPHERS = ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305'] as const;
export type Cipher = (typeof CIPHERS)[number];

const PINGS = 100;

/** `name` is also the VI's. Ends with an error if packets of a secure VI are seen in plain VXLAN, or the reverse. */
export async function ours(
  product: Product,
  options: { readonly name: string; readonly cipher: Cipher | null; readonly device: string; readonly more?: object },
): Promise<Variant> {
  const { name, cipher, device, more } = options;
  // Without groups a tunnel is plain; a policy is written only where it is needed.
  const security = cipher === null ? {} : { security: { policy: 'always', ciphers: [cipher], ...more } };
  const nodes = await product.joinVi(name, security);
  const [from, to] = nodes.map((node, i) => ({
    namespace: product.machines[i]?.namespace ?? '',
    address: node.ipv4,
  }));
  const [node] = nodes;
  if (from === undefined || to === undefined || node === undefined) throw new OverlayError('INTERNAL', 'Two nodes.');
  await untilReachable(name, from, to);
  const variant: Variant = {
    name,
    from,
    to,
    mtu: await deviceMtu(from.namespace, node.interface),
    pids: await product.pids(),
  };
  const plain = await countPlainVxlan(from.namespace, device, node.vi.vni, () => measureRoundTrip(variant, PINGS));
  const isSecure = plain === 0;
  if (isSecure !== (cipher !== null)) {
    throw new OverlayError('SYSTEM', `${name} sent ${plain} packets in plain VXLAN while ${PINGS} were asked for.`);
  }
  // Two daemons have one association, and its cipher is that of the VI that began it.
  const [machine] = product.machines;
  const used = machine === undefined ? [] : (await tunnelsOf(machine, name)).map(({ security }) => security?.cipher);
  if (cipher !== null && used.some((one) => one !== cipher)) {
    throw new OverlayError('SYSTEM', `${name} uses ${used.join(', ')}, as another VI of the same daemons does.`);
  }
  return variant;
}
