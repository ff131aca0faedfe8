/** rd.yaml: the configuration of a resource daemon. Every field has a default; an absent file is an empty one. */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { parseAddress, parseCidr } from './addresses.ts';
import { fail } from './errors.ts';
import { closed, complaintOf, Groups, Name } from './fields.ts';
import { ok, type Result } from './lib/result.ts';

/** Each is compared with every peer; a longer list is what groups are for. */
const SECURE_PEERS_MAX = 256;
const GATEWAYS_MAX = 256;

export const RdConfig = closed({
  listen: Type.String({
    default: '[::]:4780',
    description: 'UDP address and port of the base network for tunnels; port 0 picks a free one.',
  }),
  advertise: Type.Array(Type.String(), {
    default: [],
    maxItems: 3,
    description:
      'Base-network addresses under which other nodes reach this one, ADDRESS or ADDRESS:PORT; empty: the addresses of the interfaces.',
  }),
  data: Type.String({
    default: '/var/lib/p2pxbone/rd',
    description: 'Directory of keys, certificates and memberships, mode 0700.',
  }),
  run: Type.String({
    default: '/run/p2pxbone',
    description: 'Directory of the control socket and the P2P daemons’ socket.',
  }),
  p2pdUid: Type.Integer({
    default: 64_747,
    minimum: 1,
    maximum: 0xffff_fffe,
    description: 'User and group id under which P2P daemons run; it needs no entry in /etc/passwd.',
  }),
  nodesMax: Type.Integer({
    default: 64,
    minimum: 1,
    maximum: 256,
    description: 'Virtual nodes that this base node may host.',
  }),
  groups: Type.Optional(
    Type.Unsafe<Static<typeof Groups>>({
      ...Groups,
      description:
        'Security groups to take when joining without --groups; each must be one that the invitation gives. Absent: all of those.',
    }),
  ),
  securePeers: Type.Array(Type.String({ maxLength: 49 }), {
    default: [],
    maxItems: SECURE_PEERS_MAX,
    description:
      'Peers with which tunnels are secure under the policy groups, whatever their groups: stable virtual addresses, base-network addresses, or networks (CIDR) of either.',
  }),
  gateway: Type.Array(
    closed({
      policy: Type.String({
        minLength: 1,
        description: 'File with the policy; see docs/gateway-policy.md. Relative to the configuration file.',
      }),
      vi: Type.Optional(
        Type.Unsafe<Static<typeof Name>>({ ...Name, description: 'For nodes of this VI. Absent: of all.' }),
      ),
    }),
    {
      default: [],
      maxItems: GATEWAYS_MAX,
      description:
        'Management gateways: the traffic of each virtual node here passes one that goes by the first policy of the list that is for its VI. Nodes for which there is none have no gateway.',
    },
  ),
  receive: Type.Optional(
    Type.Union([Type.Literal('direct'), Type.Literal('queue'), Type.Literal('aio'), Type.Literal('uring')], {
      description:
        'How received packets get to the interface: direct: written by the thread that read them; queue, aio, uring: by another thread, by POSIX AIO, by io_uring. Absent: uring, which measured best.',
    }),
  ),
  logLevel: Type.Union(
    ['trace', 'debug', 'info', 'warn', 'error', 'silent'].map((level) => Type.Literal(level)),
    { default: 'info', description: 'Least important messages that are logged.' },
  ),
});
export type RdConfig = Static<typeof RdConfig>;

/** BAD_CONFIG names the field. */
export function parseRdConfig(input: unknown): Result<RdConfig> {
  const value = Value.Default(RdConfig, Value.Clone(input ?? {}));
  const error = Value.Errors(RdConfig, value).First();
  if (error !== undefined) return fail('BAD_CONFIG', `Configuration: ${complaintOf(error)}`);
  const config = value as RdConfig;
  const wrong = config.securePeers.find((text) => parseAddress(text) === undefined && parseCidr(text) === undefined);
  if (wrong === undefined) return ok(config);
  const advice = 'give an address such as 10.77.0.9, or a network such as 10.77.4.0/24 without host bits';
  return fail('BAD_CONFIG', `Configuration: securePeers: '${wrong}' is neither address nor network; ${advice}.`);
}
