import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/build-once.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores: more than two test files at once only makes the ones that start ffmpeg wait for each other.
    maxWorkers: 2,
    pool: 'forks',
  },
});
