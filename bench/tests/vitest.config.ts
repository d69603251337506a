import { join } from 'node:path';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import base, { compiled } from '../../vitest.config.ts';

/** All tests, with coverage by file (`cover.setup.mjs`). Those of logic import compiled code too, so that all lines are of one text. */
const projects = (base.test?.projects ?? []) as TestProjectInlineConfiguration[];
const root = join(import.meta.dirname, '../..');

export default defineConfig({
  ...base,
  root,
  test: {
    ...base.test,
    projects: projects.map((project) => ({
      ...project,
      root,
      plugins: project.test?.name === 'alone' ? [] : [compiled],
      test: { ...project.test, setupFiles: [join(import.meta.dirname, 'cover.setup.mjs')] },
    })),
  },
});
