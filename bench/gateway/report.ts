/** Ratios, tables and charts of the gateway's benchmark. */
import type { Report } from '../benchmark.ts';
import { COLORS, drawChart } from '../chart.ts';
import type { GatewaySamples } from '../gateway.ts';
import { describeSetting, type Setting } from '../report/machine.ts';
import { markdownTable } from '../report/markdown.ts';
import { medianOf, medianRatio, rounded } from '../statistics.ts';
import { CONFIGURATIONS, type Configuration, WHAT } from './configurations.ts';
import { type DeniedSample, HEAD_START_S, PATIENCE_MS, RETRIES } from './denied-client.ts';
import type { FastPassSample } from './fast-pass.ts';
import { type LimitSample, RATES_MBIT } from './limits.ts';
import { type CongestionControl, type Design, USUAL_CONTROL } from './network.ts';
import { CONNECTIONS, DESIGNS, type ThroughputSample } from './throughput.ts';

export type Ratios = Readonly<Record<RatioKey, number | null>>;
type RatioKey =
  | 'embeddedVsNfqueue'
  | 'filterVsForwarding'
  | 'auditVsForwarding'
  | 'connectionCacheGain'
  | 'holSmallP99Ratio'
  | 'fastPassGain5';

const DESIGN_TEXTS: Readonly<Record<Design, string>> = { nfqueue: 'NFQUEUE', embedded: 'in the data path' };

type Of = (sample: ThroughputSample) => number;
const gbits = ({ gbitsPerSecond }: { readonly gbitsPerSecond: number }): number => gbitsPerSecond;
const machineMs: Of = ({ machinePerGbit }) => machinePerGbit * 1000;
const gatewayMs: Of = ({ gatewayPerGbit }) => gatewayPerGbit * 1000;

type Samples = readonly ThroughputSample[];

function seriesOf(samples: Samples, design: Design, configuration: Configuration, of: Of): number[] {
  return samples.filter((sample) => sample.design === design && sample.configuration === configuration).map(of);
}

/** Null where the measurement was not made. */
export function ratiosOf(samples: GatewaySamples): Ratios {
  const series = (design: Design, configuration: Configuration) =>
    seriesOf(samples.throughput, design, configuration, gbits);
  const forwarding = series('embedded', 'forwarding');
  const { denied, scanWait, fastPass } = samples;
  const waits = (scans: boolean) => scanWait.filter((one) => one.scans === scans).map(({ small }) => small.p99);
  return {
    embeddedVsNfqueue: medianRatio(series('embedded', 'audit'), series('nfqueue', 'audit')),
    filterVsForwarding: medianRatio(series('embedded', 'filter'), forwarding),
    auditVsForwarding: medianRatio(series('embedded', 'audit'), forwarding),
    connectionCacheGain: cacheGain(denied, 'embedded'),
    holSmallP99Ratio: medianRatio(waits(true), waits(false)),
    fastPassGain5: fastPassGain(fastPass, USUAL_CONTROL),
  };
}

function deniedOf(denied: readonly DeniedSample[], design: Design, cache: boolean): readonly DeniedSample[] {
  return denied.filter((one) => one.design === design && one.cache === cache);
}

function cacheGain(denied: readonly DeniedSample[], design: Design): number | null {
  const allowed = (cache: boolean) => deniedOf(denied, design, cache).map(gbits);
  return medianRatio(allowed(true), allowed(false));
}

function timesOf(samples: readonly FastPassSample[], control: CongestionControl, on: boolean): number[] {
  return samples.filter((one) => one.control === control && one.fastPass === on).map(({ seconds }) => seconds);
}

function fastPassGain(samples: readonly FastPassSample[], control: CongestionControl): number | null {
  return medianRatio(timesOf(samples, control, false), timesOf(samples, control, true));
}

const WANTED: Readonly<Record<RatioKey, string>> = {
  embeddedVsNfqueue: 'at least 2.5',
  filterVsForwarding: 'at least 0.85',
  auditVsForwarding: 'at least 0.6',
  connectionCacheGain: 'at least 1.15',
  holSmallP99Ratio: 'at most 1.5',
  fastPassGain5: 'at least 1.1',
};
const MEANING: Readonly<Record<RatioKey, string>> = {
  embeddedVsNfqueue: 'everything but the scan, throughput: in the data path / NFQUEUE',
  filterVsForwarding: 'in the data path: classification and filter / forwarding only',
  auditVsForwarding: 'in the data path: with recorded files / forwarding only',
  connectionCacheGain:
    'in the data path: throughput of a client beside one that is denied and retries: with the cache / without',
  holSmallP99Ratio: '99th percentile of a small request: while other files are scanned / while none is',
  fastPassGain5: 'time for 300 MB at 5 % loss and 50 ms, CUBIC: without fast pass / with it',
};

function throughputTable(samples: Samples): string {
  const measured = CONFIGURATIONS.filter((name) => samples.some(({ configuration }) => configuration === name));
  const rows = DESIGNS.flatMap((design) =>
    measured.map((configuration) => {
      const series = (of: Of, which = configuration) => seriesOf(samples, design, which, of);
      const small = samples
        .filter((one) => one.design === design && one.configuration === configuration && one.small.requests > 0)
        .map((one) => one.small);
      return [
        DESIGN_TEXTS[design],
        WHAT[configuration],
        rounded(medianOf(series(gbits))),
        rounded(medianRatio(series(gbits), series(gbits, 'forwarding'))),
        rounded(medianOf(series(machineMs))),
        rounded(medianOf(series(gatewayMs))),
        String(small.reduce((sum, { requests }) => sum + requests, 0)),
        ...(['median', 'p99'] as const).map((of) =>
          small.length === 0 ? '–' : rounded(medianOf(small.map((one) => one[of]))),
        ),
        String(series(({ errors }) => errors).reduce((sum, errors) => sum + errors, 0)),
      ];
    }),
  );
  return markdownTable(
    [
      'design',
      'configuration',
      'Gbit/s',
      'of forwarding only',
      'CPU ms/Gbit, machine',
      'gateway process',
      'small requests',
      'median, ms',
      'p99',
      'failed requests',
    ],
    rows,
  );
}

/** Nanoseconds of a packet, or of a piece of a stream, in each stage. */
function stageTable(samples: GatewaySamples): string {
  const withStages = samples.throughput.filter(({ report }) => report.statistics !== undefined);
  const names = [
    ...new Set(withStages.flatMap(({ report }) => report.statistics?.stages.map(({ name }) => name) ?? [])),
  ];
  const row = (design: Design, configuration: Configuration): string[] => {
    const those = withStages.filter((sample) => sample.design === design && sample.configuration === configuration);
    const cells = names.map((name) => {
      const times = those.flatMap(
        ({ report }) => report.statistics?.stages.filter((stage) => stage.name === name && stage.packets > 0) ?? [],
      );
      return rounded(medianOf(times.map(({ nanoseconds }) => nanoseconds)));
    });
    return [DESIGN_TEXTS[design], WHAT[configuration], ...cells];
  };
  const shown = CONFIGURATIONS.filter((name) => name !== 'forwarding');
  return markdownTable(
    ['design', 'configuration', ...names],
    DESIGNS.flatMap((design) => shown.map((configuration) => row(design, configuration))),
  );
}

function deniedTable(denied: readonly DeniedSample[]): string {
  const perSecond = (name: 'refused' | 'unanswered', those: readonly DeniedSample[]) =>
    rounded(medianOf(those.map(({ retries }) => retries[name] / retries.seconds)));
  const row = (design: Design, cache: boolean): string[] => {
    const those = deniedOf(denied, design, cache);
    return [
      DESIGN_TEXTS[design],
      cache ? 'on' : 'off',
      rounded(medianOf(those.map(gbits))),
      cache ? rounded(cacheGain(denied, design)) : '',
      rounded(medianOf(those.map(({ gatewayPerGbit }) => gatewayPerGbit * 1000))),
      perSecond('refused', those),
      perSecond('unanswered', those),
    ];
  };
  const headings = [
    'design',
    'cache',
    'Gbit/s of the other',
    'gain',
    'gateway process, ms/Gbit',
    'refused/s',
    'unanswered/s',
  ];
  return markdownTable(
    headings,
    DESIGNS.flatMap((design) => [false, true].map((cache) => row(design, cache))),
  );
}

function limitTable(samples: readonly LimitSample[]): string {
  const cells = (design: Design, senders: number, mbit: number): string[] => {
    const those = samples.filter((one) => one.design === design && one.senders === senders && one.mbit === mbit);
    const measured = medianOf(those.map(({ measuredMbit }) => measuredMbit));
    const error = measured === undefined ? '-' : `${(100 * Math.abs(measured / mbit - 1)).toFixed(2)} %`;
    return [DESIGN_TEXTS[design], String(senders), String(mbit), measured?.toFixed(3) ?? '-', error];
  };
  return markdownTable(
    ['design', 'senders', 'limit, Mbit/s', 'measured', 'error'],
    DESIGNS.flatMap((design) => [1, 2].flatMap((senders) => RATES_MBIT.map((mbit) => cells(design, senders, mbit)))),
  );
}

function curveOf(curves: readonly FastPassSample[], losses: readonly number[], delayMs: number, fastPass: boolean) {
  const those = curves.filter((sample) => sample.delayMs === delayMs && sample.fastPass === fastPass);
  const values = losses.map((loss) => {
    const seconds = medianOf(those.filter((sample) => sample.loss === loss).map((sample) => sample.seconds));
    return seconds === undefined ? null : Number(seconds.toFixed(1));
  });
  return { name: `${delayMs} ms, ${fastPass ? 'fast pass' : 'in order'}`, values };
}

/** A bar for each configuration and design. */
function barsOf(samples: Samples, of: Of) {
  return CONFIGURATIONS.flatMap((configuration) =>
    DESIGNS.map((design) => ({
      name: `${configuration}, ${DESIGN_TEXTS[design]}`,
      value: medianOf(seriesOf(samples, design, configuration, of)) ?? null,
      ...(design === 'embedded' ? { color: COLORS.ours } : {}),
    })),
  );
}

function deniedBars(denied: readonly DeniedSample[]) {
  return DESIGNS.flatMap((design) =>
    [false, true].map((cache) => ({
      name: `cache ${cache ? 'on' : 'off'}, ${DESIGN_TEXTS[design]}`,
      value: medianOf(deniedOf(denied, design, cache).map(gbits)) ?? null,
      ...(design === 'embedded' ? { color: COLORS.ours } : {}),
    })),
  );
}

export function reportOf(samples: GatewaySamples, ratios: Ratios, setting: Setting): Report {
  const { curves } = samples;
  const losses = [...new Set(curves.map(({ loss }) => loss))];
  const delays = [...new Set(curves.map(({ delayMs }) => delayMs))];
  const lines = delays.flatMap((delayMs) =>
    [false, true].map((fastPass) => curveOf(curves, losses, delayMs, fastPass)),
  );
  const svg = drawChart('The management gateway', [
    { kind: 'bars', title: 'Gbit/s', bars: barsOf(samples.throughput, gbits) },
    { kind: 'bars', title: 'Processor time of the machine, ms/Gbit', bars: barsOf(samples.throughput, machineMs) },
    {
      kind: 'bars',
      title: 'One client is denied and comes back: Gbit/s of the other',
      bars: deniedBars(samples.denied),
    },
    {
      kind: 'lines',
      title: 'Transfer of 20 MB in 50 connections, s',
      xTitle: 'packets lost before the gateway, %',
      x: losses.map((loss) => String(100 * loss)),
      lines,
    },
  ]);
  const curveRows = lines.map(({ name, values }) => [name, ...values.map(rounded)]);
  const markdown = [
    '# The management gateway',
    'Figures 7 to 10 and table 3 of the paper. Written by `npm run bench -- gateway --results`.',
    describeSetting(setting),
    `Two clients fetch files of 2 MB from three nginx with 100 connections each, a new connection for every file, through a node
that has one of the two processors for itself; clients and servers share the other one, with clamd, which runs
when they do not (SCHED_IDLE). Packets come to the node and
leave it in VXLAN, on cables that carry at most 1500 bytes and do nothing for it (no offloads). NFQUEUE: the kernel's VXLAN and IP
forwarding, whose packets pass \`p2pxbone gateway run\` (the paper's P2PADM). In the data path: our node between its tunnels
(the answer to its kP2PADM). The same pipeline and policy in both, one after the other in each round; medians, and ratios as
medians of the ratios round by round. Small requests go on beside the transfers, one after the other. Recorded files are
written, hashed, and kept once by their hash; there are 16 different ones. The ends' connections have CUBIC for congestion
control, as nearly all servers have, and what they send is done with when it is on the cable, as with a network card.`,
    markdownTable(
      ['ratio', 'meaning', 'measured', 'wanted'],
      Object.entries(ratios).map(([key, value]) => [
        `\`${key}\``,
        MEANING[key as RatioKey],
        rounded(value),
        WANTED[key as RatioKey],
      ]),
    ),
    '## Throughput',
    throughputTable(samples.throughput),
    '![Throughput, processor time, denied client and fast pass](gateway.svg)',
    `Where the node's kernel joins segments before anybody looks at them (GRO, which most network cards have switched on), NFQUEUE is
asked about super-packets of many segments; to the data path, the datagrams of a tunnel come in fewer calls:`,
    throughputTable(samples.joined),
    '## One client is denied and comes back',
    `One client's requests are refused at their first line. It asks again at once from another port, over ${RETRIES} connections at a time, and
waits ${PATIENCE_MS} ms where nothing is said. The other one begins ${HEAD_START_S} s later and fetches files over ${CONNECTIONS} connections meanwhile. The cache lets nothing of the
denied connections through and does not answer; without it, each attempt is a connection to the server that is ended with RST.`,
    deniedTable(samples.denied),
    '## Limits of bandwidth',
    'Half as much again is sent as may pass, in UDP packets of 1,400 bytes, by one sender and by two that share the limit; medians.',
    limitTable(samples.limits),
    '## Time in each stage, ns',
    `Of a packet; of the stream and the application, of a piece that they were given. Classification to audit are the application's
tasks: time of one call of each, without the tasks that it calls.`,
    stageTable(samples),
    '## Out-of-order packets at once, or in order',
    `The way from the server to the node delays and loses packets; 50 connections. 300 MB at 5 % loss and 50 ms, medians, with
what nearly all servers have and with what minds loss least:`,
    markdownTable(
      ['congestion control', 'in order, s', 'fast pass, s', 'in order / fast pass'],
      (['cubic', 'bbr'] as const).map((control) => [
        control,
        rounded(medianOf(timesOf(samples.fastPass, control, false))),
        rounded(medianOf(timesOf(samples.fastPass, control, true))),
        rounded(fastPassGain(samples.fastPass, control)),
      ]),
    ),
    '20 MB, CUBIC, by loss and delay; seconds, medians:',
    markdownTable(['way', ...losses.map((loss) => `${100 * loss} %`)], curveRows),
  ].join('\n\n');
  return { markdown: `${markdown}\n`, svg };
}
