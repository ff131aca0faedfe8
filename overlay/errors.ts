/** The one table of error codes: what each means, the exit code of a command that ends with it, the HTTP status. */
import type { Failure } from './lib/result.ts';

/** Exit codes of `p2pxbone`. */
export const EXIT = { done: 0, failed: 1, usage: 2, notPermitted: 3, notReachable: 4 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

type ErrorRow = {
  /** What to say when the place that fails has nothing better: one sentence that says what to do. */
  readonly text: string;
  readonly exit: ExitCode;
  readonly http: number;
};

export const ERRORS = {
  // Arguments and files.
  BAD_ARGUMENT: { text: 'An argument is not valid; see --help.', exit: 2, http: 400 },
  BAD_CONFIG: { text: 'The configuration is not valid; correct the field named and try again.', exit: 2, http: 400 },
  BAD_MESSAGE: {
    text: 'A message could not be read; both ends must run the same protocol version.',
    exit: 1,
    http: 400,
  },
  BAD_VERSION: { text: 'The other end speaks another protocol version; update the older one.', exit: 1, http: 400 },

  // Invitations and joining.
  INVITATION_MALFORMED: {
    text: 'This is not a whole invitation; copy it again, including its beginning and end.',
    exit: 2,
    http: 400,
  },
  INVITATION_EXPIRED: { text: 'The invitation has expired; ask for a new one.', exit: 3, http: 403 },
  INVITATION_USED: { text: 'The invitation has been used already; ask for a new one.', exit: 3, http: 403 },
  INVITATION_REVOKED: { text: 'The invitation has been revoked; ask for a new one.', exit: 3, http: 403 },
  INVITATION_UNKNOWN: {
    text: 'The overlay manager does not know this invitation; ask for a new one.',
    exit: 3,
    http: 403,
  },
  CA_MISMATCH: {
    text: 'The overlay manager at that address is not the one that made the invitation; do not join, ask for a new invitation.',
    exit: 3,
    http: 403,
  },

  // Identity and permission.
  NOT_PERMITTED: { text: 'This is not permitted; run it as root or with the right token.', exit: 3, http: 403 },
  UNAUTHENTICATED: {
    text: 'Credentials are missing or wrong; give the admin token or a node certificate.',
    exit: 3,
    http: 401,
  },
  CERTIFICATE_REFUSED: {
    text: 'The certificate is not from this network, has expired, or names another node.',
    exit: 3,
    http: 403,
  },
  CERTIFICATE_REVOKED: {
    text: 'The node’s certificate was revoked: it has left the network or was removed; join again with a new invitation.',
    exit: 3,
    http: 403,
  },
  NODE_REMOVED: {
    text: 'The node has been removed from the network; join again with a new invitation.',
    exit: 3,
    http: 403,
  },

  // Things.
  NOT_FOUND: { text: 'There is no such thing; list what exists and choose from it.', exit: 1, http: 404 },
  DUPLICATE_NAME: { text: 'The name is taken; choose another.', exit: 1, http: 409 },
  CONFLICT: { text: 'It conflicts with something that exists; change one of the two.', exit: 1, http: 409 },
  ADDRESS_OVERLAP: {
    text: 'The address pool overlaps with another network in the same network namespace; use --netns.',
    exit: 1,
    http: 409,
  },
  POOL_EXHAUSTED: {
    text: 'All addresses of the pool are in use; make the pool larger or remove nodes.',
    exit: 1,
    http: 409,
  },
  LIMIT_REACHED: { text: 'A configured limit is reached; raise it or release something.', exit: 1, http: 429 },

  // Machines and networks.
  OM_UNREACHABLE: {
    text: 'The overlay manager does not answer; check that it runs and can be reached.',
    exit: 4,
    http: 503,
  },
  RD_UNREACHABLE: { text: 'No resource daemon answers here; start one with `p2pxbone rd start`.', exit: 4, http: 503 },
  GATEWAY_UNREACHABLE: { text: 'No gateway answers here; start one with `p2pxbone gateway run`.', exit: 4, http: 503 },
  PEER_UNREACHABLE: { text: 'The other node does not answer on the base network.', exit: 4, http: 504 },
  PEER_REFUSED: { text: 'The other node refused the tunnel.', exit: 1, http: 502 },
  PEER_MISMATCH: { text: 'Another node answered at that contact.', exit: 1, http: 502 },
  SECURITY_MISMATCH: {
    text: 'The two ends do not agree on whether their tunnel is secure; see that both run the same release with the VI’s policy.',
    exit: 1,
    http: 409,
  },
  NO_ADDRESS_PAIR: { text: 'No link address pair is left and the address server does not answer.', exit: 4, http: 503 },
  NOT_READY: { text: 'The node has not found its place on the ring yet; try again in a moment.', exit: 4, http: 503 },
  TIMEOUT: { text: 'No answer came in time.', exit: 4, http: 504 },
  SYSTEM: { text: 'The operating system refused a request.', exit: 1, http: 500 },
  INTERNAL: { text: 'An internal check failed; please report it with `p2pxbone bugreport`.', exit: 1, http: 500 },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export const ERROR_CODES: readonly ErrorCode[] = Object.keys(ERRORS) as ErrorCode[];

/** A failure with the table's sentence, or a more precise one. */
export function fail(code: ErrorCode, message: string = ERRORS[code].text): Failure {
  return { ok: false, code, message };
}

/** For the places where a failure must cross an exception boundary, such as a command's or a request's handler. */
export class OverlayError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string = ERRORS[code].text) {
    super(message);
    this.name = 'OverlayError';
    this.code = code;
  }
}
