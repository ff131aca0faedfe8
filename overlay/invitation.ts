/** An invitation: one string that carries all a new node needs to join a VI, and a one-time secret. */
import { createHash } from 'node:crypto';
import { fail } from './errors.ts';
import { NAME_PATTERN } from './fields.ts';
import { ok, type Result } from './lib/result.ts';

export type Invitation = {
  /** Host (name, IPv4 or unbracketed IPv6) and port of the overlay manager's HTTPS API. */
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the overlay manager's CA certificate (DER), 32 bytes. */
  readonly caFingerprint: Uint8Array;
  /** Name of the VI. */
  readonly vi: string;
  /** 16 random bytes; known to the holder and, hashed, to the overlay manager. */
  readonly secret: Uint8Array;
  /** Seconds since 1970. */
  readonly expires: number;
};

const PREFIX = 'pxb1_';
const FINGERPRINT_BYTES = 32;
const SECRET_BYTES = 16;
const CHECK_BYTES = 4;
const FIXED_BYTES = 1 + FINGERPRINT_BYTES + SECRET_BYTES + 4 + 2 + 2;
const VERSION = 1;

/**
 * base64url of: version (1), fingerprint (32), secret (16), expiry (4, seconds since 1970), port (2), length of the VI's
 * name (1) and the name, length of the host (1) and the host, first 4 bytes of the SHA-256 of all that. Integers are
 * big-endian. The check tells a mangled copy from a stale invitation without asking anybody.
 */
export function formatInvitation(invitation: Invitation): string {
  const vi = new TextEncoder().encode(invitation.vi);
  const host = new TextEncoder().encode(invitation.host);
  const body = new Uint8Array(FIXED_BYTES + vi.length + host.length);
  const view = new DataView(body.buffer);
  body[0] = VERSION;
  body.set(invitation.caFingerprint, 1);
  body.set(invitation.secret, 33);
  view.setUint32(49, invitation.expires);
  view.setUint16(53, invitation.port);
  body[55] = vi.length;
  body.set(vi, 56);
  body[56 + vi.length] = host.length;
  body.set(host, 57 + vi.length);
  return PREFIX + Buffer.concat([body, checkOf(body)]).toString('base64url');
}

/** INVITATION_MALFORMED for anything that formatInvitation did not make. Says nothing of expiry. */
export function parseInvitation(text: string): Result<Invitation> {
  const malformed = fail('INVITATION_MALFORMED');
  const encoded = text.trim();
  if (!encoded.startsWith(PREFIX) || !/^[\w-]{80,1024}$/.test(encoded)) return malformed;
  const bytes = Uint8Array.from(Buffer.from(encoded.slice(PREFIX.length), 'base64url'));
  const body = bytes.subarray(0, Math.max(0, bytes.length - CHECK_BYTES));
  if (body.length < FIXED_BYTES || Buffer.compare(checkOf(body), bytes.subarray(body.length)) !== 0) return malformed;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const viLength = view.getUint8(55);
  if (body[0] !== VERSION || body.length < FIXED_BYTES + viLength) return malformed;
  const hostLength = view.getUint8(56 + viLength);
  if (body.length !== FIXED_BYTES + viLength + hostLength) return malformed;
  const decoder = new TextDecoder();
  const vi = decoder.decode(body.subarray(56, 56 + viLength));
  const host = decoder.decode(body.subarray(57 + viLength));
  if (!new RegExp(NAME_PATTERN).test(vi) || !/^[\w.:-]+$/.test(host)) return malformed;
  return ok({
    host,
    port: view.getUint16(53),
    caFingerprint: body.slice(1, 33),
    vi,
    secret: body.slice(33, 49),
    expires: view.getUint32(49),
  });
}

function checkOf(body: Uint8Array): Uint8Array {
  return createHash('sha256').update(body).digest().subarray(0, CHECK_BYTES);
}
