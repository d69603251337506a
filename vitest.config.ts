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
  'test/unit/network/compile/tfjs.test.ts',
  'test/unit/frame/source/dialler.test.ts',
  'test/unit/settings/config/placeholders.test.ts',
  'test/unit/serve/host/changed-streams.test.ts',
  'test/unit/serve/host/examine-pipeline.test.ts',
  'test/unit/frame/runtime/lane/lane-schedule.test.ts',
  'test/unit/network/store/packages/provide-package.test.ts',
];
const LOGIC = ['test/unit/**/*.test.ts', 'test/rules/**/*.test.ts'];
/** The ways that every user takes: what a change breaks first. `npm test` runs no other real process. */
const MAIN = [
  'test/e2e/dashboard.test.ts',
  'test/e2e/detect.test.ts',
  'test/e2e/patch.test.ts',
  'test/integration/faults-decoder.test.ts',
  'test/integration/host-streams.test.ts',
  'test/integration/odd-media.test.ts',
];
/** Simulations by the hundred, fuzz and statistics, beside the files of logic: each costs more than five seconds and finds nothing alone. */
const SIMULATIONS = [
  'test/unit/**/*.long.test.ts',
  'test/unit/network/compile/fuzz-onnx.test.ts',
  'test/unit/fleet/control/planning/scale-advisor.test.ts',
  'test/unit/fleet/control/rollout/busy-neighbours.test.ts',
  'test/unit/fleet/control/rollout/guards-of-parts.test.ts',
  'test/unit/serve/gateway/access/stream-scope.test.ts',
  'test/unit/serve/gateway/recorded-elsewhere.test.ts',
  'test/unit/serve/host/foreign-rollouts.test.ts',
  'test/unit/serve/host/patched-streams.test.ts',
  'test/unit/lab/measure/bootstrap.test.ts',
  'test/unit/base/statistics/sequential.test.ts',
  'test/unit/lab/optimize/gate/judge-labels.test.ts',
  'test/unit/lab/optimize/run/quality-bench.test.ts',
  'test/unit/lab/optimize/search/search.test.ts',
  'test/unit/frame/preprocess/change-gate.test.ts',
];
/**
 * What `.ci/run` runs beside `npm test`: what is cheap, what finds faults that no cheaper file finds (bench/tests/README.md), and one of each
 * kind: a detector's accuracy, an optimisation, a roll-out, a fleet with a killed host. All others run by `npm run test:all`.
 */
const GATE = [
  'test/conformance/*.test.ts',
  'test/e2e/accuracy.test.ts',
  'test/e2e/bad-input.test.ts',
  'test/e2e/client-doc.test.ts',
  'test/e2e/crash.test.ts',
  'test/e2e/dashboard-history.test.ts',
  'test/e2e/dashboard-proxy.test.ts',
  'test/e2e/dashboard-rules.test.ts',
  'test/e2e/eval-results.test.ts',
  'test/e2e/events.test.ts',
  'test/e2e/failed-start.test.ts',
  'test/e2e/fleet.long.test.ts',
  'test/e2e/full-disk.test.ts',
  'test/e2e/optimize.long.test.ts',
  'test/e2e/optimize.test.ts',
  'test/e2e/run.test.ts',
  'test/e2e/score.test.ts',
  'test/e2e/tracks.test.ts',
  'test/integration/alert-kills.test.ts',
  'test/integration/bulk-job.test.ts',
  'test/integration/bull-layout.test.ts',
  'test/integration/calibration-frames.test.ts',
  'test/integration/choose-engine.test.ts',
  'test/integration/collected-skips.test.ts',
  'test/integration/confined-decoder.test.ts',
  'test/integration/decodable.test.ts',
  'test/integration/decode-live.test.ts',
  'test/integration/faults-lifecycle.test.ts',
  'test/integration/faults-threads.test.ts',
  'test/integration/file-layouts.test.ts',
  'test/integration/fleet-*.test.ts',
  'test/integration/forged-headers.test.ts',
  'test/integration/history-kills.test.ts',
  'test/integration/hostile-messages.test.ts',
  'test/integration/hot-swap.test.ts',
  'test/integration/kept-changes.test.ts',
  'test/integration/large-pictures.test.ts',
  'test/integration/launch.test.ts',
  'test/integration/library*.test.ts',
  'test/integration/masks.test.ts',
  'test/integration/measured-capacity.test.ts',
  'test/integration/named-rollouts.test.ts',
  'test/integration/older-release.test.ts',
  'test/integration/openapi-client.test.ts',
  'test/integration/openvino-engine.test.ts',
  'test/integration/recorded-clips.test.ts',
  'test/integration/recorded-job.test.ts',
  'test/integration/recorded-span.test.ts',
  'test/integration/recordings.test.ts',
  'test/integration/redis-access.test.ts',
  'test/integration/redis-faults.test.ts',
  'test/integration/report-page.test.ts',
  'test/integration/requests.test.ts',
  'test/integration/rollout-redis.test.ts',
  'test/integration/rule-events.test.ts',
  'test/integration/second-stages.test.ts',
  'test/integration/sink-kills.test.ts',
  'test/integration/source-placeholders.test.ts',
  'test/integration/source-rules.test.ts',
  'test/integration/source-test.test.ts',
  'test/integration/telemetry.test.ts',
  'test/integration/tried-rules.test.ts',
  'test/integration/webhook-file.test.ts',
  'test/rules/page-protocol.test.ts',
  'test/unit/serve/gateway/roles.test.ts',
  'test/unit/after/sinks/kafka-sink.test.ts',
];

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
export const compiled: Plugin = {
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
    maxWorkers: Math.min(16, availableParallelism()),
    pool: 'forks',
    reporters: reportPath === undefined ? ['default'] : ['default', ['json', { outputFile: reportPath }]],
    sequence: { sequencer: LongestFirst },
    projects: [
      // One process runs many files: most of what a file with logic alone costs is its process and its imports.
      {
        test: {
          name: 'logic',
          include: LOGIC,
          exclude: [...ALONE, ...SIMULATIONS, ...GATE],
          isolate: false,
          ...patience,
        },
      },
      { plugins: [compiled], test: { name: 'main', include: MAIN, ...patience } },
      { test: { name: 'alone', include: ALONE, ...patience } },
      { plugins: [compiled], test: { name: 'gate', include: GATE, ...patience } },
      {
        plugins: [compiled],
        test: {
          name: 'hour',
          include: ['test/{e2e,integration,soak}/**/*.test.ts', ...SIMULATIONS],
          exclude: [...MAIN, ...GATE],
          ...patience,
        },
      },
    ],
  },
});
