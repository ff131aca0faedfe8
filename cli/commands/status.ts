import { formatId } from '../../overlay/id.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { NodeStatus, RdStatus, TunnelSecurity } from '../../overlay/messages/control.ts';
import { type RdOptions, statusOf } from '../command.ts';
import { fields, formatDuration, paint, print, printJson } from '../output.ts';

const TUNNELS_SHOWN_MAX = 32;

export async function run(options: RdOptions): Promise<void> {
  const status = await statusOf(options);
  if (options.json) return printJson(withoutTag(status));
  print(summary(status));
}

/** Its JSON is RdStatus. */
export function withoutTag(status: RdStatus & { readonly t?: string }): RdStatus {
  const { t: _, ...rest } = status;
  return rest;
}

function summary(status: RdStatus): string {
  const age = formatDuration(Math.max(0, systemClock.wall() - status.startedAt));
  const daemon = fields([
    ['daemon', `process ${status.pid}, version ${status.version}, up ${age}`],
    ['underlay', `UDP ${endpoint(status.underlay)}`],
    ['drops', dropsText(status.drops)],
  ]);
  if (status.nodes.length === 0) {
    return `${daemon}\n\nNo virtual node. Join a VI with: p2pxbone join INVITATION`;
  }
  return [daemon, ...status.nodes.map(nodeText)].join('\n\n');
}

function nodeText(node: NodeStatus): string {
  const rows: [string, string][] = [
    ['node', `${paint('bold', node.name)} in VI ${node.vi.name} (${node.vi.id})`],
    ['id', formatId(node.id)],
    ['addresses', `${node.ipv4}, ${node.ipv6}`],
    ['interface', node.interface + (node.netns === null ? '' : ` in network namespace ${node.netns}`)],
    ['ring', ringText(node)],
    ['groups', node.groups.join(', ') || 'none'],
    ['security', `policy ${node.vi.definition.security.policy}`],
    ['tunnels', String(node.tunnels)],
    ...securityRows(node),
    ['P2P daemon', daemonText(node)],
    ['certificate', `valid until ${new Date(node.certificateExpiresAt).toISOString()}`],
    ['revocations', revocationsText(node.revocations)],
  ];
  if (node.problem !== null) rows.push(['problem', paint('red', node.problem)]);
  return fields(rows);
}

/** Of the first tunnels: a list of all is what `tunnels` gives. */
function securityRows({ security }: NodeStatus): [string, string][] {
  const rows = security.slice(0, TUNNELS_SHOWN_MAX).map((tunnel): [string, string] => ['', tunnelText(tunnel)]);
  const left = security.length - rows.length;
  if (left > 0) rows.push(['', `and ${left} more; 'p2pxbone tunnels' lists them all`]);
  return rows;
}

function tunnelText(tunnel: NodeStatus['security'][number]): string {
  const { peerName, cipher, keysAgeMs } = tunnel;
  const keys = keysAgeMs === null ? '' : `, keys ${formatDuration(keysAgeMs)} old`;
  return `${peerName}: ${securityText(tunnel)}${cipher === null ? '' : `, ${cipher}`}${keys}`;
}

function ringText(node: NodeStatus): string {
  const phase = node.phase === 'formed' ? paint('green', node.phase) : paint('yellow', node.phase);
  const predecessor = node.predecessor === null ? 'none' : formatId(node.predecessor);
  const successors = node.successors.map((id) => formatId(id)).join(' ') || 'none';
  return `${phase}; predecessor ${predecessor}; successors ${successors}`;
}

function revocationsText(list: NodeStatus['revocations']): string {
  if (list === null) return 'none';
  const certificates = `${list.certificates} certificate${list.certificates === 1 ? '' : 's'}`;
  const age = formatDuration(Math.max(0, systemClock.wall() - (list.confirmedAt ?? list.issuedAt)));
  const state = list.confirmedAt === null ? `issued ${age} ago, not confirmed since the start` : `current ${age} ago`;
  return `list ${list.number}, ${certificates}, ${state}`;
}

function daemonText(node: NodeStatus): string {
  const running = node.p2pdPid === null ? 'not running' : `process ${node.p2pdPid}`;
  return node.p2pdRestarts === 0 ? running : `${running}, restarted ${node.p2pdRestarts} times`;
}

function dropsText(drops: RdStatus['drops']): string {
  const counted = Object.entries(drops).filter(([, count]) => count > 0);
  return counted.length === 0 ? 'none' : counted.map(([reason, count]) => `${reason} ${count}`).join(', ');
}

export function endpoint(at: { readonly address: string; readonly port: number }): string {
  return at.address.includes(':') ? `[${at.address}]:${at.port}` : `${at.address}:${at.port}`;
}

export function securityText({ secure, why }: Pick<TunnelSecurity, 'secure' | 'why'>): string {
  return `${secure ? 'secure' : 'plain'} (${why})`;
}
