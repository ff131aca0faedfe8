/** What the lab's tests stand on: worlds that are always removed, rings that are brought up, figures that are printed. */
import { accessSync, constants } from 'node:fs';
import type { TestContext } from 'node:test';
import { type KeyCheck, type Member, requestKeys } from '../../cli/demo/check.ts';
import { type Machine, RD_LOG, untilTrue } from '../../cli/demo/machine.ts';
import { World, type WorldOptions } from '../../cli/demo/world.ts';
import { askRd } from '../../cli/rd-client.ts';
import type { Id } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { TunnelStatus } from '../../overlay/messages/control.ts';

export const VI = 'lab';
const KIND = 'pxl';
const LOG_LINES = 8;

/** Why the lab cannot run here; false where it can. The value of node:test's option `skip`. */
export const skip: string | false = reasonToSkip();

function reasonToSkip(): string | false {
  if (process.getuid?.() !== 0) return 'the lab makes network namespaces and TAP devices, which takes root';
  try {
    accessSync('/dev/net/tun', constants.R_OK);
    return false;
  } catch {
    return 'there is no /dev/net/tun here';
  }
}

const worlds = new Set<World>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void Promise.all([...worlds].map((world) => world.remove())).finally(() => process.exit(130));
  });
}

/** An empty world that is removed when the test ends, however it ends; the logs of a failed one are shown. */
export async function worldFor(context: TestContext, options: Partial<WorldOptions> = {}): Promise<World> {
  const world = new World({ kind: KIND, ...options });
  worlds.add(world);
  context.after(async () => {
    // Node has had it since 21.7; its types lack it.
    if ((context as { passed?: boolean }).passed === false) showLogs(context, world);
    await world.remove();
    worlds.delete(world);
  });
  await world.create();
  return world;
}

function showLogs(context: TestContext, world: World): void {
  for (const machine of world.machines) {
    context.diagnostic(`${machine.name} ${RD_LOG}: ${machine.logTail(RD_LOG, LOG_LINES)}`);
  }
  context.diagnostic(`om.log: ${world.om.logTail('om.log', LOG_LINES)}`);
}

export type RingOptions = Partial<WorldOptions> & {
  /** vi.yaml. */
  readonly definition?: Readonly<Record<string, unknown>>;
  /** One after the other is on the ring before the next one starts, or all start together. */
  readonly order: 'sequential' | 'at once';
};

export type Ring = { readonly world: World; members: Member[] };

/** An ideal ring of `count` nodes. The time it took is printed. */
export async function ringFor(context: TestContext, count: number, options: RingOptions): Promise<Ring> {
  const { definition = {}, order, ...worldOptions } = options;
  const world = await worldFor(context, worldOptions);
  const machines = await world.addMachines(count);
  await world.startOm();
  await world.createVi(VI, definition);
  const invitation = await world.invite(VI, ['--uses', String(count + 16)]);
  const ring = await joinAll(context, world, machines, invitation, order);
  return ring;
}

export async function joinAll(
  context: TestContext,
  world: World,
  machines: readonly Machine[],
  invitation: string,
  order: RingOptions['order'],
): Promise<Ring> {
  const started = systemClock.now();
  if (order === 'sequential') for (const machine of machines) await machine.mustJoin(invitation);
  else await Promise.all(machines.map((machine) => machine.mustJoin(invitation)));
  const joinedMs = Math.round(systemClock.now() - started);
  await world.untilIdeal({ machines, timeoutMs: 90_000 });
  const idealMs = Math.round(systemClock.now() - started);
  context.diagnostic(
    `${machines.length} nodes joined ${order}: on the ring after ${joinedMs} ms, ideal after ${idealMs} ms`,
  );
  return { world, members: await membersOf(world, machines) };
}

export async function membersOf(world: World, machines: readonly Machine[] = world.machines): Promise<Member[]> {
  const nodes = await world.nodes(machines);
  return nodes.map((node, i) => ({ machine: machines[i] as Machine, node }));
}

export async function tunnelsOf(member: Member): Promise<readonly TunnelStatus[]> {
  const answer = await askRd(member.machine.run, { t: 'tunnels', vi: member.node.vi.name }, 'tunnels');
  if (!answer.ok) throw new Error(answer.message);
  return answer.value.nodes.find((node) => node.id === member.node.id)?.tunnels ?? [];
}

/** Random keys from every member; the sum of what came of it. */
export async function requestKeysFromAll(members: readonly Member[], perMember: number): Promise<KeyCheck> {
  await Promise.all(members.map(({ machine }) => machine.agent()));
  const results = await Promise.all(members.map((member) => requestKeys(member, members, perMember, 4)));
  return {
    requests: results.reduce((sum, { requests }) => sum + requests, 0),
    faults: results.flatMap(({ faults }) => faults),
    slowestMs: Math.max(...results.map(({ slowestMs }) => slowestMs)),
  };
}

/** Every node that one end needs: its predecessor, its successors and its fingers. */
export function needsOf({ node }: Member): Set<Id> {
  const ids = [...node.successors, ...node.fingers.map((finger) => finger.node)];
  if (node.predecessor !== null) ids.push(node.predecessor);
  return new Set(ids);
}

/**
 * Resolves with the number of tunnels when each of them joins two nodes of which one needs the other. A tunnel by which
 * an answer travelled stays for some seconds, so this takes a while.
 */
export async function untilTunnelsNeeded(ring: Ring, timeoutMs: number): Promise<number> {
  let count = 0;
  let stray: string[] = [];
  const settled = async (): Promise<boolean> => {
    const members = await membersOf(
      ring.world,
      ring.members.map(({ machine }) => machine),
    );
    const needs = new Map(members.map((member) => [member.node.id, needsOf(member)]));
    stray = [];
    count = 0;
    for (const member of members) {
      for (const { peer, peerName } of await tunnelsOf(member)) {
        count += 0.5;
        const wanted = needs.get(member.node.id)?.has(peer) || needs.get(peer)?.has(member.node.id);
        if (!wanted) stray.push(`${member.node.name}-${peerName}`);
      }
    }
    return stray.length === 0;
  };
  try {
    await untilTrue('tunnels to be between neighbours only', timeoutMs, 250, settled);
  } catch (error) {
    throw new Error(`${(error as Error).message} Stray: ${stray.slice(0, 10).join(', ')}`, { cause: error });
  }
  return count;
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Drops of all these daemons by reason, added up. */
export async function dropsOf(members: readonly Member[]): Promise<Record<string, number>> {
  const total: Record<string, number> = {};
  for (const { machine } of members) {
    const { drops } = await machine.status();
    for (const [reason, count] of Object.entries(drops)) total[reason] = (total[reason] ?? 0) + count;
  }
  return total;
}
