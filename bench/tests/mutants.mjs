/**
 * Which test files notice a fault: changes one line of the compiled code at a time, at random, runs the test files that run this line, and notes all
 * that fail. Run it in a clone of its own, after coverage.mjs: it changes `dist`.
 *
 *     node bench/tests/mutants.mjs --seed 1 --count 40 --seconds 300 --out bench/results/mutants-1.json
 *
 * Cheap files with logic alone run first; if none of them notices it, the others do, the shortest first, until one does or the time is over: a dearer file cannot be
 * the only one that notices what a cheap one does.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const root = join(import.meta.dirname, '../..');
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '40' },
    seconds: { type: 'string', default: '300' },
    out: { type: 'string' },
  },
});

/** Where a fault costs most: the path of a frame, ledger, scheduler, leases, spool, events, history, access, gate, roll-out. */
const ROOMS =
  /^src\/(?:source|decode|preprocess|batch|infer|postprocess|track|runtime|events|history|gateway\/access|optimize\/gate|control\/rollout|control\/hosting|control\/store|sinks\/(?:spool|durable|result))/;

const CHANGES = [
  [/ === /, ' !== '],
  [/ !== /, ' === '],
  [/ < /, ' <= '],
  [/ <= /, ' < '],
  [/ > /, ' >= '],
  [/ >= /, ' > '],
  [/ && /, ' || '],
  [/ \|\| /, ' && '],
  [/ \+ /, ' - '],
  [/ - /, ' + '],
  [/ \+= /, ' -= '],
  [/\btrue\b/, 'false'],
  [/\bfalse\b/, 'true'],
  [/Math\.min\(/, 'Math.max('],
  [/Math\.max\(/, 'Math.min('],
  [/!(?=[a-z#(])/, ''],
  [/\?\? /, '&& '],
  [/\b0\b(?!\.)/, '1'],
  [/\b1\b(?!\.)/, '2'],
  [/^(\s*)(?:return )?(?:await )?(?:this|[a-z]\w*)(?:\.#?\w+)+\(.*\);$/, '$1;'],
  [/^(\s*)this\.#\w+ = .*;$/, '$1;'],
  [/^(\s*if \().*(\) (?:return|continue).*;)$/, '$1false$2'],
];

/** Mulberry32: the same mutants for the same seed. */
let state = Number(values.seed) >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

const { tests } = JSON.parse(readFileSync(join(root, 'bench/results/tests.json'), 'utf8'));
const covered = JSON.parse(readFileSync(join(root, '.cache/test-lines.json'), 'utf8'));
/** Line -> the test files that run it. */
const runners = new Map();
for (const [test, files] of Object.entries(covered))
  for (const [path, lines] of Object.entries(files))
    if (ROOMS.test(path))
      for (const line of lines) {
        const key = `${path}:${line}`;
        if (!runners.has(key)) runners.set(key, []);
        runners.get(key).push(test);
      }
const keys = [...runners.keys()].sort();

/** A line at random and one of the changes that it allows; null if it allows none. */
function pick() {
  const key = keys[Math.floor(random() * keys.length)];
  const [path, line] = [key.slice(0, key.lastIndexOf(':')), Number(key.slice(key.lastIndexOf(':') + 1))];
  const text = readFileSync(join(root, 'dist', path), 'utf8').split('\n')[line];
  // Words in messages are nobody's behaviour.
  if (/^\s*(?:import|export \{|case |`|'|throw )/.test(text) || /^\s*[+`'"]/.test(text)) return null;
  const fit = CHANGES.filter(([pattern]) => pattern.test(text));
  if (fit.length === 0) return null;
  const [pattern, by] = fit[Math.floor(random() * fit.length)];
  const changed = text.replace(pattern, by);
  return changed === text ? null : { path, line, text, changed, tests: runners.get(key) };
}

/** Runs test files for so long; returns what is known of each that ended. */
function run(files, seconds) {
  const results = join(root, '.cache/mutant-files.jsonl');
  rmSync(results, { force: true });
  return new Promise((resolve) => {
    const args = ['run', '--config', 'bench/tests/vitest.config.ts', '--reporter', 'bench/tests/file-reporter.mjs'];
    // A test that hangs has noticed the fault.
    args.push('--testTimeout=60000', '--hookTimeout=60000', ...files);
    const child = spawn('node_modules/.bin/vitest', args, {
      cwd: root,
      detached: true,
      stdio: 'ignore',
      env: { ...process.env, TEST_FILES: results },
    });
    const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), seconds * 1000);
    child.on('exit', () => {
      clearTimeout(timer);
      const text = existsSync(results) ? readFileSync(results, 'utf8') : '';
      resolve(
        text
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line)),
      );
    });
  });
}

/** As long as a file may take on a busy machine to be one of five seconds. */
const CHEAP_MS = 8_000;
const isLogic = (path) => /^test\/(?:unit|rules)\//.test(path) && !path.includes('.long.');
const rows = [];
while (rows.length < Number(values.count)) {
  const mutant = pick();
  if (mutant === null) continue;
  const { path, line, text, changed } = mutant;
  const file = join(root, 'dist', path);
  const whole = readFileSync(file, 'utf8');
  const lines = whole.split('\n');
  lines[line] = changed;
  writeFileSync(file, lines.join('\n'));
  const startedMs = performance.now();
  const ended = [];
  try {
    const fit = mutant.tests.filter((test) => tests[test]?.failed !== true);
    const cost = (test) => tests[test]?.ms ?? 60_000;
    const isCheap = (test) => isLogic(test) && cost(test) <= CHEAP_MS;
    const logic = fit.filter(isCheap);
    const others = fit.filter((test) => !isCheap(test)).sort((a, b) => cost(a) - cost(b));
    const left = () => Number(values.seconds) - (performance.now() - startedMs) / 1000;
    if (logic.length > 0) ended.push(...(await run(logic, left())));
    // In turns of about a minute on two cores, so that the shortest come first.
    while (others.length > 0 && left() > 15 && ended.every(({ ok }) => ok)) {
      const turn = [];
      for (let ms = 0; others.length > 0 && ms < 100_000; ms += cost(turn.at(-1))) turn.push(others.shift());
      ended.push(...(await run(turn, left())));
    }
  } finally {
    writeFileSync(file, whole);
  }
  // What fails without the fault too, for example on a busy machine, has not noticed it.
  const failed = ended.filter(({ ok }) => !ok);
  const control =
    failed.length === 0
      ? []
      : await run(
          failed.map(({ path }) => path),
          2 * Number(values.seconds),
        );
  const killers = failed
    .filter(({ path }) => control.some((again) => again.path === path && again.ok))
    .map(({ path, ms }) => ({ path, ms }));
  const row = {
    path: path.replace(/\.js$/, '.ts'),
    text: text.trim(),
    changed: changed.trim(),
    covering: mutant.tests.length,
    ran: ended.length,
    seconds: Math.round((performance.now() - startedMs) / 1000),
    killers,
  };
  rows.push(row);
  console.log(
    `${rows.length}. ${row.path}: ${row.text} -> ${row.changed}: ${killers.length} of ${row.ran} of ${row.covering} (${row.seconds} s)`,
  );
  if (values.out !== undefined)
    writeFileSync(values.out, `[\n${rows.map((each) => `  ${JSON.stringify(each)}`).join(',\n')}\n]\n`);
}
