/** Kinds of events. `node` is the machine at which it happens; the rest is said with each. */
export const KIND = {
  /** The P2P daemon's deadline. extra: its life. */
  P2PD_TIMER: 0,
  /** The resource daemon's deadline. extra: its life. */
  RD_TIMER: 1,
  /** A message on the socket to the P2P daemon. extra: number of the session. */
  TO_P2PD: 2,
  /** The same to the resource daemon. */
  TO_RD: 3,
  /** A packet arrives by a tunnel. extra: the machine at the tunnel's other end. */
  PACKET: 4,
  /** A datagram of a handshake arrives. extra: which one; body: the association. */
  FLIGHT: 5,
  /** A handshake's client repeats itself. extra: which datagram. */
  REPEAT: 6,
  /** A handshake takes too long. */
  HANDSHAKE_OVER: 7,
  /** An end of an association has heard nothing for too long. extra: since which spell of silence. body: the end. */
  SILENCE: 8,
  /** The other end has said goodbye. body: the end that hears it. */
  GOODBYE: 9,
  /** A control message arrives. body: the end it comes to, and the message. */
  CONTROL: 10,
  /** A request arrives at the overlay manager. extra: the resource daemon's life; body: the request. */
  TO_MANAGER: 11,
  /** Its answer arrives. */
  FROM_MANAGER: 12,
  /** The P2P daemon is started. extra: the resource daemon's life. */
  START_P2PD: 13,
  /** The resource daemon is started. */
  START_RD: 14,
  /** The P2P daemon finds the socket of its resource daemon again. extra: the P2P daemon's life. */
  RECONNECT: 15,
  /** A step of the plan. extra: its place. */
  STEP: 16,
  /** What was held back while it stood still is done now. extra: which daemon. */
  RESUME: 17,
  /** A test's own. body: a function. */
  CALL: 18,
  /** The data plane has measured, or had no answers. body: the end of the association, and what it found. */
  MEASURED: 19,
} as const;

export const KIND_NAMES: readonly string[] = Object.keys(KIND);
