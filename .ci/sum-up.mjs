// Names each test that failed, and each file that did not load, in the JSON reports of Vitest, with its messages: what a run prints is often
// kept only in part. Of a file in two reports the later one counts, and what failed in the earlier one is named. The last line is the sum
// over all tests: node .ci/sum-up.mjs REPORT.json...
// With --files it prints only the files in which something failed, one a line, and fails if a report is missing.
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const LONGEST_MESSAGE = 2_000;

const isList = process.argv[2] === '--files';
const files = new Map();
for (const path of process.argv.slice(isList ? 3 : 2)) {
  if (!isList && !existsSync(path)) {
    console.log(`FAILED: the tests of ${path} did not run to their end`);
    continue;
  }
  for (const file of JSON.parse(readFileSync(path, 'utf8')).testResults) {
    const name = relative(process.cwd(), file.name);
    const earlier = files.get(name);
    if (earlier?.status === 'failed') show('FAILED THE FIRST TIME', name, earlier);
    files.set(name, file);
  }
}
const failed = [...files].filter(([, { status }]) => status === 'failed');
if (isList) for (const [name] of failed) console.log(name);
else {
  for (const [name, file] of failed) show('FAILED', name, file);
  const statuses = [...files.values()].flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const passed = statuses.filter((status) => status === 'passed').length;
  const broken = failed.filter(([, file]) => failuresOf(file).length === 0).length;
  const failures = statuses.filter((status) => status === 'failed').length + broken;
  console.log(`${passed} passed, ${failures} failed, ${statuses.length + broken - passed - failures} skipped`);
}

/** The tests of a file that failed; none if it did not load. */
function failuresOf({ assertionResults }) {
  return assertionResults.filter(({ status }) => status === 'failed');
}

function show(what, name, file) {
  const failures = failuresOf(file);
  if (failures.length === 0) print(what, name, file.message);
  for (const { fullName, failureMessages } of failures) print(what, `${name}: ${fullName}`, failureMessages.join('\n'));
}

function print(what, name, message) {
  console.log(`${what}: ${name}\n${stripVTControlCharacters(message).slice(0, LONGEST_MESSAGE)}\n`);
}
