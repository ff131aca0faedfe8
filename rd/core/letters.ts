/** What the tunnels of one node write to other resource daemons. */
import type { ErrorCode } from '../../overlay/errors.ts';
import type { RdMessage } from '../../overlay/messages/rd-rd.ts';
import { RD_RD_VERSION } from '../../overlay/messages/rd-rd.ts';
import type { AssociationRef, NodeSetup, Output } from './io.ts';
import type { Ask, Tunnel } from './tunnel.ts';

export type ConReq = RdMessage & { t: 'con_req' };
export type ConResp = RdMessage & { t: 'con_resp' };
export type Release = RdMessage & { t: 'release' };

/** Of the certificate and the names of groups together: what RD_RD_BYTES_MAX leaves beside the other fields. */
const CERTIFICATE_AND_GROUPS_BYTES_MAX = 825;

export class Letters {
  readonly #setup: () => NodeSetup;
  readonly #emit: (output: Output) => void;

  constructor(setup: () => NodeSetup, emit: (output: Output) => void) {
    this.#setup = setup;
    this.#emit = emit;
  }

  ask(tunnel: Tunnel, ask: Ask, association: AssociationRef): void {
    const { id, vi, incarnation } = this.#setup();
    const about = { request: ask.request, vi: vi.id, to: tunnel.peer };
    const release = { t: 'release', ...about, from: id, incarnation } as const;
    const wants = { pair: tunnel.pair ?? null, secure: ask.secure };
    const conReq = { t: 'con_req', ...about, version: RD_RD_VERSION, from: this.#ownEnd(), ...wants } as const;
    this.#send(association, ask.kind === 'release' ? release : conReq);
  }

  accept(tunnel: Tunnel, request: number, association: AssociationRef): void {
    const answer = { request, vi: this.#setup().vi.id, to: tunnel.peer, from: this.#ownEnd() };
    const secure = tunnel.security?.secure === true;
    const state = { pair: tunnel.pair ?? null, secure, held: tunnel.hold !== 'none' };
    this.#send(association, { t: 'con_resp', ...answer, ...state });
  }

  acknowledge({ from, request }: ConResp, association: AssociationRef): void {
    const { id, vi } = this.#setup();
    this.#send(association, { t: 'con_ack', request, vi: vi.id, from: id, to: from.node });
  }

  refuse(message: ConReq, code: ErrorCode, association: AssociationRef): void {
    const { id, vi } = this.#setup();
    const answer = { request: message.request, vi: vi.id, from: id, to: message.from.node, code };
    this.#send(association, { t: 'con_refused', ...answer });
  }

  confirmRelease(message: Release, gone: boolean, association: AssociationRef): void {
    const { id, vi } = this.#setup();
    const answer = { request: message.request, vi: vi.id, from: id, to: message.from, gone };
    this.#send(association, { t: 'released', ...answer });
  }

  /** A refusal of nothing in particular: this end has no such tunnel any more, whoever holds it. */
  sayGone({ association, peer }: Tunnel, code: ErrorCode = 'NOT_FOUND'): void {
    if (association === undefined) return;
    const { id, vi } = this.#setup();
    const message = { request: 0, vi: vi.id, from: id, to: peer, code };
    this.#send(association, { t: 'con_refused', ...message });
  }

  #ownEnd(): ConReq['from'] {
    const { id, incarnation, contact, p2pdPort, certificate } = this.#setup();
    // The certificate names and proves them anyway; a long list does not fit twice.
    const bytes = this.#setup().groups.reduce((sum, group) => sum + group.length + 2, certificate.length);
    const groups = bytes <= CERTIFICATE_AND_GROUPS_BYTES_MAX ? [...this.#setup().groups] : null;
    return { node: id, incarnation, contact, p2pdPort, groups, certificate };
  }

  #send(association: AssociationRef, message: RdMessage): void {
    this.#emit({ kind: 'control.send', association, message });
  }
}
