/**
 * What each test file costs, and which lines it runs, from one run of all tests (see README.md here):
 *
 *     node bench/tests/coverage.mjs COVERAGE-FOLDER REPORT.json...
 *
 * Reads what V8 wrote of each process, and writes `bench/results/tests.json` (time, number of tests, lines, lines that no other file runs, source files
 * as a bit set) and `.cache/test-lines.json` (all lines by test file, for mutants.mjs).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const root = join(import.meta.dirname, '../..');
const [folder, ...reports] = process.argv.slice(2);

/** Path of a compiled file below dist -> its text, its line of each character, and its lines with code. */
const files = new Map();
function fileOf(path) {
  if (!files.has(path)) files.set(path, existsSync(path) ? readLines(readFileSync(path, 'utf8')) : null);
  return files.get(path);
}

function readLines(text) {
  const starts = [0];
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) starts.push(i + 1);
  const lines = text.split('\n');
  let isComment = false;
  const hasCode = lines.map((line) => {
    const trimmed = line.trim();
    if (trimmed.startsWith('/*')) isComment = true;
    const code = !isComment && trimmed !== '' && !trimmed.startsWith('//') && !/^[\]})(;,]*$/.test(trimmed);
    if (trimmed.endsWith('*/')) isComment = false;
    return code;
  });
  return { starts, hasCode, length: text.length };
}

/** The line that a character is in, from 0. */
function lineAt({ starts }, offset) {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * Adds the lines of a script that ran inside of a function to `covered`. The first function of a script is the script itself: its lines run
 * wherever it is imported.
 */
function addCovered(covered, { url, functions }) {
  const path = decodeURIComponent(new URL(url).pathname);
  const file = fileOf(path);
  if (file === null) return;
  const ran = new Uint8Array(file.starts.length);
  for (const { ranges, functionName } of functions) {
    const isScript = functionName === '' && ranges[0].startOffset === 0;
    for (const { startOffset, endOffset, count } of ranges) {
      const from = lineAt(file, startOffset);
      const to = lineAt(file, Math.max(startOffset, endOffset - 1));
      // A block that did not run often begins and ends in lines that did.
      if (count === 0) for (let line = from + 1; line < to; line++) ran[line] = 0;
      else if (!isScript) for (let line = from; line <= to; line++) ran[line] = 1;
    }
  }
  const name = relative(join(root, 'dist'), path);
  const known = covered.get(name) ?? new Uint8Array(ran.length);
  for (let line = 0; line < ran.length; line++) if (ran[line] && file.hasCode[line]) known[line] = 1;
  covered.set(name, known);
}

const times = new Map();
for (const report of reports)
  for (const { name, startTime, endTime, assertionResults, status } of JSON.parse(readFileSync(report, 'utf8'))
    .testResults)
    times.set(relative(root, name), {
      ms: Math.round(endTime - startTime),
      tests: assertionResults.filter((test) => test.status !== 'pending' && test.status !== 'skipped').length,
      ...(status === 'failed' && { failed: true }),
    });

const byTest = new Map();
for (const name of readdirSync(folder)) {
  const test = name.replaceAll('__', '/');
  const covered = new Map();
  for (const file of readdirSync(join(folder, name))) {
    if (file === 'done.json') continue;
    let result;
    try {
      ({ result } = JSON.parse(readFileSync(join(folder, name, file), 'utf8')));
    } catch {
      // Its process was killed while it wrote.
      continue;
    }
    for (const script of result) if (script.url.startsWith(`file://${root}/dist/`)) addCovered(covered, script);
  }
  byTest.set(test, covered);
}

/** How many test files run each line. */
const counts = new Map();
for (const covered of byTest.values())
  for (const [path, lines] of covered) {
    const sums = counts.get(path) ?? new Uint16Array(lines.length);
    for (let i = 0; i < lines.length; i++) sums[i] += lines[i];
    counts.set(path, sums);
  }

const sources = [...counts.keys()].filter((path) => counts.get(path).some((count) => count > 0)).sort();
const tests = {};
const lines = {};
for (const [test, covered] of [...byTest].sort(([a], [b]) => a.localeCompare(b))) {
  const bits = Buffer.alloc(Math.ceil(sources.length / 8));
  let all = 0;
  let only = 0;
  lines[test] = {};
  for (const [path, ran] of covered) {
    const sums = counts.get(path);
    const own = [...ran.keys()].filter((i) => ran[i]);
    if (own.length === 0) continue;
    const place = sources.indexOf(path);
    bits[place >> 3] |= 1 << (place & 7);
    all += own.length;
    only += own.filter((i) => sums[i] === 1).length;
    lines[test][path] = own;
  }
  tests[test] = { ...times.get(test), lines: all, only, sources: bits.toString('base64').replace(/A*=*$/, '') };
}

mkdirSync(dirname(join(root, '.cache/x')), { recursive: true });
writeFileSync(join(root, '.cache/test-lines.json'), JSON.stringify(lines));
const rows = Object.entries(tests).map(([path, row]) => `${JSON.stringify(path)}: ${JSON.stringify(row)}`);
writeFileSync(
  join(root, 'bench/results/tests.json'),
  `{"sources": ${JSON.stringify(sources.map((path) => path.replace(/\.js$/, '.ts')))},\n"tests": {\n${rows.join(',\n')}\n}}\n`,
);
console.log(`${rows.length} test files, ${sources.length} source files`);
