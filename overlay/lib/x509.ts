/** Certificates and certificate requests. Import them from here: the library needs the metadata functions loaded first. */
import './reflect.ts';

export * from '@peculiar/x509';

/** The only kind of key that this system makes and accepts. */
export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;

/** PEM of a DER structure, with the line breaks that every reader understands. */
export function formatPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
