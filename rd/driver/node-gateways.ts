/** The management gateways of this base node's virtual nodes: which policy is whose. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Acquaintances, checkForNodes } from '../../gateway/driver/loaded-policy.ts';
import { ManagedGateway } from '../../gateway/driver/managed-gateway.ts';
import type { DataPlane, Gateway, GatewayRules, GatewayServices, NodeHandle } from '../../native/index.ts';
import { fail } from '../../overlay/errors.ts';
import type { GatewayFlows, GatewayStatistics } from '../../overlay/gateway-status.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import type { RdConfig } from '../../overlay/rd-config.ts';
import type { Membership } from './files.ts';

/** Says what is wrong with the policies, before there is a node that needs them. */
export function checkPolicies({ gateway }: RdConfig): Result<void> {
  for (const { policy } of gateway) {
    const checked = checkForNodes(policy);
    if (!checked.ok) return checked;
  }
  return ok();
}

function entryFor({ gateway }: RdConfig, { vi }: Membership): RdConfig['gateway'][number] | undefined {
  return gateway.find((each) => each.vi === undefined || each.vi === vi.name);
}

export function hasGateway(config: RdConfig, membership: Membership): boolean {
  return entryFor(config, membership) !== undefined;
}

/**
 * Undefined where the configuration has none for the node. A node that is to have one does without no traffic. `known`: who
 * can be named in its policy, at any time.
 */
export function openGateway(
  config: RdConfig,
  plane: DataPlane,
  node: NodeHandle,
  membership: Membership,
  known: () => Acquaintances,
): Result<ManagedGateway | undefined> {
  const { vi, name, p2pdPort } = membership;
  const entry = entryFor(config, membership);
  if (entry === undefined) return ok(undefined);
  const recording = { host: name, folder: `${vi.name}.${name}` };
  const open = (services: GatewayServices, rules: GatewayRules): Result<Gateway> => {
    const made = makeDirectories(services);
    if (!made.ok) return made;
    const set = plane.setGateway(node, services, rules, p2pdPort);
    return set.ok ? ok(gatewayOf(plane, node)) : set;
  };
  return ManagedGateway.open(entry.policy, recording, open, { whose: known, mayRedirectLater: true });
}

/** Those that the policy names, which hold one for each node. */
function makeDirectories({ audit, files }: GatewayServices): Result<void> {
  for (const service of [audit, files]) {
    if (service === undefined) continue;
    try {
      mkdirSync(dirname(service.directory), { recursive: true, mode: 0o700 });
    } catch (error) {
      return fail('SYSTEM', `The gateway's directory cannot be made: ${(error as Error).message}.`);
    }
  }
  return ok();
}

/** The one that the node's data plane has. */
export function gatewayOf(plane: DataPlane, node: NodeHandle): Gateway {
  return {
    use: (rules) => plane.useGatewayRules(node, rules),
    useSets: (sets) => plane.useGatewaySets(node, sets),
    statistics: (): GatewayStatistics => valueOf(plane.gatewayStatistics(node)),
    flows: (most): GatewayFlows => valueOf(plane.gatewayFlows(node, most)),
    close: () => plane.removeGateway(node),
  };
}

/** It is there for as long as the node is. */
function valueOf<Value>(result: Result<Value>): Value {
  if (!result.ok) throw new Error(result.message);
  return result.value;
}
