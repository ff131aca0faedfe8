/** The HTTPS server: limits, validation, the form of errors, OpenAPI. */
import swagger from '@fastify/swagger';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { Value } from '@sinclair/typebox/value';
import fastify, { type FastifyError, type FastifyReply, type FastifyTypeProvider } from 'fastify';
import { ERRORS, type ErrorCode, OverlayError } from '../../overlay/errors.ts';
import { API_PREFIX, ApiError, Health } from '../../overlay/om-api.ts';
import type { Services } from '../services.ts';
import { administratorRoutes } from './admin-routes.ts';
import { answers } from './answers.ts';
import { requireAdministrator } from './auth.ts';
import { joinRoute } from './join-route.ts';
import { nodeRoutes } from './node-routes.ts';

/** Bytes; the largest request lists all pairs that a node may hold. */
export const BODY_BYTES_MAX = 64 * 1024;
const REQUEST_MS = 15_000;
const IDLE_MS = 75_000;
const HANDSHAKE_MS = 10_000;
export const CONNECTIONS_MAX = 10_000;

/** Tells handlers the types of what was validated. */
interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
}

export type Tls = { readonly cert: string; readonly key: string; readonly ca: string };

export type App = ReturnType<typeof bareApp>;

function bareApp(tls: Tls) {
  const https = {
    ...tls,
    minVersion: 'TLSv1.3' as const,
    requestCert: true,
    // Who has none, or one of another CA, gets an answer that says so where a certificate is needed.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS,
    headersTimeout: REQUEST_MS,
  };
  return fastify({
    https,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: IDLE_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
  }).withTypeProvider<TypeBoxProvider>();
}

export async function createApp(services: Services, tls: Tls): Promise<App> {
  const app = bareApp(tls);
  app.server.maxConnections = CONNECTIONS_MAX;
  app.setValidatorCompiler(({ schema, httpPart }) => validatorOf(schema as TSchema, httpPart ?? ''));
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.setNotFoundHandler((_request, reply) =>
    sendError(reply, 'NOT_FOUND', 'There is no such call; see openapi.json.'),
  );
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    if (error instanceof OverlayError) return sendError(reply, error.code, error.message);
    if (error.statusCode !== undefined && error.statusCode < 500) {
      const { statusCode } = error;
      return sendError(reply, statusCode === 413 ? 'LIMIT_REACHED' : 'BAD_ARGUMENT', `${error.message}.`, statusCode);
    }
    services.log.error({ err: error, call: callOf(request) }, 'a request failed');
    return sendError(reply, 'INTERNAL');
  });
  app.addHook('onResponse', (request, reply, done) => {
    const ms = Math.round(reply.elapsedTime);
    services.log.debug({ call: callOf(request), status: reply.statusCode, ms, from: request.ip }, 'answered');
    done();
  });
  await app.register(swagger, openApiOptions(services.version));
  await app.register(async (api: App) => routes(api, services), { prefix: API_PREFIX });
  return app;
}

async function routes(api: App, services: Services): Promise<void> {
  api.get(
    '/health',
    {
      schema: {
        operationId: 'health',
        tags: ['public'],
        summary: 'Whether the server is up',
        response: answers(Health),
      },
    },
    () => ({ status: 'ok' as const, version: services.version }),
  );
  joinRoute(api, services);
  await api.register(async (scope: App) => administratorRoutes(scope, services));
  await api.register(async (scope: App) => nodeRoutes(scope, services));
  api.get(
    '/openapi.json',
    {
      onRequest: requireAdministrator(services.token),
      schema: {
        operationId: 'openApi',
        tags: ['administrator'],
        summary: 'This description',
        security: [{ administrator: [] }],
        response: answers(Type.Any({ description: 'OpenAPI 3.1' })),
      },
    },
    () => api.swagger(),
  );
}

/** Only the pattern of the path is logged, never what a caller put there. */
function callOf(request: { method: string; routeOptions: { url?: string | undefined } }): string {
  return `${request.method} ${request.routeOptions.url ?? '?'}`;
}

function validatorOf(schema: TSchema, httpPart: string): (value: unknown) => { value: unknown } | { error: Error } {
  const compiled = TypeCompiler.Compile(schema);
  return (input) => {
    // Queries and path parameters are text; a body says itself what type a value has.
    const value = Value.Default(schema, httpPart === 'body' ? input : Value.Convert(schema, input));
    if (compiled.Check(value)) return { value };
    const error = compiled.Errors(value).First();
    const field = error?.path.slice(1).replaceAll('/', '.') || httpPart;
    return { error: new OverlayError('BAD_ARGUMENT', `${field}: ${error?.message ?? 'not valid'}.`) };
  };
}

function sendError(
  reply: FastifyReply,
  code: ErrorCode,
  message: string = ERRORS[code].text,
  status: number = ERRORS[code].http,
): FastifyReply {
  return reply.code(status).send({ error: { code, message } } satisfies ApiError);
}

function openApiOptions(version: string) {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'p2pxbone overlay manager',
        description: 'Virtual Internets, invitations, nodes, and the server of link addresses.',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          administrator: { type: 'http' as const, scheme: 'bearer', description: 'The token in DATA/admin-token' },
          // The plugin's types are those of OpenAPI 3.0, which did not have this scheme.
          node: { type: 'mutualTLS', description: 'The certificate that a node got when it joined' } as never,
        },
      },
    },
    // Schemas are written out where they are used; a name that occurs twice would be ambiguous.
    transform: <S>({ schema, url }: { schema: S; url: string }) => ({ schema: withoutNames(schema), url }),
  };
}

function withoutNames<T>(schema: T): T {
  if (Array.isArray(schema)) return schema.map(withoutNames) as T;
  if (typeof schema !== 'object' || schema === null) return schema;
  const entries = Object.entries(schema).filter(([key]) => key !== '$id');
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutNames(value)])) as T;
}
