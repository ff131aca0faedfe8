/** om.yaml: the configuration of an overlay manager. Every field has a default; an absent file is an empty one. */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { fail } from '../overlay/errors.ts';
import { closed } from '../overlay/fields.ts';
import type { LogLevel } from '../overlay/lib/log.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import type { OmEndpoint } from '../overlay/om-transport.ts';

const PORT_MAX = 65_535;
const LOG_LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

export const OmConfig = closed({
  listen: Type.String({
    default: '[::]:4781',
    description: 'TCP address and port of the HTTPS API; [::] takes IPv4 too; port 0 picks a free one.',
  }),
  data: Type.String({
    default: '/var/lib/p2pxbone/om',
    minLength: 1,
    description: 'Directory of the database, the CA and the admin token, mode 0700.',
  }),
  advertise: Type.Optional(
    Type.String({
      description:
        'HOST or HOST:PORT put into invitations; left out: the listen address, or the first address of an interface.',
    }),
  ),
  addressListen: Type.Optional(
    Type.String({
      description:
        'UDP and TCP address and port of the address server; left out: the address of `listen` and the port after it.',
    }),
  ),
  addressRequestsPerSecond: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 200,
    description: 'Requests that one node may make of the address server; what it asks beyond that is refused.',
  }),
  logLevel: Type.Unsafe<LogLevel>(
    Type.Union(
      LOG_LEVELS.map((level) => Type.Literal(level)),
      { default: 'info', description: 'Least important messages that are logged.' },
    ),
  ),
});
export type OmConfig = Static<typeof OmConfig>;

/** A configuration with its addresses read. A missing port of `advertise` is that of the listener. */
export type OmSettings = {
  readonly listen: OmEndpoint;
  readonly data: string;
  readonly addressListen?: OmEndpoint;
  readonly addressRequestsPerSecond: number;
  readonly advertise?: { readonly host: string; readonly port?: number };
  readonly logLevel: LogLevel;
};

/** BAD_CONFIG names the field. */
export function parseOmConfig(input: unknown): Result<OmSettings> {
  const value = Value.Default(OmConfig, Value.Clone(input ?? {}));
  const error = Value.Errors(OmConfig, value).First();
  if (error !== undefined) {
    return fail('BAD_CONFIG', `Configuration: ${error.path.slice(1).replaceAll('/', '.') || 'it'}: ${error.message}.`);
  }
  const { listen: listenText, addressListen: addressText, advertise: advertiseText, ...rest } = value as OmConfig;
  const listen = boundEndpoint(listenText);
  if (listen === undefined) return badEndpoint('listen');
  const addressListen = addressText === undefined ? undefined : boundEndpoint(addressText);
  if (addressText !== undefined && addressListen === undefined) return badEndpoint('addressListen');
  if (addressText === undefined && listen.port === PORT_MAX) {
    return fail(
      'BAD_CONFIG',
      `Configuration: addressListen: give ADDRESS:PORT, for there is no port after ${PORT_MAX}.`,
    );
  }
  const settings = { listen, ...rest, ...(addressListen === undefined ? {} : { addressListen }) };
  if (advertiseText === undefined) return ok(settings);
  const advertise = parseEndpoint(advertiseText);
  if (advertise === undefined || advertise.port === 0) {
    return fail(
      'BAD_CONFIG',
      'Configuration: advertise: give HOST or HOST:PORT, with brackets around an IPv6 address.',
    );
  }
  return ok({ ...settings, advertise });
}

function boundEndpoint(text: string): OmEndpoint | undefined {
  const { host, port } = parseEndpoint(text) ?? {};
  return host === undefined || port === undefined ? undefined : { host, port };
}

function badEndpoint(field: string): Result<never> {
  return fail('BAD_CONFIG', `Configuration: ${field}: give ADDRESS:PORT, with brackets around an IPv6 address.`);
}

/** HOST, HOST:PORT, [IPV6] or [IPV6]:PORT; port 0..65535. */
export function parseEndpoint(text: string): { host: string; port?: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) return undefined;
  if (match[3] === undefined) return { host };
  const port = Number(match[3]);
  return port <= PORT_MAX ? { host, port } : undefined;
}
