// Names each test that failed, and each file that did not load, in the JSON reports of Vitest, with its messages: what a run prints is often
// kept only in part. The last line is the sum over all tests: node .ci/sum-up.mjs REPORT.json...
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const LONGEST_MESSAGE = 2_000;

const sums = { passed: 0, failed: 0, skipped: 0 };
for (const path of process.argv.slice(2)) {
  if (!existsSync(path)) {
    console.log(`FAILED: the tests of ${path} did not run to their end`);
    continue;
  }
  const report = JSON.parse(readFileSync(path, 'utf8'));
  sums.passed += report.numPassedTests;
  sums.failed += report.numFailedTests;
  sums.skipped += report.numPendingTests;
  for (const file of report.testResults.filter(({ status }) => status === 'failed')) {
    const name = relative(process.cwd(), file.name);
    const failed = file.assertionResults.filter(({ status }) => status === 'failed');
    if (failed.length === 0) {
      sums.failed += 1;
      show(name, file.message);
    }
    for (const { fullName, failureMessages } of failed) show(`${name}: ${fullName}`, failureMessages.join('\n'));
  }
}
console.log(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`);

function show(name, message) {
  console.log(`FAILED: ${name}\n${stripVTControlCharacters(message).slice(0, LONGEST_MESSAGE)}\n`);
}
