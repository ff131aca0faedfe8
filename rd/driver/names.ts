/** Names of what the daemon makes on the machine. */
export const INTERFACE_PREFIX = 'pxb-';
const INTERFACE_NAME_MAX = 15;

/** Name of a virtual node's interface; `attempt` counts from 0 where the name is taken. */
export function interfaceName(vi: string, attempt: number): string {
  const suffix = attempt === 0 ? '' : `-${attempt + 1}`;
  return INTERFACE_PREFIX + vi.slice(0, INTERFACE_NAME_MAX - INTERFACE_PREFIX.length - suffix.length) + suffix;
}

/** Name under which a TAP is born in the daemon's namespace before it is moved and named for good. */
export function birthName(pid: number, count: number): string {
  return `${INTERFACE_PREFIX}${(pid % 0x100_0000).toString(36)}-${count.toString(36)}`.slice(0, INTERFACE_NAME_MAX);
}

/** Linux allows more, but nothing that would be a path or an option. */
export function isNamespaceName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(name);
}

/** A host name made into a node's name: a DNS label of at most 32 characters. */
export function nodeNameOf(hostname: string): string {
  const label = (hostname.split('.')[0] ?? '').toLowerCase().replace(/[^a-z0-9-]+/g, '-');
  return label.slice(0, 32).replace(/^-+|-+$/g, '') || 'node';
}
