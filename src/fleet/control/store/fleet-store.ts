/**
 * Commands that read, with their replies, as Redis defines them. Keys are written without the prefix of the fleet. Those of the
 * state of a fleet are
 *
 *     hosts            hash  host -> {"expiresMs", "card"}
 *     draining         set   of hosts
 *     orders           hash  stream -> order          orders-revision  text
 *     assignments      hash  stream -> assignment     assigned:HOST    set of streams, the reverse index
 *     leases           hash  stream -> lease          plan:HOST        revision of what the host must run
 *     leader           {"hostId", "expiresMs"}        counter          the last `NUMBER`
 *     events:STREAM    hash  event -> what is kept of it     ending  hash  removed stream with events -> pipeline
 *     epoch            number, made when the state was empty    removed:STREAM   marks an order that was just removed
 *
 * those of the roll-out of a pipeline P
 *
 *     rollout:P             the record, JSON with its fence       rollout-controller:P  {"hostId", "expiresMs"}
 *     rollout-figures:P     what the guards found, JSON           rollout-decisions:P   list of JSON, newest first
 *     rollout-evidence:P    the guards' snapshot, text
 *
 * and those of jobs are in `tasks/job-records.ts`. An older release in the same fleet reads and writes them too.
 */
export interface Replies {
  GET: string | null;
  GETRANGE: string;
  EXISTS: number;
  HGET: string | null;
  HEXISTS: number;
  /** Without a field there is no reply. */
  HMGET: readonly (string | null)[];
  HGETALL: readonly string[];
  HVALS: readonly string[];
  HLEN: number;
  SISMEMBER: number;
  SMEMBERS: readonly string[];
  LRANGE: readonly string[];
  ZREVRANGE: readonly string[];
  GETBIT: number;
}
export type Read = readonly [name: keyof Replies, key: string, ...words: readonly (string | number)[]];
export type RepliesTo<R extends readonly Read[]> = { readonly [I in keyof R]: Replies[R[I][0]] };

/** HSET takes several fields with their texts. */
type WriteName =
  | 'SET'
  | 'DEL'
  | 'HSET'
  | 'HDEL'
  | 'SADD'
  | 'SREM'
  | 'LPUSH'
  | 'LTRIM'
  | 'RPUSH'
  | 'ZADD'
  | 'ZREM'
  | 'SETBIT';
export type Write = readonly [name: WriteName, key: string, ...words: readonly (string | number)[]];

/**
 * Stands in a text that is written for a number that is higher than all before: a fence or a revision. It follows the time in
 * microseconds, which makes it higher than those given out before the store lost its data too. JSON contains no such character.
 */
export const NUMBER = '\0';

/** A command that reads entries, and the replies that it must have: one for each field, or one. */
export interface Guard {
  readonly command: Read;
  readonly replies: readonly (string | number | null)[];
}

/** Writes that are made together, or not at all. */
export interface Change {
  /** What must be as it was read. */
  readonly guards: readonly Guard[];
  readonly writes: readonly Write[];
  /** The time at which the change comes too late; null: never. */
  readonly beforeMs: number | null;
  /** Lower bound of `NUMBER`. */
  readonly least: number;
}

/**
 * Where a fleet keeps its state: Redis, or the memory of one process. The rules are in the classes that use it; it only compares
 * and writes.
 */
export interface FleetStore {
  /** Reads at one moment. @returns the time of the store's clock, in ms since 1970, and the replies in the order of the commands. */
  read<const R extends readonly Read[]>(commands: R): Promise<{ nowMs: number; replies: RepliesTo<R> }>;
  /** @returns `NUMBER`, 0 if no write has one; null, and writes nothing, if a guard fails or the time has passed. */
  commit(change: Change): Promise<number | null>;
}
