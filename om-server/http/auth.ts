/** Who calls: the administrator by the token, a node by its certificate. */
import { createHash, timingSafeEqual, type X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { claimsOfCertificate } from '../../overlay/certificate.ts';
import { OverlayError } from '../../overlay/errors.ts';
import type { CertificateClaims } from '../../overlay/om-api.ts';
import { serialOf } from '../../overlay/revocation-list.ts';
import type { Services } from '../services.ts';
import type { Node } from '../store/nodes.ts';
import type { Vi } from '../store/vis.ts';

/** A hook that lets only requests with this bearer token pass. */
export function requireAdministrator(token: string): (request: FastifyRequest) => Promise<void> {
  const expected = digestOf(token);
  return async ({ headers }) => {
    const given = /^Bearer ([\w-]{1,256})$/i.exec(headers.authorization ?? '')?.[1];
    if (given === undefined || !timingSafeEqual(digestOf(given), expected)) throw new OverlayError('UNAUTHENTICATED');
  };
}

/** Digests have one length, whatever the length of what was given. */
function digestOf(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}

/** `serial`: of the certificate that it calls with. */
export type Caller = { readonly vi: Vi; readonly node: Node; readonly serial: string };

type Presented = {
  readonly certificate: X509Certificate;
  readonly claims: CertificateClaims | undefined;
  readonly publicKey: Uint8Array;
  readonly serial: string;
};

/** Names the node that calls, and refuses everybody else: CERTIFICATE_REFUSED, or NODE_REMOVED to who was one. */
export class NodeGuard {
  readonly #services: Services;
  /** A connection carries many requests; its certificate is read once. */
  readonly #presented = new WeakMap<TLSSocket, Presented>();
  /** Connections whose certificate is known to be written down. */
  readonly #noted = new WeakSet<TLSSocket>();
  readonly #callers = new WeakMap<FastifyRequest, Caller>();

  constructor(services: Services) {
    this.#services = services;
  }

  readonly hook = async (request: FastifyRequest): Promise<void> => {
    this.#callers.set(request, this.#identify(request.raw.socket as TLSSocket));
  };

  /** Of a request that the hook let pass. */
  caller(request: FastifyRequest): Caller {
    const caller = this.#callers.get(request);
    if (caller === undefined) throw new Error('the guard of this call is missing');
    // It may have been removed while the body of its request was on the way.
    if (!this.#services.nodes.exists(caller.node.key)) throw new OverlayError('NODE_REMOVED');
    return caller;
  }

  #identify(socket: TLSSocket): Caller {
    const presented = this.#read(socket);
    const { vis, nodes, certificates, clock } = this.#services;
    const { claims, certificate, publicKey, serial } = presented;
    if (!socket.authorized || claims === undefined || certificate.validToDate.getTime() < clock.wall()) {
      throw new OverlayError('CERTIFICATE_REFUSED');
    }
    // The CA signed it, so there was such a node: where it is not found, it left or was removed, or its VI was.
    const vi = vis.byId(claims.vi);
    const node = vi === undefined ? undefined : nodes.byId(vi.config, claims.id);
    const isSame = node?.name === claims.name && Buffer.compare(publicKey, node.publicKey) === 0;
    // The node may have joined anew, and this be a copy of what it was before.
    if (vi === undefined || node === undefined || !isSame || certificates.isRevoked(serial)) {
      throw new OverlayError('NODE_REMOVED');
    }
    if (!this.#noted.has(socket)) certificates.seen(node.key, serial, certificate.validToDate.getTime());
    this.#noted.add(socket);
    return { vi, node, serial };
  }

  #read(socket: TLSSocket): Presented {
    const known = this.#presented.get(socket);
    if (known !== undefined) return known;
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) throw new OverlayError('UNAUTHENTICATED');
    const publicKey = certificate.publicKey.export({ type: 'spki', format: 'der' });
    const [claims, serial] = [claimsOfCertificate(certificate.raw), serialOf(certificate)];
    const presented = { certificate, claims, publicKey, serial };
    this.#presented.set(socket, presented);
    return presented;
  }
}
