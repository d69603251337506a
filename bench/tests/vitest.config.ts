import { join } from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import base, { compiled } from '../../vitest.config.ts';

/**
 * All tests on compiled code, those of logic too, so that all lines are of one text, which mutants.mjs changes. Where TEST_COVERAGE_FOLDER names a
 * folder, with coverage by file (`cover.setup.mjs`).
 */
const root = join(import.meta.dirname, '../..');
const projects = (base.test?.projects ?? []) as TestProjectInlineConfiguration[];
const setupFiles = process.env.TEST_COVERAGE_FOLDER === undefined ? [] : [join(import.meta.dirname, 'cover.setup.mjs')];

export default defineConfig({
  ...base,
  root,
  test: {
    ...base.test,
    projects: projects.map((project) => ({
      ...project,
      root,
      plugins: project.test?.name === 'alone' ? [] : [compiled],
      test: { ...project.test, setupFiles },
    })),
  },
});
