// Reads events from a Redis stream, shared among all processes that run it: each event goes to one of them, and again to another if
// that one dies before it has confirmed it.
//   node examples/redis-consumer.mjs redis://127.0.0.1:6379
import { Redis } from 'ioredis';

const [url = 'redis://127.0.0.1:6379', name = `reader-${process.pid}`] = process.argv.slice(2);
const [KEY, GROUP] = ['sightline', 'alarm'];
/** Unconfirmed entries of others are taken over after this time. */
const ABANDONED_MS = 60_000;
/** The newest ids: an event that comes twice is handled once. A program that is restarted keeps them in a database. */
const handled = new Set();

const redis = new Redis(url);
let isStopping = false;
process.once('SIGTERM', () => {
  isStopping = true;
});
// From the first entry that the stream still has; `$` would begin with the next one.
await redis.xgroup('CREATE', KEY, GROUP, '0', 'MKSTREAM').catch((error) => {
  if (!error.message.startsWith('BUSYGROUP')) throw error;
});

/** @param {[entry: string, fields: string[]][]} entries */
async function handle(entries) {
  for (const [entry, fields] of entries) {
    const { id, type, data } = JSON.parse(fields[fields.indexOf('json') + 1] ?? '{}');
    if (!handled.has(id)) console.log(`${type} ${id}: ${data.reason}`);
    handled.add(id);
    if (handled.size > 10_000) handled.delete(handled.values().next().value);
    await redis.xack(KEY, GROUP, entry);
  }
}

while (!isStopping) {
  const [, abandoned] = /** @type {any} */ (await redis.xautoclaim(KEY, GROUP, name, ABANDONED_MS, '0', 'COUNT', 100));
  await handle(abandoned);
  const found = /** @type {any} */ (
    await redis.xreadgroup('GROUP', GROUP, name, 'COUNT', 100, 'BLOCK', 1000, 'STREAMS', KEY, '>')
  );
  for (const [, entries] of found ?? []) await handle(entries);
}
redis.disconnect();
