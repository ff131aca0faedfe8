/**
 * A live node's recorded events as a plan for the simulator: the node, its neighbours under their own ids, and what the
 * node saw of them. What it did not see, the rest of the ring above all, is not in it.
 */
import { formatId, type Id } from '../overlay/id.ts';
import type { HistoryEvent, NodeHistory } from '../overlay/messages/control.ts';

/** The ring comes up in this time, before what was recorded begins, milliseconds. */
const START_MS = 20_000;
/** A neighbour whose tunnel ended is gone if the pointers lose it within this; else the tunnel was not needed any more. */
const LOST_MS = 4000;
/** Before its neighbours take a node for dead. */
const SILENCE_MS = 2000;
const CALM_MINUTES = 3;

type Step = { readonly at: number; readonly do: string } & Record<string, unknown>;
type Timed = HistoryEvent & { readonly at: number };

/** A plan as test/sim/plan.ts defines it. */
export function scenarioOf({ vi, id, events }: NodeHistory): unknown {
  const oldest = Math.max(0, ...events.map(({ agoMs }) => agoMs));
  const timed = events.map((event) => ({ ...event, at: START_MS + oldest - event.agoMs }));
  const places = new Map<Id, number>([[id, 0]]);
  for (const { peer, neighbours } of timed) {
    for (const one of peer === null ? neighbours : [peer, ...neighbours]) {
      if (!places.has(one)) places.set(one, places.size);
    }
  }
  const steps: Step[] = [...places].map(([node, place]) => ({ at: arrivalOf(node, timed), do: 'join', node: place }));
  steps.push(...losses(timed, places), ...ownTroubles(timed));
  const end = Math.max(START_MS, ...timed.map(({ at }) => at));
  const { successors, links, timers } = vi.definition;
  return {
    plan: 'p2pxbone simulation, format 1',
    seed: Number(BigInt(id) & 0xffff_ffffn),
    setting: {
      nodes: places.size,
      successors,
      links,
      stabiliseMs: timers.stabiliseMs,
      spanMs: 10,
      weather: { loss: 0, duplicate: 0, reorder: 0, jitterMs: 10 },
      secure: false,
      wire: false,
      ids: [...places.keys()].map(formatId),
    },
    minutes: Math.ceil(end / 60_000) + CALM_MINUTES,
    proven: false,
    steps: steps.toSorted((a, b) => a.at - b.at),
  };
}

/** Who was a neighbour from the beginning was there before it. */
function arrivalOf(node: Id, events: readonly Timed[]): number {
  const first = events.find(({ peer, neighbours }) => peer === node || neighbours.includes(node));
  const introduced = events.find(({ what, peer }) => what === 'peer' && peer === node);
  return first === undefined || introduced !== first || first.at < START_MS + SILENCE_MS ? 0 : first.at;
}

/** Neighbours that fell silent; those that introduced themselves again came back. */
function losses(events: readonly Timed[], places: ReadonlyMap<Id, number>): Step[] {
  const steps: Step[] = [];
  for (const [index, { what, peer, at }] of events.entries()) {
    const place = peer === null ? undefined : places.get(peer);
    if (what !== 'tunnel.down' || peer === null || place === undefined) continue;
    const before = events.slice(0, index).findLast((event) => event.what === 'ring');
    const after = events.find(
      (event) => event.what === 'ring' && Math.abs(event.at - at) <= LOST_MS && event !== before,
    );
    if (before?.neighbours.includes(peer) !== true || after?.neighbours.includes(peer) !== false) continue;
    const back = events.slice(index).find((event) => event.what === 'peer' && event.peer === peer);
    const from = Math.max(0, at - SILENCE_MS);
    steps.push({ at: from, do: 'crash', node: place, state: true, ...(back && { forMs: back.at - from }) });
  }
  return steps;
}

function ownTroubles(events: readonly Timed[]): Step[] {
  const steps: Step[] = [];
  const spell = (index: number, off: Timed, on: HistoryEvent['what']): number => {
    const end = events.slice(index).find(({ what }) => what === on);
    return (end?.at ?? events.at(-1)?.at ?? off.at) - off.at;
  };
  for (const [index, event] of events.entries()) {
    const { what, at } = event;
    if (what === 'p2pd.down') steps.push({ at, do: 'p2pd', node: 0, forMs: spell(index, event, 'p2pd.up') });
    if (what === 'manager.down') steps.push({ at, do: 'manager', forMs: spell(index, event, 'manager.up') });
    if (what === 'left') steps.push({ at, do: 'leave', node: 0 });
  }
  return steps;
}
