/** om.yaml: the configuration of an overlay manager. Every field has a default; an absent file is an empty one. */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { fail } from '../overlay/errors.ts';
import { closed } from '../overlay/fields.ts';
import type { LogLevel } from '../overlay/lib/log.ts';
import { ok, type Result } from '../overlay/lib/result.ts';
import type { OmEndpoint } from '../overlay/om-transport.ts';

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
  const { listen: listenText, data, advertise: advertiseText, logLevel } = value as OmConfig;
  const listen = parseEndpoint(listenText);
  if (listen?.port === undefined) {
    return fail('BAD_CONFIG', 'Configuration: listen: give ADDRESS:PORT, with brackets around an IPv6 address.');
  }
  const settings = { listen: { host: listen.host, port: listen.port }, data, logLevel };
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

/** HOST, HOST:PORT, [IPV6] or [IPV6]:PORT; port 0..65535. */
export function parseEndpoint(text: string): { host: string; port?: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) return undefined;
  if (match[3] === undefined) return { host };
  const port = Number(match[3]);
  return port <= 65_535 ? { host, port } : undefined;
}
