import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { NetworkList } from '../../../frame/source/network-list.ts';
import type { GatewayConfig } from '../../../settings/config/gateway.ts';
import { includesRole } from './route-access.ts';
import { type Identity, OF_PROXY } from './token-table.ts';

export type ProxyUsersConfig = NonNullable<GatewayConfig['proxyUsers']>;

/** Two values that were joined, and what would forge a line of a log, are no name. */
const USER_NAME = /^[^\p{C}\s,][^\p{C},]{0,127}$/u;

/** The parts of a request that say who a proxy has signed in. */
export interface ProxiedRequest {
  /** The other end of the connection, whatever the headers say. */
  readonly peer: string | undefined;
  /** Each value of each header, by its name in lower case. */
  readonly headers: NodeJS.Dict<string[]>;
}

/** The users of a reverse proxy, which says who they are by headers. Only trusted addresses are believed. */
export class ProxyUsers {
  readonly #config: ProxyUsersConfig;
  readonly #trusted: NetworkList;

  constructor(config: ProxyUsersConfig, trustedProxies: readonly string[]) {
    this.#config = config;
    this.#trusted = new NetworkList(trustedProxies, 'gateway.trustedProxies');
  }

  /**
   * Returns who sent a request; null if no trusted proxy says it.
   *
   * @throws UNAUTHORIZED for a header that a client may have added, FORBIDDEN for a user without a known group
   */
  identify({ peer = '', headers }: ProxiedRequest): Identity | null {
    if (!this.#trusted.has(peer)) return null;
    const { userHeader, groupsHeader, groups: known } = this.#config;
    const user = only(headers, userHeader);
    if (user === undefined) return null;
    if (!USER_NAME.test(user)) throw refused(userHeader, 'one name', JSON.stringify(user.slice(0, 80)));
    const names = (only(headers, groupsHeader) ?? '').split(',').map((name) => name.trim());
    const groups = known.filter(({ name }) => names.includes(name));
    const [first] = groups;
    if (first === undefined)
      throw new SightlineError(
        'FORBIDDEN',
        `User "${user}": expected a group of gateway.proxyUsers.groups, received none.`,
      );
    // The role of one group must not hold for the streams of another.
    const role = groups.reduce(
      (highest, group) => (includesRole(group.role, highest) ? group.role : highest),
      first.role,
    );
    const seen = groups.filter((group) => group.role === role).map(({ streams }) => streams);
    const streams = seen.includes(undefined) ? undefined : new Set(seen.flatMap((ids) => ids ?? []));
    return { name: user, role, expiresMs: null, hash: OF_PROXY, streams };
  }
}

/** A header that came twice may have come from the client as well. */
function only(headers: NodeJS.Dict<string[]>, name: string): string | undefined {
  const values = headers[name.toLowerCase()] ?? [];
  if (values.length > 1) throw refused(name, 'one value', String(values.length));
  return values[0] === '' ? undefined : values[0];
}

function refused(header: string, expected: string, received: string): SightlineError {
  return new SightlineError(
    'UNAUTHORIZED',
    `${header} header: expected ${expected}, received ${received}. Let the proxy replace the header of the client.`,
  );
}
