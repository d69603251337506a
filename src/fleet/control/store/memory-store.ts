import type { Clock } from '../../../base/core/clock.ts';
import {
  type Change,
  type FleetStore,
  NUMBER,
  type Read,
  type Replies,
  type RepliesTo,
  type Write,
} from './fleet-store.ts';

interface Text {
  readonly text: string;
  /** null: never. */
  readonly expiresMs: number | null;
}

/** The store of one process: it ends with the process. */
export class MemoryStore implements FleetStore {
  readonly #clock: Clock;
  readonly #texts = new Map<string, Text>();
  /** Hashes; sets and bitmaps as hashes without values; sorted sets as hashes with numbers. */
  readonly #tables = new Map<string, Map<string, string>>();
  readonly #lists = new Map<string, readonly string[]>();
  #counter = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async read<const R extends readonly Read[]>(commands: R): Promise<{ nowMs: number; replies: RepliesTo<R> }> {
    const replies = commands.map((command) => this.#reply(command)) as unknown as RepliesTo<R>;
    return { nowMs: this.#nowMs(), replies };
  }

  async commit({ guards, writes, beforeMs, least }: Change): Promise<number | null> {
    if (beforeMs !== null && this.#nowMs() >= beforeMs) return null;
    for (const { command, replies } of guards) {
      const now = [this.#reply(command)].flat();
      if (replies.some((reply, i) => reply !== now[i])) return null;
    }
    let number = 0;
    for (const [name, key, ...words] of writes) {
      const texts = words.map((word) => {
        const text = String(word);
        if (!text.includes(NUMBER)) return text;
        if (number === 0) number = this.#nextNumber(least);
        return text.replace(NUMBER, String(number));
      });
      this.#write(name, key, texts);
    }
    return number;
  }

  #reply([name, key, ...words]: Read): Replies[keyof Replies] {
    const [field = '', end] = words.map(String);
    const table = this.#tables.get(key);
    switch (name) {
      case 'GET':
        return this.#text(key);
      case 'GETRANGE':
        // Only the end of a text is asked for.
        return (this.#text(key) ?? '').slice(Number(field), end === '-1' ? undefined : Number(end) + 1);
      case 'EXISTS':
        return this.#text(key) !== null || this.#tables.has(key) || this.#lists.has(key) ? 1 : 0;
      case 'HGET':
        return table?.get(field) ?? null;
      case 'HEXISTS':
      case 'SISMEMBER':
      case 'GETBIT':
        return table?.has(field) ? 1 : 0;
      case 'HMGET':
        return words.map((word) => table?.get(String(word)) ?? null);
      case 'HGETALL':
        return [...(table ?? [])].flat();
      case 'HVALS':
        return [...(table?.values() ?? [])];
      case 'HLEN':
        return table?.size ?? 0;
      case 'ZREVRANGE':
        return [...(table ?? [])]
          .reverse()
          .sort((a, b) => Number(b[1]) - Number(a[1]))
          .map(([member]) => member);
      case 'SMEMBERS':
        return [...(table?.keys() ?? [])];
      case 'LRANGE':
        return this.#lists.get(key) ?? [];
    }
  }

  #write(name: Write[0], key: string, words: readonly string[]): void {
    const [first = '', second = ''] = words;
    switch (name) {
      case 'SET':
        this.#texts.set(key, { text: first, expiresMs: second === 'PX' ? this.#nowMs() + Number(words[2]) : null });
        return;
      case 'DEL':
        this.#texts.delete(key);
        this.#tables.delete(key);
        this.#lists.delete(key);
        return;
      case 'HSET':
      case 'SADD':
      case 'SETBIT': {
        const table = this.#tables.get(key) ?? new Map<string, string>();
        for (let i = 0; i < words.length; i += 2) table.set(words[i]!, words[i + 1] ?? '');
        this.#tables.set(key, table);
        return;
      }
      case 'ZADD':
        this.#write('HSET', key, [second, first]);
        return;
      case 'HDEL':
      case 'SREM':
      case 'ZREM':
        this.#tables.get(key)?.delete(first);
        if (this.#tables.get(key)?.size === 0) this.#tables.delete(key);
        return;
      case 'LPUSH':
        this.#lists.set(key, [first, ...(this.#lists.get(key) ?? [])]);
        return;
      case 'RPUSH':
        this.#lists.set(key, [...(this.#lists.get(key) ?? []), first]);
        return;
      case 'LTRIM':
        this.#lists.set(key, (this.#lists.get(key) ?? []).slice(Number(first), Number(second) + 1));
        return;
    }
  }

  #text(key: string): string | null {
    const entry = this.#texts.get(key);
    return entry === undefined || (entry.expiresMs !== null && entry.expiresMs <= this.#nowMs()) ? null : entry.text;
  }

  #nextNumber(least: number): number {
    this.#counter = Math.max(this.#counter + 1, Math.floor(this.#clock.now() * 1000), least);
    return this.#counter;
  }

  #nowMs(): number {
    return Math.floor(this.#clock.now());
  }
}
