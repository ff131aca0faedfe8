/** What the management gateway costs, behind NFQUEUE and in the data path: the paper's figures 7 to 10 and table 3. */
import { type Benchmark, type BenchmarkOptions, type BenchmarkResult, chosen, type Figure } from './benchmark.ts';
import { startClamd } from './gateway/clamd.ts';
import { CONFIGURATIONS, type Configuration } from './gateway/configurations.ts';
import { type DeniedSample, measureDenied } from './gateway/denied-client.ts';
import { type FastPassSample, measureFastPass } from './gateway/fast-pass.ts';
import { type LimitSample, measureLimit, RATES_MBIT } from './gateway/limits.ts';
import { type CongestionControl, GatewayNetwork, USUAL_CONTROL } from './gateway/network.ts';
import { ratiosOf, reportOf } from './gateway/report.ts';
import { measureScanWait, type ScanWaitSample } from './gateway/scan-wait.ts';
import {
  DESIGNS,
  measureConfigurations,
  type Place,
  type ThroughputOptions,
  type ThroughputSample,
} from './gateway/throughput.ts';
import { Web } from './gateway/web.ts';
import { Lab } from './lab/lab.ts';
import { settingOf } from './report/machine.ts';

const ROUNDS = 3;
const SECONDS = 5;
const PARTS = ['throughput', 'joined', 'cache', 'scanning', 'limits', 'fastPass'] as const;
/** What is measured once more with a kernel that joins segments. */
const JOINED: readonly Configuration[] = ['forwarding', 'filter', 'audit'];
const LOSSES = [0, 0.01, 0.02, 0.03, 0.04, 0.05] as const;
const DELAYS_MS = [10, 50, 100] as const;
/** The point of which there is a number to meet, and the curves around it. */
const POINT = { loss: 0.05, delayMs: 50, megabytes: 300 } as const;
const CURVE_MEGABYTES = 20;
/** The other one minds loss least. */
const CONTROLS: readonly CongestionControl[] = [USUAL_CONTROL, 'bbr'];
const PROGRAMS = ['nginx', 'wrk', 'clamav-daemon', 'iptables', 'libvectorscan5'];

export type GatewaySamples = {
  readonly throughput: readonly ThroughputSample[];
  /** With GRO at the node. */
  readonly joined: readonly ThroughputSample[];
  readonly denied: readonly DeniedSample[];
  readonly scanWait: readonly ScanWaitSample[];
  readonly limits: readonly LimitSample[];
  /** The transfers of which there is a number to meet, and those of the curves. */
  readonly fastPass: readonly FastPassSample[];
  readonly curves: readonly FastPassSample[];
};

type Say = (line: string) => void;

async function measureBoth<Sample>(
  rounds: number,
  what: string,
  say: Say,
  measure: (round: number, isOn: boolean) => Promise<Sample>,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const isOn of [false, true]) {
      say(`round ${round} of ${rounds}: ${what} ${isOn ? 'on' : 'off'}`);
      samples.push(await measure(round, isOn));
    }
  }
  return samples;
}

async function measureCache(place: Place, rounds: number, seconds: number, say: Say): Promise<DeniedSample[]> {
  const samples: DeniedSample[] = [];
  for (const design of DESIGNS) {
    const both = await measureBoth(rounds, `${design}, connection cache`, say, (round, isOn) =>
      measureDenied(place, round, design, isOn, seconds),
    );
    samples.push(...both);
  }
  return samples;
}

async function measureLimits(place: Place, rounds: number, say: Say): Promise<LimitSample[]> {
  const samples: LimitSample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const mbit of RATES_MBIT) {
      for (const senders of [1, 2]) {
        for (const design of DESIGNS) {
          const sample = await measureLimit(place, round, design, senders, mbit);
          say(
            `round ${round} of ${rounds}: ${mbit} Mbit/s, ${senders} sending, ${design}: ${sample.measuredMbit.toFixed(3)}`,
          );
          samples.push(sample);
        }
      }
    }
  }
  return samples;
}

async function measureCurves(place: Place, rounds: number, say: Say): Promise<FastPassSample[]> {
  const samples: FastPassSample[] = [];
  const points = DELAYS_MS.flatMap((delayMs) => LOSSES.map((loss) => ({ delayMs, loss })));
  for (const { delayMs, loss } of points) {
    const what = `${delayMs} ms, ${100 * loss} % lost, fast pass`;
    const both = await measureBoth(rounds, what, say, (round, fastPass) =>
      measureFastPass(place, round, { fastPass, control: USUAL_CONTROL, loss, delayMs, megabytes: CURVE_MEGABYTES }),
    );
    samples.push(...both);
  }
  return samples;
}

async function measureJoined(place: Place, options: ThroughputOptions, say: Say): Promise<ThroughputSample[]> {
  await place.network.setJoining(true);
  const samples = await measureConfigurations(place, options, (line) => say(`${line}, with GRO`));
  await place.network.setJoining(false);
  return samples;
}

async function measurePoints(place: Place, rounds: number, say: Say): Promise<FastPassSample[]> {
  const samples: FastPassSample[] = [];
  for (const control of CONTROLS) {
    const both = await measureBoth(rounds, `${control}, fast pass`, say, (round, fastPass) =>
      measureFastPass(place, round, { ...POINT, fastPass, control }),
    );
    samples.push(...both);
  }
  return samples;
}

async function measureAll(place: Place, options: BenchmarkOptions, say: Say): Promise<GatewaySamples> {
  const { rounds = ROUNDS, seconds = SECONDS } = options;
  const parts = chosen(PARTS, options.only);
  const configurations = chosen(CONFIGURATIONS, options.only);
  const does = (part: (typeof PARTS)[number]): boolean => parts.includes(part);
  return {
    throughput: does('throughput')
      ? await measureConfigurations(place, { rounds, seconds, only: configurations }, say)
      : [],
    joined: does('joined')
      ? await measureJoined(
          place,
          { rounds, seconds, only: JOINED.filter((name) => configurations.includes(name)) },
          say,
        )
      : [],
    denied: does('cache') ? await measureCache(place, rounds, seconds, say) : [],
    scanWait: does('scanning')
      ? await measureBoth(rounds, 'scanning', say, (round, isOn) => measureScanWait(place, round, isOn, seconds))
      : [],
    limits: does('limits') ? await measureLimits(place, rounds, say) : [],
    fastPass: does('fastPass') ? await measurePoints(place, rounds, say) : [],
    curves: does('fastPass') ? await measureCurves(place, rounds, say) : [],
  };
}

async function run(say: Say, options: BenchmarkOptions): Promise<BenchmarkResult & { ratios: object }> {
  const lab = new Lab();
  try {
    say('setting up two clients, a node and three servers');
    const network = await GatewayNetwork.lay(lab);
    const place: Place = { network, web: await Web.open(network), clamd: await startClamd(network) };
    const samples = await measureAll(place, options, say);
    const ratios = ratiosOf(samples);
    const figures: Figure[] = Object.entries(ratios).map(([name, value]) => ({
      name,
      value: value ?? Number.NaN,
      unit: '',
    }));
    return { name: 'gateway', figures, samples, ratios, report: reportOf(samples, ratios, await settingOf(PROGRAMS)) };
  } finally {
    await lab.remove();
  }
}

export const gateway: Benchmark = {
  name: 'gateway',
  about: 'the management gateway behind NFQUEUE and in the data path, from forwarding only to everything',
  run,
};
