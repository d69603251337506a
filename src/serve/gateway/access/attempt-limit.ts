import { isIPv4, isIPv6 } from 'node:net';
import type { Clock } from '../../../base/core/clock.ts';

/** Wrong tokens in a row that an address may send. */
const BURST = 20;
/** After that, one more each time that this has passed. */
const REFILL_MS = 3_000;
/** Beyond this number the address that failed longest ago is forgotten. */
const MOST_ADDRESSES = 10_000;
/** Tokens for which an address is remembered. */
const MOST_KNOWN = 100;

interface Account {
  failures: number;
  updatedMs: number;
  /** Hashes of tokens that this address has used with success. */
  readonly known: Set<string>;
}

/**
 * Slows down guesses: an address that has sent too many wrong tokens gets no answer to further ones for a while, not even to
 * a right one. Tokens that it has used before still work, so that a faulty client does not lock out others behind the same address.
 */
export class AttemptLimit {
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Seconds until the address may try again; 0 if it may now. */
  waitS(address: string): number {
    const account = this.#accounts.get(addressKey(address));
    if (account === undefined) return 0;
    this.#refill(account);
    // There must be room for a whole further failure.
    return Math.max(0, Math.ceil(((account.failures + 1 - BURST) * REFILL_MS) / 1000));
  }

  /** Whether this token has worked from this address. */
  isKnown(address: string, hash: string): boolean {
    return this.#accounts.get(addressKey(address))?.known.has(hash) === true;
  }

  countFailure(address: string): void {
    const account = this.#open(address);
    this.#refill(account);
    account.failures = Math.min(BURST, account.failures + 1);
  }

  countSuccess(address: string, hash: string): void {
    if (this.isKnown(address, hash)) return;
    const { known } = this.#open(address);
    if (known.size < MOST_KNOWN) known.add(hash);
  }

  #open(address: string): Account {
    const key = addressKey(address);
    const account = this.#accounts.get(key) ?? { failures: 0, updatedMs: this.#clock.now(), known: new Set<string>() };
    // Last in the map: the first one is the next to be forgotten.
    this.#accounts.delete(key);
    this.#accounts.set(key, account);
    if (this.#accounts.size > MOST_ADDRESSES) this.#accounts.delete(this.#accounts.keys().next().value!);
    return account;
  }

  #refill(account: Account): void {
    const nowMs = this.#clock.now();
    account.failures = Math.max(0, account.failures - (nowMs - account.updatedMs) / REFILL_MS);
    account.updatedMs = nowMs;
  }
}

/** Returns the part of an address that stands for one client: IPv4 whole, of IPv6 the network, its first 64 bits. */
export function addressKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=[\d.]+$)/i, '').replace(/%.*$/, '');
  if (isIPv4(plain) || !isIPv6(plain)) return plain;
  const [head = '', tail] = plain.toLowerCase().split('::');
  const groups = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  while (tail !== undefined && groups.length + after.length < 8) groups.push('0');
  return [...groups, ...after]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}
