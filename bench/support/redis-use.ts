import { Redis } from 'ioredis';

/** Counters of a Redis since its start. */
export interface RedisUse {
  readonly cpuMs: number;
  /** Script calls by clients; each is one round trip. */
  readonly scripts: number;
  /** All commands, including those within scripts. */
  readonly commands: number;
  readonly outputBytes: number;
  /** What its data and connections take now. */
  readonly memoryBytes: number;
}

/** Reads the counters of Redis over a separate connection. */
export async function readRedisUse(url: string): Promise<RedisUse> {
  const client = new Redis(url);
  try {
    const info = await client.info('everything');
    const figure = (pattern: RegExp): number => Number(pattern.exec(info)?.[1] ?? 0);
    return {
      cpuMs: (figure(/^used_cpu_sys:([\d.]+)/m) + figure(/^used_cpu_user:([\d.]+)/m)) * 1000,
      scripts: figure(/^cmdstat_evalsha:calls=(\d+)/m),
      commands: figure(/^total_commands_processed:(\d+)/m),
      outputBytes: figure(/^total_net_output_bytes:(\d+)/m),
      memoryBytes: figure(/^used_memory:(\d+)/m),
    };
  } finally {
    client.disconnect();
  }
}
