/**
 * `npm run soak -- --minutes 30 [--seed N]`, or `--hours 336`: random faults and changes for that long, with budgets for memory, descriptors and
 * threads. The seed of a run repeats it.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const number = { type: 'string' };
const { values } = parseArgs({ options: { minutes: number, hours: number, seed: number } });
const seconds = 60 * Number(values.minutes ?? 0) + 3600 * Number(values.hours ?? 0);
if (!(seconds > 0)) {
  console.error('usage: npm run soak -- --minutes 30 [--seed N]   (or --hours H)');
  process.exit(2);
}
const seed = values.seed === undefined ? {} : { SOAK_SEED: values.seed };
const vitest = [
  'node_modules/vitest/vitest.mjs',
  'run',
  'test/soak/random-faults.test.ts',
  '--disable-console-intercept',
];
const env = { ...process.env, ...seed, SOAK_SECONDS: String(seconds) };
process.exit(spawnSync(process.execPath, vitest, { env, stdio: 'inherit' }).status ?? 1);
