import { timingSafeEqual } from 'node:crypto';
import type { Role } from '../../../wire/protocol/feed.ts';
import type { TokenRecord } from './tokens-file.ts';

/** Who sent a request. */
export interface Identity {
  /** Name of the token; null if the gateway needs none. */
  readonly name: string | null;
  readonly role: Role;
  readonly expiresMs: number | null;
  /** Of the token, in hexadecimal; empty without one. */
  readonly hash: string;
  /** Ids of the streams that they may see; absent: all. */
  readonly streams?: ReadonlySet<string> | undefined;
}

/** In place of the hash of a token: a proxy has signed them in. */
export const OF_PROXY = 'proxy';

/** Everyone, on a gateway without tokens. */
export const ANYONE: Identity = { name: null, role: 'admin', expiresMs: null, hash: '' };

/** The tokens that a gateway accepts now. */
export class TokenTable {
  readonly #fixed: readonly Identity[];
  readonly #wallMs: () => number;
  #entries: readonly (Identity & { readonly digest: Buffer })[] = [];
  #isRequired = false;

  /**
   * @param fixed - tokens that are not in the file, which `replace` keeps.
   * @param wallMs - milliseconds since 1970.
   */
  constructor(fixed: readonly Identity[] = [], wallMs: () => number = Date.now) {
    this.#fixed = fixed;
    this.#wallMs = wallMs;
    this.replace([]);
  }

  /** Whether requests need a token. Stays true once there was one: removing the last token locks the gateway. */
  get isRequired(): boolean {
    return this.#isRequired;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Replaces the tokens of the file. @returns the names that came, and those that are gone or changed. */
  replace(records: readonly TokenRecord[]): { readonly added: string[]; readonly removed: string[] } {
    const before = this.#entries;
    const listed = records.map(({ name, role, hash, expiresAt }) => ({
      name,
      role,
      hash,
      expiresMs: expiresAt === undefined ? null : Date.parse(expiresAt),
    }));
    this.#entries = [...this.#fixed, ...listed].map((one) => ({ ...one, digest: Buffer.from(one.hash, 'hex') }));
    if (this.#entries.length > 0) this.#isRequired = true;
    const missingIn = (some: readonly Identity[], others: readonly Identity[]): string[] =>
      some.filter((one) => !others.some((other) => isSame(one, other))).map(({ name }) => name!);
    return { added: missingIn(this.#entries, before), removed: missingIn(before, this.#entries) };
  }

  /**
   * Finds a token by its hash. Compares with every token in constant time.
   *
   * @returns null if there is none; the caller checks `isExpired`.
   */
  find(hash: string): Identity | null {
    const wanted = Buffer.from(hash, 'hex');
    let found: Identity | null = null;
    for (const { digest, ...identity } of this.#entries) if (timingSafeEqual(digest, wanted)) found = identity;
    return found;
  }

  isExpired({ expiresMs }: Identity): boolean {
    return expiresMs !== null && this.#wallMs() >= expiresMs;
  }

  /** Returns why a connection that was opened with this identity must end; null if it may go on. */
  endOf(identity: Identity): string | null {
    // The proxy looks at every request; a connection that is open stays.
    if (identity.hash === OF_PROXY) return null;
    if (identity.hash === '') return this.#isRequired ? 'a token is required now' : null;
    if (this.isExpired(identity)) return 'the token has expired';
    const now = this.#entries.find(({ hash }) => hash === identity.hash);
    if (now === undefined) return 'the token was removed';
    return isSame(now, identity) ? null : 'the token was changed';
  }
}

function isSame(one: Identity, other: Identity): boolean {
  return (
    one.hash === other.hash && one.role === other.role && one.name === other.name && one.expiresMs === other.expiresMs
  );
}
