import { defineConfig } from 'vitest/config';

/** CI asks for a report as JSON beside the one for people. */
const reportPath = process.env.SIGHTLINE_TEST_REPORT;

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build-once.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two cores: more than two test files at once only makes the ones that start ffmpeg wait for each other.
    maxWorkers: 2,
    pool: 'forks',
    reporters: reportPath === undefined ? ['default'] : ['default', ['json', { outputFile: reportPath }]],
  },
});
