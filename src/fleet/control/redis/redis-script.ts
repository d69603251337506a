import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';

/** A Lua script, called by its hash: its text is sent once for each start of Redis. */
export class RedisScript {
  readonly #text: string;
  readonly #sha: string;

  constructor(text: string) {
    this.#text = text;
    this.#sha = createHash('sha1').update(text).digest('hex');
  }

  /** @param prefix - KEYS[1]; the script derives all other keys from it, with the same hash tag. */
  async run(client: Redis, prefix: string, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await client.call('EVALSHA', [this.#sha, 1, prefix, ...args]);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return client.call('EVAL', [this.#text, 1, prefix, ...args]);
    }
  }
}
