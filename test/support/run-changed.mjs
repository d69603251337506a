/**
 * Runs the tests that a change can break, those that run the fewest other files first, for two minutes: npm run test:changed [-- REF]
 *
 * What a test runs is known from the last run of all tests (`bench/results/tests.json`), also of tests that start the compiled command line.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const MOST_MS = 120_000;
/** Compiling, and the start of the tests. */
const START_MS = 15_000;
const results = '.cache/changed-files.jsonl';
const startedMs = performance.now();

const git = (...args) => execFileSync('git', args, { encoding: 'utf8' }).split('\n').filter(Boolean);
const since = process.argv[2] ?? 'HEAD';
const changed = [
  ...new Set([...git('diff', '--name-only', since), ...git('ls-files', '--others', '--exclude-standard')]),
];
const { sources, tests } = JSON.parse(readFileSync('bench/results/tests.json', 'utf8'));
const places = changed.map((path) => sources.indexOf(path)).filter((place) => place >= 0);

const found = [];
for (const [path, { ms = 1000, sources: text }] of Object.entries(tests)) {
  if (!existsSync(path)) continue;
  const bits = Buffer.from(text, 'base64');
  const touched = places.filter((place) => (bits[place >> 3] ?? 0) & (1 << (place & 7))).length;
  if (touched > 0)
    found.push({
      path,
      ms,
      width: [...bits].reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0),
    });
}
/** A changed test is the nearest; then those that run little else. */
const own = changed.filter((path) => path.endsWith('.test.ts') && existsSync(path));
const ordered = [
  ...own.map((path) => ({ path, ms: tests[path]?.ms ?? 1000 })),
  ...found.filter(({ path }) => !own.includes(path)).sort((a, b) => a.width - b.width),
];
const rules = 'test/rules';
if (changed.length === 0) console.log(`nothing has changed since ${since}`);
const unknown = changed.filter((path) => /^(?:src|models|workers|web)\//.test(path) && !sources.includes(path));
if (unknown.length > 0)
  console.log(
    `no test is known to run ${unknown.join(', ')}: the last run of all tests did not have it, or it is no code`,
  );

const chosen = [];
let sumMs = 0;
for (const test of ordered) {
  if ((sumMs + test.ms) / availableParallelism() > MOST_MS - START_MS) continue;
  sumMs += test.ms;
  chosen.push(test.path);
}
if (chosen.length > 0 || changed.length > 0) await run([rules, ...chosen]);

/** Ends what still runs when the time is over, and names what did not run. */
async function run(files) {
  mkdirSync('.cache', { recursive: true });
  rmSync(results, { force: true });
  const reporters = ['--reporter', 'default', '--reporter', 'bench/tests/file-reporter.mjs'];
  const child = spawn('vitest', ['run', ...reporters, ...files], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
    env: { ...process.env, TEST_FILES: results },
  });
  const timer = setTimeout(() => child.kill('SIGTERM'), MOST_MS - (performance.now() - startedMs));
  const code = await new Promise((resolve) => child.on('exit', (status) => resolve(status ?? 1)));
  clearTimeout(timer);
  const ended = existsSync(results)
    ? readFileSync(results, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : [];
  const left = ordered.filter(({ path }) => !ended.some((each) => each.path === path));
  for (const { path, ms } of left) console.log(`left out: ${path} (${Math.ceil(ms / 1000)} s)`);
  const failed = ended.filter(({ ok }) => !ok);
  for (const { path } of failed) console.log(`FAILED: ${path}`);
  console.log(
    `${ended.length} files ran, ${failed.length} failed, ${left.length} were left out: npm run test:all has them`,
  );
  process.exitCode = failed.length > 0 ? 1 : left.length > 0 ? 0 : code;
}
