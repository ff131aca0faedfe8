/** HTTPS to an overlay manager: the connection is trusted by its CA alone, never by the system's store of authorities. */
import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto';
import { ClientRequest, type IncomingMessage } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { checkServerIdentity, connect } from 'node:tls';
import { fail } from './errors.ts';
import { type Failure, ok, type Result } from './lib/result.ts';
import { OM_SERVER_NAME } from './om-api.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export type OmEndpoint = {
  /** Host name, IPv4 or unbracketed IPv6 address. */
  readonly host: string;
  readonly port: number;
};

export type Identity = { readonly certPem: string; readonly keyPem: string };

export type Answer = { readonly status: number; readonly body: unknown };

/** Largest answer, bytes: a list of some hundred thousand nodes. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const SOCKETS_MAX = 8;

/** HOST:PORT, with brackets around an IPv6 address. */
export function formatEndpoint({ host, port }: OmEndpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export function unreachable(endpoint: OmEndpoint, why: string): Result<never> {
  const text = `The overlay manager at ${formatEndpoint(endpoint)} does not answer (${why})`;
  return fail('OM_UNREACHABLE', `${text}; check that it runs and can be reached.`);
}

/**
 * The CA certificate that the server presents, PEM, if its SHA-256 is this fingerprint; CA_MISMATCH if there is none
 * such. Nothing is sent on this connection. That the server holds a key certified by this CA is shown by the next one.
 */
export function fetchCa(endpoint: OmEndpoint, fingerprint: Uint8Array, timeoutMs: number): Promise<Result<string>> {
  return new Promise((resolve) => {
    const socket = connect({ host: endpoint.host, port: endpoint.port, rejectUnauthorized: false });
    const finish = (result: Result<string>): void => {
      clearTimeout(timer);
      resolve(result);
      socket.destroy();
    };
    const timer = setTimeout(() => finish(unreachable(endpoint, 'no answer in time')), timeoutMs);
    socket.on('error', (error) => finish(unreachable(endpoint, reasonOf(error))));
    socket.on('close', () => finish(unreachable(endpoint, 'the connection was closed')));
    socket.on('secureConnect', () => {
      const ca = certificateOf(socket.getPeerX509Certificate(), fingerprint);
      finish(ca === undefined ? fail('CA_MISMATCH') : ok(ca.toString()));
    });
  });
}

/** The certificate with this fingerprint among the leaf and those sent along with it. */
function certificateOf(leaf: X509Certificate | undefined, fingerprint: Uint8Array): X509Certificate | undefined {
  const seen = new Set<string>();
  for (let certificate = leaf; certificate !== undefined; certificate = certificate.issuerCertificate) {
    const digest = createHash('sha256').update(certificate.raw).digest();
    if (digest.length === fingerprint.length && timingSafeEqual(digest, fingerprint)) return certificate;
    if (seen.has(certificate.fingerprint256)) return undefined;
    seen.add(certificate.fingerprint256);
  }
  return undefined;
}

export type Transport = {
  /** One request. Any answer is a value, also one with an error status. */
  send(method: Method, path: string, body: unknown, answerBytesMax?: number): Promise<Result<Answer>>;
  /** Closes the idle connections. */
  close(): void;
};

export type TransportOptions = OmEndpoint & {
  readonly caPem: string;
  readonly identity?: Identity;
  readonly token?: string;
  readonly timeoutMs: number;
};

export function createTransport(options: TransportOptions): Transport {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: SOCKETS_MAX,
    // A resumed session has no certificates to look at.
    maxCachedSessions: 0,
    ca: options.caPem,
    minVersion: 'TLSv1.3',
    ...(options.identity === undefined ? {} : { cert: options.identity.certPem, key: options.identity.keyPem }),
    checkServerIdentity: (_host, certificate) => checkServerIdentity(OM_SERVER_NAME, certificate),
  });
  return {
    async send(method, path, body, answerBytesMax = ANSWER_BYTES_MAX) {
      const once = (): Promise<Outcome> => exchange(options, agent, { method, path, body, answerBytesMax });
      const first = await once();
      // The server may close an idle connection at the moment in which it is used again; that request was not read.
      return (first.stale ? await once() : first).result;
    },
    close: () => agent.destroy(),
  };
}

type Exchange = {
  readonly method: Method;
  readonly path: string;
  readonly body: unknown;
  readonly answerBytesMax: number;
};

type Outcome = { readonly result: Result<Answer>; readonly stale: boolean };

function exchange(
  options: TransportOptions,
  agent: Agent,
  { method, path, body, answerBytesMax }: Exchange,
): Promise<Outcome> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const headers: Record<string, string | number> = { accept: 'application/json' };
  if (options.token !== undefined) headers['authorization'] = `Bearer ${options.token}`;
  if (payload !== undefined) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = payload.length;
  }
  const { host, port } = options;
  const requestOptions: RequestOptions = { agent, host, port, method, path, headers };
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const finish = (result: Result<Answer>, stale = false): void => {
      clearTimeout(timer);
      resolve({ result, stale });
    };
    const sent = open(requestOptions, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        // The time limit is one of silence: a long list may take longer on a slow line.
        timer?.refresh();
        if (length > answerBytesMax) response.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.on('error', (error) => finish(unreachable(options, reasonOf(error))));
      response.on('end', () => finish(answerOf(response.statusCode ?? 0, Buffer.concat(chunks))));
    });
    if (!(sent instanceof ClientRequest)) return finish(sent);
    timer = setTimeout(() => {
      finish(unreachable(options, 'no answer in time'));
      sent.destroy();
    }, options.timeoutMs);
    sent.on('error', (error) => finish(failureOf(options, error), sent.reusedSocket && isReset(error)));
    sent.end(payload);
  });
}

/** A certificate or key that cannot be read is found out only here, when the connection is opened. */
function open(options: RequestOptions, onResponse: (response: IncomingMessage) => void): ClientRequest | Failure {
  try {
    return request(options, onResponse);
  } catch (error) {
    return fail('CERTIFICATE_REFUSED', `The certificate or key cannot be used (${reasonOf(error as Error)}).`);
  }
}

function answerOf(status: number, bytes: Buffer): Result<Answer> {
  if (bytes.length === 0) return ok({ status, body: undefined });
  try {
    return ok({ status, body: JSON.parse(bytes.toString('utf8')) as unknown });
  } catch {
    return fail(
      'BAD_MESSAGE',
      'The overlay manager’s answer is no JSON; check that the address is that of an overlay manager.',
    );
  }
}

/** Codes of OpenSSL and of node:tls for a server certificate that the pinned CA does not vouch for. */
const MISMATCH =
  /^(SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|UNABLE_TO_|CERT_SIGNATURE|ERR_TLS_CERT_ALTNAME|INVALID_CA|CERT_UNTRUSTED|CERT_REJECTED)/;

function failureOf(endpoint: OmEndpoint, error: Error): Result<never> {
  const code = codeOf(error);
  if (MISMATCH.test(code)) return fail('CA_MISMATCH');
  if (/^CERT_(HAS_EXPIRED|NOT_YET_VALID)/.test(code)) {
    return fail(
      'CA_MISMATCH',
      `The certificate of the overlay manager at ${formatEndpoint(endpoint)} is not valid now; check both clocks.`,
    );
  }
  return unreachable(endpoint, reasonOf(error));
}

function isReset(error: Error): boolean {
  return ['ECONNRESET', 'EPIPE'].includes(codeOf(error));
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function reasonOf(error: Error): string {
  return codeOf(error) || error.message;
}
