import { isIP } from 'node:net';

export interface Network {
  readonly address: string;
  /** Length of the prefix. */
  readonly bits: number;
  readonly version: 'ipv4' | 'ipv6';
}

/** Parses a network in CIDR form, or a single address. @returns null if it is none. */
export function parseNetwork(text: string): Network | null {
  const [address = '', prefix, ...rest] = text.split('/');
  const version = isIP(address);
  const most = version === 4 ? 32 : 128;
  const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (version === 0 || rest.length > 0 || !(bits <= most)) return null;
  return { address, bits, version: version === 4 ? 'ipv4' : 'ipv6' };
}
