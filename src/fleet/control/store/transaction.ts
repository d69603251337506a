import { SightlineError } from '../../../base/errors/sightline-error.ts';
import {
  type FleetStore,
  type Guard,
  NUMBER,
  type Read,
  type Replies,
  type RepliesTo,
  type Write,
} from './fleet-store.ts';

/** Longer than the longest lease that can be configured. */
const MOST_LEASE_MS = 300_000;
const MOST_ATTEMPTS = 100;

/** Replies about one entry, which a commit compares. Other writers may add and remove entries of a list that was read. */
const GUARDED: ReadonlySet<string> = new Set([
  'GET',
  'EXISTS',
  'HGET',
  'HEXISTS',
  'HMGET',
  'HLEN',
  'SISMEMBER',
  'GETBIT',
]);

/** Something has changed between reading and writing. */
class Superseded extends Error {}

/**
 * One attempt to change the state of a fleet: it reads, decides, and writes only if what it has read is still true. No two
 * transactions that contradict each other both succeed.
 */
export class Transaction {
  readonly #store: FleetStore;
  readonly #guards: Guard[] = [];
  /** When the first entry expires that counted as alive. */
  #beforeMs: number | null = null;
  #nowMs = 0;

  constructor(store: FleetStore) {
    this.#store = store;
  }

  /** The store's clock at the last read, ms since 1970. Leases are measured by this clock only. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Reads at one moment. The commit demands that texts, entries and members are as they were. */
  async read<const R extends readonly Read[]>(...commands: R): Promise<RepliesTo<R>> {
    const { nowMs, replies } = await this.#store.read(commands);
    this.#nowMs = nowMs;
    for (const [i, command] of commands.entries()) if (GUARDED.has(command[0])) this.guard(command, replies[i]!);
    return replies;
  }

  /** Demands that an entry of a list that was read is as it was. */
  guard(command: Read, reply: Replies[keyof Replies]): void {
    this.#guards.push({ command, replies: [reply].flat() });
  }

  /**
   * Returns an entry unless it has expired. One that expires later than any lease can was written while the clock was ahead; it
   * would hold for as long as the clock went back.
   */
  unexpired(text: string | null): Readonly<Record<string, unknown>> | null {
    const value = decoded(text);
    if (value === null || typeof value.expiresMs !== 'number') return null;
    const leftMs = value.expiresMs - this.#nowMs;
    if (!(leftMs > 0 && leftMs <= MOST_LEASE_MS)) return null;
    this.#beforeMs = Math.min(this.#beforeMs ?? value.expiresMs, value.expiresMs);
    return value;
  }

  /** @returns `NUMBER`, if a write has one. @param least - its lower bound. */
  async commit(writes: readonly Write[], least = 0): Promise<number> {
    const number = await this.#store.commit({ guards: this.#guards, writes, beforeMs: this.#beforeMs, least });
    if (number === null) throw new Superseded();
    return number;
  }
}

/** Runs rules until nobody else has changed meanwhile what they have read. @throws CONTROL_UNREACHABLE if somebody always does. */
export async function transact<T>(store: FleetStore, rules: (transaction: Transaction) => Promise<T>): Promise<T> {
  for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
    try {
      return await rules(new Transaction(store));
    } catch (error) {
      if (!(error instanceof Superseded)) throw error;
    }
  }
  throw new SightlineError(
    'CONTROL_UNREACHABLE',
    `the state of the fleet was changed by others ${MOST_ATTEMPTS} times while this host tried to change it`,
  );
}

/** Returns an entry as JSON without checking it; null if it is malformed: another program wrote it, and it counts as absent. */
export function decoded(text: string | null): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = text === null ? null : JSON.parse(text);
    return typeof value === 'object' ? (value as Readonly<Record<string, unknown>> | null) : null;
  } catch {
    return null;
  }
}

/** @param flat - name, text, name, text ... as a hash is listed. */
export function* pairs(flat: readonly string[]): Generator<[string, string]> {
  for (let i = 0; i + 1 < flat.length; i += 2) yield [flat[i]!, flat[i + 1]!];
}

/** Returns a record as JSON with `NUMBER` as its last field. */
export function numbered(json: string, field: 'fence' | 'revision'): string {
  return `${json.slice(0, -1)},"${field}":${NUMBER}}`;
}
