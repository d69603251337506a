import { availableParallelism } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { defineConfig, type Plugin } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const root = import.meta.dirname;

/** CI asks for a report as JSON beside the one for people. */
const reportPath = process.env.SIGHTLINE_TEST_REPORT;

/**
 * Unit tests that would change others in their process: they mock a module, make every message hide values, replace a package, load
 * the libraries of two engines, or ask how the process is scheduled.
 */
const ALONE = [
  'test/unit/compile/tfjs.test.ts',
  'test/unit/source/dialler.test.ts',
  'test/unit/config/placeholders.test.ts',
  'test/unit/host/changed-streams.test.ts',
  'test/unit/host/examine-pipeline.test.ts',
  'test/unit/runtime/lane/lane-schedule.test.ts',
  'test/unit/store/packages/provide-package.test.ts',
];
const LOGIC = ['test/unit/**/*.test.ts', 'test/rules/**/*.test.ts'];
/** The ways that every user takes, and every engine: what a change breaks first. `npm test` runs no other real process. */
const MAIN = [
  'test/conformance/engines.test.ts',
  'test/e2e/dashboard.test.ts',
  'test/e2e/detect.test.ts',
  'test/e2e/patch.test.ts',
  'test/integration/faults-decoder.test.ts',
  'test/integration/host-streams.test.ts',
  'test/integration/library.test.ts',
  'test/integration/odd-media.test.ts',
];
/** They compare rates and latencies of real processes with limits, so not more of them run at once than there are cores. */
const PACED = [
  'test/e2e/bench.test.ts',
  'test/e2e/bench-gpu.test.ts',
  'test/e2e/loadtest.test.ts',
  'test/integration/camera-times.test.ts',
  'test/integration/decode-live.test.ts',
  'test/integration/faults-overload.test.ts',
  'test/integration/hard-cases.test.ts',
  'test/integration/load-test.test.ts',
  'test/integration/measured-capacity.test.ts',
  'test/integration/shedding.test.ts',
  'test/integration/slow-streams.test.ts',
  'test/integration/trial.test.ts',
  'test/soak/**/*.test.ts',
];
/** Whole optimisations, roll-outs and fleets in real processes, and hundreds of simulated ones. */
const LONG = ['test/**/*.long.test.ts'];

/** Parts of paths in the order in which their files start: those that take longest first, so that none is alone at the end. */
const ORDER = [
  '/test/soak/',
  '.long.test.',
  '/test/e2e/',
  '/test/conformance/',
  '/test/integration/',
  '/test/rules/',
  '/test/unit/',
];

/**
 * Lets tests import the compiled files of the project by Node.js itself, instead of transforming the sources again in each process:
 * half of the CPU time of a test file was that. Types are checked on the sources, and `before-all.ts` compiles.
 */
const compiled: Plugin = {
  name: 'compiled',
  enforce: 'pre',
  resolveId(source, importer) {
    if (importer === undefined || !source.startsWith('.')) return;
    const path = relative(root, resolve(dirname(importer), source));
    if (/^(?:src|models|workers|bench)\/.*\.ts$/.test(path))
      return { id: join(root, 'dist', path.replace(/\.ts$/, '.js')), external: true };
  },
};

/** Starts the longest files first: by their last run, else by folder and size. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => ORDER.findIndex((folder) => moduleId.includes(folder));
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

/** A claim has to hold on a busy machine too, so tests wait long for what must come. */
const patience = { testTimeout: 240_000, hookTimeout: 240_000, expect: { poll: { timeout: 30_000 } } };

export default defineConfig({
  test: {
    globalSetup: ['test/support/before-all.ts'],
    // `.ci/run` runs more files of `rest` and `long` at once, which wait for real processes a third of their time.
    maxWorkers: Math.min(16, availableParallelism()),
    pool: 'forks',
    reporters: reportPath === undefined ? ['default'] : ['default', ['json', { outputFile: reportPath }]],
    sequence: { sequencer: LongestFirst },
    projects: [
      // One process runs many files: most of what a file with logic alone costs is its process and its imports.
      { test: { name: 'logic', include: LOGIC, exclude: [...ALONE, ...LONG], isolate: false, ...patience } },
      { plugins: [compiled], test: { name: 'main', include: MAIN, ...patience } },
      { test: { name: 'alone', include: ALONE, ...patience } },
      { plugins: [compiled], test: { name: 'long', include: LONG, ...patience } },
      {
        plugins: [compiled],
        test: {
          name: 'rest',
          include: ['test/**/*.test.ts'],
          exclude: [...LOGIC, ...MAIN, ...LONG, ...PACED],
          ...patience,
        },
      },
      { plugins: [compiled], test: { name: 'paced', include: PACED, ...patience } },
    ],
  },
});
