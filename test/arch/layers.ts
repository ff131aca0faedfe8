/** Which folder may import what, and why. The order of the table is the order of the layers. */

export type Layer = {
  readonly folder: string;
  /** Our own folders or files (by prefix) that it may import, besides itself. */
  readonly mayImport: readonly string[];
  /** Modules of Node that it may import; 'any' for all. */
  readonly node: 'any' | readonly string[];
  readonly why: string;
};

export const LAYERS: readonly Layer[] = [
  {
    folder: 'overlay/lib',
    mayImport: ['overlay/errors.ts'],
    node: [],
    why: 'clock, rng, result and log stand under everything; a result carries a code of the one table',
  },
  {
    folder: 'overlay',
    mayImport: [],
    node: ['node:crypto', 'node:https', 'node:http', 'node:tls', 'node:net', 'node:dgram', 'node:dns'],
    why: 'the vocabulary: it hashes ids, and speaks to overlay manager and address server for daemon and command line alike; it imports nothing of ours',
  },
  {
    folder: 'p2pd/core',
    mayImport: ['overlay'],
    node: [],
    why: 'cores do no I/O: the simulator runs the code that ships',
  },
  {
    folder: 'p2pd/driver',
    mayImport: ['p2pd/core', 'overlay'],
    node: 'any',
    why: 'sockets and timers of the P2P daemon; what it needs from the resource daemon it asks for by message',
  },
  {
    folder: 'rd/core',
    mayImport: ['overlay'],
    node: [],
    why: 'cores do no I/O: the simulator runs the code that ships',
  },
  {
    folder: 'gateway/core',
    mayImport: ['overlay'],
    node: [],
    why: 'the language of policies: from text to image; what it reads from files it asks for',
  },
  { folder: 'native', mayImport: ['overlay'], node: 'any', why: 'the addon behind one file; it knows neither daemon' },
  {
    folder: 'gateway/driver',
    mayImport: ['gateway/core', 'native', 'overlay'],
    node: 'any',
    why: 'rule files, audit store and services of the gateway',
  },
  {
    folder: 'rd/driver',
    mayImport: ['rd/core', 'gateway', 'native', 'overlay'],
    node: 'any',
    why: 'sockets, namespaces and processes of the resource daemon; it starts P2P daemons but imports none',
  },
  {
    folder: 'om-server',
    mayImport: ['overlay'],
    node: 'any',
    why: 'the overlay manager knows daemons by its API only',
  },
  {
    folder: 'cli',
    mayImport: ['overlay', 'p2pd', 'rd', 'gateway', 'native', 'om-server', 'cli'],
    node: 'any',
    why: 'wiring',
  },
  {
    folder: 'test',
    mayImport: ['overlay', 'p2pd', 'rd', 'gateway', 'native', 'om-server', 'cli'],
    node: 'any',
    why: 'tests see everything',
  },
  {
    folder: 'bench',
    mayImport: ['overlay', 'p2pd', 'rd', 'gateway', 'native', 'om-server', 'cli', 'test'],
    node: 'any',
    why: 'benchmarks see everything',
  },
  {
    folder: 'scripts',
    mayImport: ['overlay', 'gateway', 'native', 'om-server'],
    node: 'any',
    why: 'set-up and generated documents',
  },
];

/** Exceptions, file by file. */
export const EXCEPTIONS: readonly { readonly from: string; readonly to: string; readonly why: string }[] = [];

/** What only one file may touch, so that time and chance are arguments everywhere else. */
export const AMBIENT: readonly {
  readonly pattern: RegExp;
  readonly allowed: readonly string[];
  readonly why: string;
}[] = [
  {
    pattern: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/,
    allowed: ['overlay/lib/clock.ts'],
    why: 'time is an argument',
  },
  { pattern: /\bMath\.random\(/, allowed: [], why: 'randomness is an argument, and secrets come from node:crypto' },
];
