/** Every limit and every fixed time of the P2P daemon; what operators may set is in the VI's timers. */

/** An unanswered question to a neighbour counts as a miss after so long, milliseconds. */
export const REQUEST_MS = 500;
/** So many misses in a row, with nothing heard in between, and the neighbour is dead for the ring. */
export const MISSES_MAX = 5;
export const REQUESTS_MAX = 256;

/** How long lists of others cannot bring back a node that died or left, milliseconds. */
export const GRAVE_MS = 30_000;
/** The same for a node to which no tunnel can be made: it may well live. */
export const GRAVE_UNREACHABLE_MS = 10_000;
export const GRAVES_MAX = 256;

/** Dead nodes are tried again, in case it was the network that broke: how many, after how long for the first time and at
 * most between two times, for how long. */
export const KNOCKS_MAX = 64;
export const KNOCK_MS = 2500;
export const KNOCK_MS_MAX = 60_000;
export const KNOCK_FOR_MS = 30 * 60_000;

/** Strangers are asked for our place in their ring so often, milliseconds: at least, and for each node of the ring. */
export const REUNION_MS = 120_000;
export const REUNION_MS_PER_NODE = 2000;

/** Shortest time between two rounds of stabilisation, milliseconds. */
export const STABILISE_GAP_MS = 50;
/** Shortest time between two pushes of the member list while the ring forms, milliseconds. */
export const GOSSIP_GAP_MS = 50;
/** A node heard from within so many stabilisation periods need not be asked whether it lives. */
export const HEARD_PERIODS = 2;

/** `find_successor`: time for an answer, milliseconds, and attempts before the asker is told. */
export const ASK_MS = 1000;
export const ASK_ATTEMPTS = 3;
export const ASKS_MAX = 256;
/** Tunnels being made in order to answer over them. */
export const ANSWERS_MAX = 64;
export const ANSWER_MS = 5000;
/** Questions passed on whose askers could be told `busy`. */
export const RELAYS_MAX = 256;
export const RELAY_MS = 5000;

/** Joining: time for `bootstrap`, between two bootstrap nodes tried, for the neighbours' tunnels, milliseconds. */
export const BOOTSTRAP_MS = 3000;
export const GATE_MS = 500;
export const CONNECT_MS = 1500;
export const JOIN_RETRY_MS = 200;
export const JOIN_RETRY_MS_MAX = 2000;
export const GATES_MAX = 16;
/** So many questions for our place, and then new bootstrap nodes are asked for. */
export const ASKS_PER_BOOTSTRAP = 5;
/** One joiner at a time while the ring forms; it has so long to become a member, milliseconds. */
export const ADMISSION_MS = 3000;
/** A node alone looks for company so often, milliseconds; the time doubles up to the second value. */
export const ALONE_MS = 2000;
export const ALONE_MS_MAX = 30_000;

/** Tunnels: time for an answer to `tunnel.add`, first and longest pause after a failure, milliseconds. */
export const TUNNEL_MS = 15_000;
export const TUNNEL_RETRY_MS = 250;
export const TUNNEL_RETRY_MS_MAX = 5000;
/** So many failures in a row and a node of the ring is dead for now. */
export const TUNNEL_FAILURES_MAX = 2;
/** A tunnel no longer wanted is kept for so many stabilisation periods. */
export const GRACE_PERIODS = 3;
/** After our hold is dropped, the time in which the resource daemon tells whether the tunnel goes, milliseconds. */
export const LAPSE_MS = 2000;
/** A tunnel wanted for a question only, milliseconds. */
export const ERRAND_MS = 5000;
export const ERRANDS_MAX = 64;
export const PEERS_MAX = 8192;

/** Pause between finger lookups while some are missing, milliseconds. */
export const FINGER_GAP_MS = 10;
/** A refused commit is repeated after so long, milliseconds. */
export const COMMIT_RETRY_MS = 100;

/** Leaving: repetition, longest wait for the successor, time in which packets under way still arrive, milliseconds. */
export const LEAVING_RETRY_MS = 250;
export const LEAVING_MS = 2000;
export const DRAIN_MS = 2000;

/** Without its resource daemon for so long, the P2P daemon gives up, milliseconds. */
export const RD_GONE_MS = 60_000;

/** Former predecessors learn of new ones in so many stabilisation periods; so many of them are remembered. */
export const FORMER_PERIODS = 5;
export const FORMERS_MAX = 32;

/** Records of the largest size that fit into one datagram beside everything else, by message. */
export const RECORDS_PER_STATE = 8;
export const RECORDS_PER_FOUND = 7;
export const MEMBERS_PER_NOTIFY = 7;
