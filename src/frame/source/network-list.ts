import { BlockList, isIP } from 'node:net';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { parseNetwork } from '../../settings/config/parse-network.ts';

/** Networks that the internet does not route. */
export const PRIVATE_NETWORKS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'];
/** An IPv4-mapped IPv6 address, which resolvers may return. */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** A list of networks (CIDR or single addresses) that addresses are matched against. */
export class NetworkList {
  /** By family: `::/0` would contain IPv4 addresses as well. */
  readonly #networks = { ipv4: new BlockList(), ipv6: new BlockList() };
  /** The list contains every address, so no host name needs to be resolved. */
  readonly isAll: boolean;
  readonly #text: string;

  /**
   * @param key - key of the list in the configuration.
   * @throws CONFIG_INVALID for an invalid network.
   */
  constructor(networks: readonly string[], key: string) {
    for (const [i, network] of networks.entries()) this.#add(network, `${key}[${i}]`);
    this.#text = `${networks.join(', ') || 'no network'} (${key})`;
    this.isAll = networks.includes('0.0.0.0/0') && networks.includes('::/0');
  }

  #add(network: string, key: string): void {
    const parsed = parseNetwork(network);
    if (parsed === null)
      throw new SightlineError(
        'CONFIG_INVALID',
        `${key}: expected a network such as 10.0.0.0/8 or fd00::/8, received "${network}"`,
        { key },
      );
    this.#networks[parsed.version].addSubnet(parsed.address, parsed.bits, parsed.version);
  }

  /** The networks, and where they are set. */
  toString(): string {
    return this.#text;
  }

  has(address: string): boolean {
    // A zone (`fe80::1%eth0`) names the interface and is not part of the address.
    const bare = address.replace(/%.*$/, '');
    const plain = MAPPED.exec(bare)?.[1] ?? bare;
    const version = isIP(plain);
    if (version === 0) return false;
    const family = version === 4 ? 'ipv4' : 'ipv6';
    return this.#networks[family].check(plain, family);
  }
}
