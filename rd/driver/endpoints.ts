/** Under which base-network addresses this daemon listens, and others reach it. */
import { networkInterfaces } from 'node:os';
import { formatAddress, parseAddress } from '../../overlay/addresses.ts';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { ENDPOINTS_MAX, type Endpoint, type Family, familyOf } from '../core/contact.ts';
import { INTERFACE_PREFIX } from './names.ts';

/** ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT. BAD_CONFIG for anything else. */
export function parseEndpoint(text: string, defaultPort?: number): Result<Endpoint> {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? /^([0-9a-fA-F:.]+)()()$/.exec(text);
  const bytes = parseAddress(match?.[1] ?? match?.[2] ?? '');
  const port = match?.[3] ? Number(match[3]) : defaultPort;
  if (bytes === undefined || port === undefined || port > 65_535) {
    return fail('BAD_CONFIG', `'${text}' is not a numeric ADDRESS:PORT; write 192.0.2.1:4780 or [::]:4780.`);
  }
  return ok({ address: formatAddress(bytes), port });
}

/** Addresses of this network namespace that others may reach: no loopback, link-local, or of a virtual Internet. */
export function interfaceAddresses(): string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    name.startsWith(INTERFACE_PREFIX)
      ? []
      : (addresses ?? []).filter((item) => !item.internal && !isLinkLocal(item.address)).map((item) => item.address),
  );
}

/** What goes into contacts: as configured, or the bound address, or what the interfaces have; both families if there. */
export function ownEndpoints(bound: Endpoint, advertise: readonly Endpoint[]): Endpoint[] {
  if (advertise.length > 0) return advertise.slice(0, ENDPOINTS_MAX);
  if (!isWildcard(bound.address)) return [bound];
  const families: Family[] = bound.address === '::' ? [4, 6] : [4];
  const found = interfaceAddresses().filter((address) => families.includes(familyOf(address)));
  // A machine with nothing but loopback can still host several daemons.
  const addresses = found.length > 0 ? found : [bound.address === '::' ? '::1' : '127.0.0.1'];
  const [first, second] = [4, 6].map((family) => addresses.filter((address) => familyOf(address) === family));
  const mixed = [...(first ?? []).slice(0, 2), ...(second ?? []).slice(0, 1)];
  const rest = addresses.filter((address) => !mixed.includes(address));
  return [...mixed, ...rest].slice(0, ENDPOINTS_MAX).map((address) => ({ address, port: bound.port }));
}

/** Families of the base network that can be used, those with an address here. */
export function ownFamilies(bound: Endpoint): Family[] {
  if (!isWildcard(bound.address)) return [familyOf(bound.address)];
  if (bound.address !== '::') return [4];
  const addresses = interfaceAddresses();
  const present = ([4, 6] as const).filter((family) => addresses.some((address) => familyOf(address) === family));
  return present.length > 0 ? present : [4, 6];
}

/** Where a packet to ourselves goes. */
export function selfEndpoint(bound: Endpoint): Endpoint {
  if (!isWildcard(bound.address)) return bound;
  return { address: bound.address === '::' ? '::1' : '127.0.0.1', port: bound.port };
}

function isWildcard(address: string): boolean {
  return address === '::' || address === '0.0.0.0';
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address) || address.startsWith('169.254.');
}
