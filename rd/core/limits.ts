/** Limits and periods of the resource daemon's core. Times in milliseconds. */

/** First wait for an answer to con_req or release; doubled with each repetition up to RETRY_MS_MAX. */
export const RETRY_MS = 250;
export const RETRY_MS_MAX = 2000;
/** A request unanswered for so long has failed. */
export const GIVE_UP_MS = 6000;

/** The next endpoint of a contact is tried beside the first when that has not answered for so long. */
export const NEXT_ENDPOINT_MS = 1200;
/** An association that no tunnel uses is closed after this. */
export const ASSOCIATION_IDLE_MS = 30_000;
export const ATTEMPTS_MAX = 4096;

/** A peer that has asked for a tunnel has it too after this, even if its con_ack was lost. */
export const READY_MS = 2000;

/** A tunnel whose association was replaced waits so long for its peer to confirm it. */
export const REBIND_MS = 6000;

/** A peer's next certificate is asked for when this part of what is left of its present one is over. */
export const ASK_AGAIN_AFTER = 3 / 4;
/** Shortest time between two such questions. */
export const ASK_AGAIN_MS = 5000;

/** What is remembered of peers' requests after their tunnel has gone, so that a late copy is not taken for a new one. */
export const SEEN_MS = 60_000;
export const SEEN_MAX = 8192;

/** Pairs fetched at once, and kept while the node is down; fewer where the VI's pool is small. */
export const LEASE_BLOCK = 16;
export const LEASE_BLOCK_MIN = 2;
/** A block is at most this part of all pairs of the VI, so that some nodes cannot take them all. */
export const LEASE_BLOCK_PART = 1 / 64;
/** So many blocks may be free; more are handed back when leases are extended. */
export const LEASE_SPARE_BLOCKS = 4;
/** A pair given back rests so long before it is taken again, where there are others. */
export const PAIR_REST_MS = 10_000;
export const LEASE_RETRY_MS = 1000;
export const LEASE_RETRY_MS_MAX = 5_000;
/** Leases are extended when this part of their life is over. */
export const LEASE_EXTEND_AFTER = 1 / 3;

export const ROUTES_MAX = 4096;
/** Route changes that a P2P daemon may have staged and not yet committed. */
export const STAGED_MAX = 16_384;

/** Measured round-trip times answer later questions for so long; measured bandwidths and failures likewise. */
export const MEASURE_RTT_FRESH_MS = 30_000;
export const MEASURE_CAPACITY_FRESH_MS = 600_000;
export const MEASURE_FAILED_FRESH_MS = 30_000;
/** Peers' daemons whose measured values are remembered; that of the oldest is forgotten for a new one. */
export const MEASURE_KNOWN_MAX = 4096;
/** Measurements under way at once; questions that wait for one of them. */
export const MEASURES_MAX = 16;
export const MEASURE_ASKS_MAX = 64;
/** A measurement, with the association that it may need first, has so long. */
export const MEASURE_GIVE_UP_MS = GIVE_UP_MS + 4000;
/** An association made for a measurement is closed after this unless a tunnel uses it. */
export const MEASURE_LINGER_MS = 5000;
/** Measurements that one node may have made, and all nodes of the daemon together. */
export const MEASURE_NODE = { burst: 64, perSecond: 2 } as const;
export const MEASURE_ALL = { burst: 128, perSecond: 4 } as const;
/** Associations begun for measurements, and of these, those with one host, which a contact need not name rightly. */
export const MEASURE_STRANGERS = { burst: 32, perSecond: 1 } as const;
export const MEASURE_STRANGERS_OF_HOST = { burst: 8, perSecond: 0.1 } as const;
/** Hosts whose allowance is not full; with more, no further one is approached. */
export const MEASURE_HOSTS_MAX = 1024;
/** Measurements of bandwidth by all nodes of the daemon, each of 48 full datagrams. */
export const MEASURE_CAPACITIES = { burst: 8, perSecond: 0.1 } as const;
