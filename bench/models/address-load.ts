/** How much a ring under churn asks of the address server. */
import { SimulatedRing } from './simulated-ring.ts';

export type Scene = {
  readonly nodes: number;
  readonly periodS: number;
  /** Joins and departures together. */
  readonly perSecond: number;
  readonly links: 'numbered' | 'unnumbered';
};

export type Load = Scene & {
  /** Per second: a request or release for each tunnel that is made or goes, as in the paper. */
  readonly perTunnel: number;
  /** Per second: what the address server was asked, with pairs leased in blocks. */
  readonly blocks: number;
};

const SEED = 6;
export const MEASURED_S = 120;
/** Churn goes on for so many periods before it is measured. */
export const SETTLE_PERIODS = 5;

export function measureLoad(scene: Scene): Load {
  const { periodS, perSecond } = scene;
  // Nodes that all joined a moment ago look their fingers up for many periods, which is not churn.
  const ring = new SimulatedRing({ seed: SEED, ...scene, laid: true });
  const { world } = ring;
  ring.untilIdeal();
  ring.churn(perSecond, SETTLE_PERIODS * periodS);
  const tunnels = world.tunnelEndsMade + world.tunnelEndsGone;
  const requests = world.manager.leaseRequests;
  ring.churn(perSecond, MEASURED_S);
  return {
    ...scene,
    perTunnel: (world.tunnelEndsMade + world.tunnelEndsGone - tunnels) / 2 / MEASURED_S,
    blocks: (world.manager.leaseRequests - requests) / MEASURED_S,
  };
}
