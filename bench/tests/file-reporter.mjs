import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';

/** Appends a line of JSON for each test file as it ends, to the file TEST_FILES: what is known of a run that is ended early. */
export default class FileReporter {
  onTestModuleEnd(module) {
    const { duration } = module.diagnostic();
    const tests = [...module.children.allTests()];
    const failed = tests.filter((test) => test.result().state === 'failed').map(({ fullName }) => fullName);
    const line = {
      path: relative(process.cwd(), module.moduleId),
      project: module.project.name,
      ok: module.ok(),
      ms: Math.round(duration),
      tests: tests.length,
      failed,
    };
    appendFileSync(process.env.TEST_FILES, `${JSON.stringify(line)}\n`);
  }
}
