import { join } from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import base, { compiled } from '../../vitest.config.ts';

/** All tests, on compiled code: what mutants.mjs has changed there is what runs, so nothing is compiled before. */
const root = join(import.meta.dirname, '../..');
const projects = (base.test?.projects ?? []) as TestProjectInlineConfiguration[];

export default defineConfig({
  ...base,
  root,
  test: {
    ...base.test,
    testTimeout: 60_000,
    projects: projects.map((project) => ({
      ...project,
      root,
      plugins: project.test?.name === 'alone' ? [] : [compiled],
      test: { ...project.test, testTimeout: 60_000, hookTimeout: 60_000 },
    })),
  },
});
