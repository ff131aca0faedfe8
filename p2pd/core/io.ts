/** What goes into the P2P daemon's machine and what comes out of it. */
import type { P2pdMessage } from '../../overlay/messages/p2pd-p2pd.ts';
import type { ToP2pd, ToRd } from '../../overlay/messages/p2pd-rd.ts';

/** A UDP endpoint inside the VI; the address in its canonical text form. */
export type Endpoint = { readonly address: string; readonly port: number };

export type Input =
  | { readonly kind: 'rd'; readonly message: ToP2pd }
  | { readonly kind: 'datagram'; readonly from: Endpoint; readonly message: P2pdMessage }
  /** The connection to the resource daemon is there, or gone. */
  | { readonly kind: 'rd.up' }
  | { readonly kind: 'rd.down' }
  | { readonly kind: 'tick' }
  | { readonly kind: 'leave' };

export type Output =
  | { readonly kind: 'rd'; readonly message: ToRd }
  | { readonly kind: 'datagram'; readonly to: Endpoint; readonly message: P2pdMessage }
  /** Listen on this UDP port of the VI. */
  | { readonly kind: 'listen'; readonly port: number }
  /** Nothing more will come; end the process. `failed`: not because the node has left the ring. */
  | { readonly kind: 'exit'; readonly reason: string; readonly failed: boolean };

/** Why something that arrived was not acted on. */
export type Drop =
  | 'stranger'
  | 'incarnation'
  | 'address'
  | 'not-member'
  | 'hops'
  | 'no-next-hop'
  | 'unexpected'
  | 'table-full';

/** P2PD messages by name. */
export type Message<Name extends P2pdMessage['t']> = Extract<P2pdMessage, { t: Name }>;
/** What a sender fills in; its own id and incarnation are added on the way out. */
export type Unsigned<M extends P2pdMessage = P2pdMessage> = M extends P2pdMessage
  ? Omit<M, 'id' | 'incarnation'>
  : never;
