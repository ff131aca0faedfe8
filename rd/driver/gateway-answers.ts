/** What commands ask of the nodes' management gateways. */
import type { KnownNode } from '../../gateway/core/names.ts';
import type { ManagedGateway } from '../../gateway/driver/managed-gateway.ts';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { FromControl } from '../../overlay/messages/control.ts';
import type { HostedNode } from './hosted-node.ts';
import { aboutNode } from './status.ts';

export function showGateways(nodes: readonly HostedNode[], flows: number): Result<FromControl> {
  const managed = managedOf(nodes);
  if (!managed.ok) return managed;
  const answers = managed.value.map(({ node, gateway }) => {
    return { ...aboutNode(node), statistics: gateway.statistics(), ...gateway.flows(flows) };
  });
  return ok({ t: 'gateway', nodes: answers });
}

/** The first that cannot be used is the answer; those before it are in force. */
export async function reloadGateways(nodes: readonly HostedNode[]): Promise<Result<FromControl>> {
  const managed = managedOf(nodes);
  if (!managed.ok) return managed;
  await Promise.all(managed.value.map(({ node }) => node.acquaintances.prepare()));
  for (const { gateway } of managed.value) {
    const reloaded = gateway.reload();
    if (!reloaded.ok) return reloaded;
  }
  // Where the overlay manager does not answer, names mean who is known.
  const naming = managed.value.filter(({ gateway }) => gateway.namesAnybody);
  await Promise.all(naming.map(({ node }) => node.acquaintances.refresh()));
  for (const { gateway } of naming) {
    const refreshed = gateway.refresh();
    if (!refreshed.ok) return refreshed;
  }
  const answers = managed.value.map(({ node, gateway }) => ({ ...aboutNode(node), ...gateway.inForce }));
  return ok({ t: 'gateway.reload', nodes: answers });
}

/** Whom policies of these nodes can name. */
export async function showNames(nodes: readonly HostedNode[]): Promise<Result<FromControl>> {
  if (nodes.length === 0) return fail('NOT_FOUND', 'No such virtual node is here; join a VI first.');
  await Promise.all(nodes.map((node) => node.acquaintances.refresh()));
  const answers = nodes.map((node) => {
    const { isListed, prefixes, nodes: known } = node.acquaintances.known();
    return { ...aboutNode(node), isListed, prefixes: [...prefixes], nodes: known.map(knownNodeOf) };
  });
  return ok({ t: 'gateway.names', nodes: answers });
}

function knownNodeOf({ name, groups, addresses }: KnownNode): { name: string; groups: string[]; addresses: string[] } {
  return { name, groups: [...groups], addresses: [...addresses] };
}

function managedOf(
  nodes: readonly HostedNode[],
): Result<{ readonly node: HostedNode; readonly gateway: ManagedGateway }[]> {
  const managed = nodes.flatMap((node) => (node.gateway === undefined ? [] : [{ node, gateway: node.gateway }]));
  if (managed.length > 0) return ok(managed);
  const who = nodes.length === 0 ? 'No such virtual node is here' : 'No virtual node that is meant has a gateway';
  return fail('NOT_FOUND', `${who}; name a policy for it in the daemon's configuration (gateway).`);
}
