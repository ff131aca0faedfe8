/** Every limit and every fixed time of the P2P daemon; what operators may set is in the VI's timers. */

/** An unanswered question to a neighbour counts as a miss after so long, milliseconds. */
export const REQUEST_MS = 500;
/** So many misses in a row, with nothing heard in between, and the neighbour is dead for the ring. */
export const MISSES_MAX = 5;
/** Questions to neighbours that wait for an answer; one more is not asked. */
export const REQUESTS_MAX = 256;

/** How long lists of others cannot bring back a node that died or left, milliseconds. */
export const GRAVE_MS = 30_000;
/** The same for a node to which no tunnel can be made: it may well live. */
export const GRAVE_UNREACHABLE_MS = 10_000;
/** Dead nodes remembered; the oldest is forgotten for a new one. */
export const GRAVES_MAX = 256;

/** Dead nodes that are tried again, in case it was the network that broke; the oldest gives way to a new one. */
export const KNOCKS_MAX = 64;
/** A node dead on the base network is tried again after so long, and then after twice as long each time, milliseconds; spread by half of itself. */
export const KNOCK_DEAD_MS = 15_000;
/** The same for a node that was silent inside the VI only, which is more likely to live. */
export const KNOCK_SILENT_MS = 2500;
/** Longest pause between two attempts to reach a dead node, milliseconds. */
export const KNOCK_MS_MAX = 60_000;
/** A node dead for so long is not tried any more, milliseconds. */
export const KNOCK_FOR_MS = 30 * 60_000;

/** Strangers are asked for our place in their ring so often, milliseconds; in large rings more rarely. */
export const REUNION_MS = 120_000;
/** The same, for each node that the ring is estimated to have. */
export const REUNION_MS_PER_NODE = 2000;

/** Shortest time between two rounds of stabilisation, milliseconds. */
export const STABILISE_GAP_MS = 50;
/** Shortest time between two unasked tellings of our pointers or member list, milliseconds. */
export const GOSSIP_GAP_MS = 50;
/** A node heard from within so many stabilisation periods need not be asked whether it lives. */
export const HEARD_PERIODS = 2;

/** An unanswered find_successor is asked again after so long, milliseconds. */
export const ASK_MS = 1000;
/** So often a find_successor is asked before it has failed, where nothing else is said. */
export const ASK_ATTEMPTS = 3;
/** Own find_successor questions at a time; one more fails at once. */
export const ASKS_MAX = 256;
/** find_successor of others that wait for the tunnel over which they are answered; one more is dropped. */
export const ANSWERS_MAX = 64;
/** Such a tunnel must be up within this, milliseconds. */
export const ANSWER_MS = 5000;
/** Questions passed on whose askers could be told `busy`; the oldest gives way to a new one. */
export const RELAYS_MAX = 256;
/** For so long a `busy` finds its way back, milliseconds. */
export const RELAY_MS = 5000;

/** Joining: time for the resource daemon to answer bootstrap.get, milliseconds. */
export const BOOTSTRAP_MS = 3000;
/** Joining: the next bootstrap node is tried beside those before after so long, milliseconds. */
export const GATE_MS = 500;
/** Joining: bootstrap nodes that are tried. */
export const GATES_MAX = 16;
/** Joining: so many questions for our place, and then new bootstrap nodes are asked for. */
export const ASKS_PER_BOOTSTRAP = 5;
/** Joining: longest wait for the tunnels to the successor list, milliseconds. */
export const CONNECT_MS = 1500;
/** Joining: pause after `busy`, and first pause after a failure, milliseconds; spread by half of itself. */
export const JOIN_RETRY_MS = 200;
/** Joining: longest pause between two attempts, milliseconds. */
export const JOIN_RETRY_MS_MAX = 2000;
/** While the ring forms joiners come one at a time; each has so long to become a member, milliseconds. */
export const ADMISSION_MS = 3000;
/** A node alone looks for company after so long, and then after twice as long each time, milliseconds. */
export const ALONE_MS = 2000;
/** Longest pause between two such attempts, milliseconds. */
export const ALONE_MS_MAX = 30_000;

/** Longest wait for the resource daemon's answer to tunnel.add, milliseconds. */
export const TUNNEL_MS = 15_000;
/** Half of the pause after the first failure of a tunnel, milliseconds; doubled with each further one. */
export const TUNNEL_RETRY_MS = 250;
/** Longest pause between two attempts to make a tunnel, milliseconds. */
export const TUNNEL_RETRY_MS_MAX = 5000;
/** So many failures in a row and a node of the ring is dead for now; one suffices for the first successor. */
export const TUNNEL_FAILURES_MAX = 2;
/** A tunnel no longer wanted is kept for so many stabilisation periods. */
export const GRACE_PERIODS = 3;
/** After our hold is dropped, the time in which the resource daemon tells whether the tunnel goes, milliseconds. */
export const LAPSE_MS = 2000;
/** A tunnel wanted for a question only is wanted for so long, milliseconds. */
export const ERRAND_MS = 5000;
/** Tunnels wanted for questions only; the oldest gives way to a new one. */
export const ERRANDS_MAX = 64;
/** Nodes to which there are tunnels, or to which some are wanted; one more is not noted. */
export const PEERS_MAX = 8192;

/** Pause between two finger lookups while fingers are missing or doubtful, milliseconds. */
export const FINGER_GAP_MS = 10;
/** A refused commit of routes is repeated after so long, milliseconds. */
export const COMMIT_RETRY_MS = 100;

/** Leaving: a farewell not heard is repeated after so long, milliseconds. */
export const LEAVING_RETRY_MS = 250;
/** Leaving: longest wait for the successor to take the range over, milliseconds. */
export const LEAVING_MS = 2000;
/** Leaving: for so long packets under way are still forwarded, milliseconds. */
export const DRAIN_MS = 2000;

/** Without its resource daemon for so long, the P2P daemon gives up, milliseconds. */
export const RD_GONE_MS = 60_000;

/** Former predecessors learn of new ones in so many stabilisation periods. */
export const FORMER_PERIODS = 5;
/** Former predecessors remembered meanwhile; the oldest is forgotten for a new one. */
export const FORMERS_MAX = 32;

/** Records of the largest size that fit into a `state` beside everything else. */
export const RECORDS_PER_STATE = 8;
/** The same for `found`. */
export const RECORDS_PER_FOUND = 7;
/** The same for `notify`, beside the sender's own. */
export const MEMBERS_PER_NOTIFY = 7;

/** Nodes known that qualify for the place of one finger; measured ones give way to new ones, the slowest first. */
export const CANDIDATES_MAX = 16;
/** Pause between two questions for nodes that could be fingers, milliseconds: at first, and later. */
export const SAMPLE_FIRST_MS = 500;
export const SAMPLE_MS = 10_000;
/** So many questions for each finger come at the first pace. */
export const SAMPLES_FIRST = 4;
/** Pause between two measurements, milliseconds. */
export const MEASURE_GAP_MS = 500;
/** The same where nothing had to be measured. */
export const MEASURE_IDLE_MS = 5000;
/** Measurements that wait for the resource daemon's answer; one more is not begun. */
export const MEASURING_MAX = 4;
/** Longest wait for it, milliseconds. */
export const MEASURE_MS = 15_000;
/** A neighbour is measured again after so long, and one that could become a finger, milliseconds. */
export const MEASURE_AGAIN_MS = 60_000;
export const MEASURE_AGAIN_CANDIDATE_MS = 300_000;
/** Nodes whose measured round-trip time is remembered; that of the oldest is forgotten for a new one. */
export const ROUND_TRIPS_MAX = 2048;
/** A node is clearly nearer than another if its round-trip time is at most this part of the other's. */
export const NEARER_SHARE = 0.8;
/** And less by so much, milliseconds. */
export const NEARER_MS = 2;
/** A near hop makes at least this part of the progress that Chord's own would. */
export const PROGRESS_SHARE = 0.25;
/** A stretch between two neighbours is divided into so many, each with a hop of its own choice. */
export const PIECES = 4;
