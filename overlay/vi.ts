/** What defines a virtual Internet: the part an operator writes (vi.yaml), and the part the overlay manager adds. */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { type Cidr, cidrsOverlap, linkCapacity, parseCidr, poolCapacity } from './addresses.ts';
import { fail } from './errors.ts';
import { complaintOf, Name, ViId } from './fields.ts';
import { ok, type Result } from './lib/result.ts';
import { parseTunnelWords, TunnelWords } from './link-shape.ts';

const strict = { additionalProperties: false } as const;

const DEFAULT_LINK_POOL = '10.112.0.0/12';
/** Pairs that a link pool should have for each node. Nodes lease in blocks, so most hold some that they do not use. */
const LINK_PAIRS_PER_NODE = 8;

export const ViTimers = Type.Object(
  {
    stabiliseMs: Type.Integer({
      minimum: 100,
      maximum: 60_000,
      default: 1000,
      description: 'Period of stabilisation with the successor, milliseconds, spread by half of itself.',
    }),
    fixFingersMs: Type.Integer({
      minimum: 100,
      maximum: 600_000,
      default: 5000,
      description: 'Period in which every finger is looked up again once the table is full, milliseconds.',
    }),
    keepAliveMs: Type.Integer({
      minimum: 50,
      maximum: 60_000,
      default: 500,
      description: 'Period of keep-alives between resource daemons when nothing else is sent, milliseconds.',
    }),
    silenceMs: Type.Integer({
      minimum: 200,
      maximum: 300_000,
      default: 2000,
      description: 'A peer silent for so long is dead, milliseconds; at least three keep-alive periods.',
    }),
  },
  { ...strict, default: {} },
);

export const SecurityPolicy = Type.Union([Type.Literal('groups'), Type.Literal('always'), Type.Literal('never')], {
  default: 'groups',
  description:
    'Which tunnels carry user data inside DTLS: groups: those between nodes with a security group in common, or where ' +
    'an end has the other among its securePeers; always: all; never: none. Control messages always are.',
});
export type SecurityPolicy = Static<typeof SecurityPolicy>;

export const Cipher = Type.Union([
  Type.Literal('aes-128-gcm'),
  Type.Literal('aes-256-gcm'),
  Type.Literal('chacha20-poly1305'),
]);
export type Cipher = Static<typeof Cipher>;

export const ViSecurity = Type.Object(
  {
    policy: SecurityPolicy,
    ciphers: Type.Array(Cipher, {
      minItems: 1,
      uniqueItems: true,
      default: ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305'],
      description: 'Ciphers of the associations between resource daemons, best first, each once.',
    }),
    rekeySeconds: Type.Integer({
      minimum: 10,
      maximum: 3600,
      default: 3600,
      description: 'Associations change their keys at least so often, seconds.',
    }),
  },
  { ...strict, default: {} },
);

export const AddressTransport = Type.Union([Type.Literal('udp'), Type.Literal('tcp'), Type.Literal('tls')], {
  default: 'udp',
  description:
    'How nodes ask the address server for link pairs: udp and tcp: each request carries a MAC with a secret of the ' +
    'node; tls: by the node’s certificate.',
});
export type AddressTransport = Static<typeof AddressTransport>;

export const Proximity = Type.Union(
  [Type.Literal('none'), Type.Literal('pns'), Type.Literal('prs'), Type.Literal('both')],
  {
    default: 'none',
    description:
      'Whether the base network counts in the choice of fingers and routes. pns: of the nodes that may be a finger, a ' +
      'near one is; prs: routes go by neighbours that promise a short way; both; none: ids alone count.',
  },
);
export type Proximity = Static<typeof Proximity>;

/** vi.yaml. Everything has a default. */
export const ViDefinition = Type.Object(
  {
    ipv4Pool: Type.String({
      default: '10.77.0.0/16',
      description: 'Stable node addresses are given from this IPv4 pool (CIDR, /8 to /29).',
    }),
    linkPool: Type.String({
      default: DEFAULT_LINK_POOL,
      description:
        'IPv4 /31 link pairs are given from this pool (CIDR, /8 to /30); it must not overlap ipv4Pool. ' +
        `Give ${LINK_PAIRS_PER_NODE} pairs, 16 addresses, for each node; the default is enough for an ipv4Pool of /16.`,
    }),
    links: Type.Union([Type.Literal('numbered'), Type.Literal('unnumbered')], {
      default: 'numbered',
      description: 'numbered: tunnels have address pairs from the address server; unnumbered: the stable addresses.',
    }),
    mtu: Type.Integer({
      minimum: 1280,
      maximum: 9000,
      default: 1380,
      description:
        'Largest inner IP packet, bytes. The default fits into a base path of 1500 with either family, secured or not.',
    }),
    successors: Type.Integer({
      minimum: 2,
      maximum: 8,
      default: 4,
      description: 'Length r of the successor list: r-1 neighbouring nodes may die at once.',
    }),
    proximity: Proximity,
    p2pdPort: Type.Integer({
      minimum: 1024,
      maximum: 65_535,
      default: 4747,
      description: 'UDP port of the P2P daemon inside the VI; the next free one is taken where it is in use.',
    }),
    tunnelsMax: Type.Integer({
      minimum: 8,
      maximum: 4096,
      default: 512,
      description:
        'Tunnels that one node may have; at least two for each of `successors`, and two more. An eighth is for those that it asks for.',
    }),
    nodesMax: Type.Integer({
      minimum: 1,
      maximum: 16_000_000,
      default: 1_000_000,
      description: 'Nodes that may join, within the size of ipv4Pool.',
    }),
    certificateDays: Type.Integer({
      minimum: 1,
      maximum: 3650,
      default: 365,
      description: 'Lifetime of node certificates, days; nodes renew them after two thirds of it.',
    }),
    /** In the words of link-shape.ts. Absent: tunnels are as fast and as good as the base network. */
    shape: Type.Optional(TunnelWords),
    timers: ViTimers,
    security: ViSecurity,
    addressServer: Type.Object({ transport: AddressTransport }, { ...strict, default: {} }),
  },
  { ...strict, $id: 'ViDefinition' },
);
export type ViDefinition = Static<typeof ViDefinition>;

/** A VI as its overlay manager made it and as nodes get it. */
export const ViConfig = Type.Object(
  {
    id: ViId,
    name: Name,
    /** IPv6 /64 of nodes and keys. */
    prefix: Type.String({ maxLength: 43 }),
    /** IPv6 /64 of link pairs. */
    linkPrefix: Type.String({ maxLength: 43 }),
    vni: Type.Integer({ minimum: 1, maximum: 0xff_ffff }),
    definition: ViDefinition,
  },
  strict,
);
export type ViConfig = Static<typeof ViConfig>;

const POOL_LENGTHS = { min: 8, maxNodes: 29, maxLinks: 30 } as const;

/** Checks what an operator wrote, adds the defaults; BAD_CONFIG names the field. */
export function parseViDefinition(input: unknown): Result<ViDefinition> {
  const value = Value.Default(ViDefinition, Value.Clone(input ?? {}));
  const error = Value.Errors(ViDefinition, value).First();
  if (error !== undefined) {
    return fail('BAD_CONFIG', `VI definition: ${complaintOf(error)}`);
  }
  const definition = value as ViDefinition;
  const pool = poolOf(definition.ipv4Pool, POOL_LENGTHS.maxNodes);
  if (pool === undefined) return fail('BAD_CONFIG', 'VI definition: ipv4Pool: give an IPv4 network /8 to /29.');
  const links = poolOf(definition.linkPool, POOL_LENGTHS.maxLinks);
  if (links === undefined) return fail('BAD_CONFIG', 'VI definition: linkPool: give an IPv4 network /8 to /30.');
  if (cidrsOverlap(pool, links))
    return fail('BAD_CONFIG', 'VI definition: ipv4Pool and linkPool overlap; separate them.');
  const few = tooFewPairs(definition, pool, links);
  if (few !== undefined) return fail('BAD_CONFIG', few);
  const tunnelsMin = 2 * definition.successors + 2;
  if (definition.tunnelsMax < tunnelsMin) {
    return fail(
      'BAD_CONFIG',
      `VI definition: tunnelsMax: give at least ${tunnelsMin}, with ${definition.successors} successors.`,
    );
  }
  if (definition.timers.silenceMs < 3 * definition.timers.keepAliveMs) {
    return fail('BAD_CONFIG', 'VI definition: timers.silenceMs: give at least three times timers.keepAliveMs.');
  }
  const shape = parseTunnelWords(definition.shape ?? {});
  if (!shape.ok) return fail('BAD_CONFIG', `VI definition: shape.${shape.message}`);
  return ok(definition);
}

/** What an earlier release stored, which had fewer fields; it has been checked before it was stored. */
export function completeViDefinition(stored: unknown): ViDefinition {
  return Value.Default(ViDefinition, stored) as ViDefinition;
}

/** A link pool that the operator chose is not judged; the default is, where the nodes would use it up. */
function tooFewPairs(definition: ViDefinition, pool: Cidr, links: Cidr): string | undefined {
  if (definition.links !== 'numbered' || definition.linkPool !== DEFAULT_LINK_POOL) return undefined;
  const nodes = Math.min(definition.nodesMax, poolCapacity(pool));
  const needed = nodes * LINK_PAIRS_PER_NODE;
  if (linkCapacity(links) >= needed) return undefined;
  return `VI definition: linkPool: ${nodes} nodes need ${needed} pairs, the default has ${linkCapacity(links)}; give a larger one, a lower nodesMax, or links: unnumbered.`;
}

function poolOf(text: string, lengthMax: number): Cidr | undefined {
  const cidr = parseCidr(text);
  if (cidr === undefined || cidr.network.length !== 4) return undefined;
  return cidr.length >= POOL_LENGTHS.min && cidr.length <= lengthMax ? cidr : undefined;
}
