/** Tables, text and chart about large rings. */
import { CONNECTIONS_MAX } from '../../om-server/http/app.ts';
import { HEARTBEAT_MS } from '../../overlay/om-api.ts';
import type { Report } from '../benchmark.ts';
import { drawChart } from '../chart.ts';
import type { ManagerLoad } from '../lab/manager-load.ts';
import type { ScaleRun } from '../models/scale-run.ts';
import { CHURN_PER_MINUTE } from '../models/simulated-ring.ts';
import { rounded } from '../statistics.ts';
import { describeSetting, type Setting } from './machine.ts';
import { markdownTable } from './markdown.ts';

export type StaticRun = {
  readonly nodes: number;
  readonly failed: number;
  readonly lookups: number;
  readonly lost: number;
  readonly median: number;
  readonly p99: number;
  readonly wallS: number;
};

export type LargeRings = {
  readonly periodS: number;
  /** Length of the successor lists that were walked. */
  readonly successors: number;
  readonly runs: readonly ScaleRun[];
  readonly statics: readonly StaticRun[];
  readonly manager: ManagerLoad;
};

function simulatedTable(runs: readonly ScaleRun[]): string {
  const row = (name: string, of: (run: ScaleRun) => string): string[] => [name, ...runs.map(of)];
  return markdownTable(
    ['nodes', ...runs.map(({ nodes, built }) => `${nodes.toLocaleString('en')} ${built}`)],
    [
      row('all had begun to join, or had been started, after, s', ({ joinedS }) => joinedS.toFixed(0)),
      row('ideal after, s', ({ idealS }) => idealS.toFixed(0)),
      row('½·log2 N', ({ nodes }) => (Math.log2(nodes) / 2).toFixed(1)),
      row('hops of a lookup: median, 99th percentile, most', ({ hops }) => `${hops.median}, ${hops.p99}, ${hops.most}`),
      row('lookups under churn', ({ lookups }) => String(lookups)),
      row('of these not answered, or with a wrong owner', ({ unanswered, wrong }) => `${unanswered}, ${wrong}`),
      row('a node, per second: messages of its P2P daemon; bytes', ({ traffic }) =>
        [rounded(traffic.messages), rounded(traffic.messageBytes)].join('; '),
      ),
      row('datagrams that carry them, for itself and others', ({ traffic }) => rounded(traffic.carried)),
      row('control messages of its resource daemon; handshake datagrams', ({ traffic }) =>
        [rounded(traffic.controls), rounded(traffic.handshakes)].join('; '),
      ),
      row('keep-alives of its tunnels', ({ traffic }) => rounded(traffic.keepAlives)),
      row('bytes of all of these with their headers', ({ traffic }) => rounded(traffic.bytes)),
      row('tunnels of a node: mean, 99th percentile, most', ({ tunnels }) =>
        [tunnels.mean.toFixed(1), Math.round(tunnels.p99), tunnels.most].join(', '),
      ),
      row('bootstrap requests to the overlay manager, per second', ({ bootstraps }) => rounded(bootstraps)),
      row('heartbeats to it, per second', ({ nodes }) => rounded((nodes * 1000) / HEARTBEAT_MS)),
      row('ideal after the churn, s', ({ idealAgainS }) => idealAgainS.toFixed(0)),
      row('events a node until it was ideal', ({ nodes, eventsUntilIdeal }) => rounded(eventsUntilIdeal / nodes)),
      row('events, millions', ({ events }) => rounded(events / 1e6)),
      row('time of the simulation, s; of processors', ({ wallS, processorS }) =>
        [wallS.toFixed(0), processorS.toFixed(0)].join('; '),
      ),
      row('memory of the simulator, GB', ({ residentGb }) => residentGb.toFixed(1)),
    ],
  );
}

/** What one VI of the largest size asks of its overlay manager and its address server, beside what these can do. */
function consequences({ nodes, tunnels, bootstraps }: ScaleRun, manager: ManagerLoad): string {
  const heartbeats = (nodes * 1000) / HEARTBEAT_MS;
  const pairs = (nodes * tunnels.mean) / 2;
  const row = (what: string, asked: number, can: number): string[] => [
    what,
    rounded(asked),
    rounded(can),
    rounded((nodes * can) / asked),
  ];
  const rows = [
    row('heartbeats', heartbeats, manager.heartbeats),
    row('questions for other nodes', bootstraps, manager.bootstraps),
    row('joins for the first time, if all that come are new', (nodes * CHURN_PER_MINUTE) / 60, manager.joins),
  ];
  return `## One VI of ${nodes.toLocaleString('en')} nodes

Per second, what the overlay manager is asked and what a real one answered on this machine, its clients on the same
processors; and the size of a VI at which the two are equal.

${markdownTable(['', 'asked', 'answered', 'equal at nodes'], rows)}

The ring itself does not mind the size: hops and tunnels grow with log N, and with the tunnels their keep-alives, which are
nearly all that a node sends. What breaks first is the
overlay manager: it hears of every node every ${HEARTBEAT_MS / 1000} s, on a connection that each of them keeps, of which it takes
${CONNECTIONS_MAX.toLocaleString('en')}; beyond that nodes have to connect anew for each heartbeat. A VI that outgrows it needs a
longer period of heartbeats (and accepts that a removed node is spoken to for as long) or several managers, which there are not. The ring goes on without a manager; joins and renewals
wait. The address server is asked nothing where links are unnumbered, as here. Numbered ones would hold ${rounded(pairs / 1e6)} million of the
${rounded(2 ** 23 / 1e6)} million pairs that the largest pool has; \`figure6\` has the requests under churn, and
\`address-server\` what it answers.
`;
}

function laidBeside(runs: readonly ScaleRun[]): string {
  const both = runs.filter(({ nodes }) => runs.filter((run) => run.nodes === nodes).length > 1);
  const [size] = both.map(({ nodes }) => nodes.toLocaleString('en'));
  return size === undefined ? '' : `Whether that makes a difference to what follows: the two columns of ${size} nodes.`;
}

export function reportOf({ periodS, successors, runs, statics, manager }: LargeRings, setting: Setting): Report {
  const staticTable = markdownTable(
    ['nodes', 'failed at once', 'lookups', 'lost', 'hops: median', '99th percentile'],
    statics.map(({ nodes, failed, lookups, lost, median, p99 }) => [
      nodes.toLocaleString('en'),
      `${100 * failed} %`,
      String(lookups),
      String(lost),
      String(median),
      String(p99),
    ]),
  );
  const markdown = `# Large rings

\`npm run bench -- scale --results\`. ${describeSetting(setting)}

## Under churn, simulated

The code that ships, in the simulator (\`docs/simulation.md\`): unnumbered links, period of stabilisation ${periodS} s, every finger
looked up once in ${5 * periodS} s.

*Joined*: 500 nodes a second begin to join; that takes many events a node, for its fingers
change as often as the ring doubles. *Laid*: the resource daemons make the tunnels of a ring at rest, and then all P2P daemons start at once and find their
places in them, as after a restart of these alone. ${laidBeside(runs)}

Then 10 minutes in which 1 % of the nodes lose power in each
minute and as many join, and 100 lookups a second, of random keys from random members. An owner counts as right if it was that when the
question was put or when it was answered. The largest runs for itself, the others at the same time, each on a processor.

${simulatedTable(runs)}

Keep-alives are counted by arithmetic, two a second for each tunnel (\`keepAliveMs\` 500); the simulator does not send them one by one. Where
packets pass anyway they are not sent. Bytes have the headers of IPv4, UDP, VXLAN or DTLS; those of handshakes are not among them: the
simulator has no certificates.

## By arithmetic

Each node's routes by the same code from an ideal ring's view of that node, successor lists of ${successors}. Failed nodes are missing from the
routes of their neighbours, and nothing has been repaired: the moment at which all have noticed. Lost: a lookup that did not end at the
first living node after the key.

${staticTable}

![Hops of a lookup](scale.svg)
`;
  const bars = [
    ...runs.map(({ nodes, built, hops }) => ({ name: `${nodes} ${built}`, value: hops.median })),
    ...statics.filter(({ failed }) => failed === 0).map((run) => ({ name: `${run.nodes} static`, value: run.median })),
  ];
  const svg = drawChart('Hops of a lookup, median', [{ kind: 'bars', title: 'hops', bars }]);
  const largest = runs.at(-1);
  return { markdown: largest === undefined ? markdown : `${markdown}\n${consequences(largest, manager)}`, svg };
}
