/** rd.yaml: the configuration of a resource daemon. Every field has a default; an absent file is an empty one. */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { fail } from './errors.ts';
import { closed } from './fields.ts';
import { ok, type Result } from './lib/result.ts';

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
  if (error === undefined) return ok(value as RdConfig);
  return fail('BAD_CONFIG', `Configuration: ${error.path.slice(1).replaceAll('/', '.') || 'it'}: ${error.message}.`);
}
