/**
 * Vitest runs this before each test file of a run that measures coverage: the file's own process is measured by the inspector, and the
 * processes and threads that it starts write their coverage into a folder of the file.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import inspector from 'node:inspector';
import { join, relative } from 'node:path';
import { afterAll } from 'vitest';

const root = join(import.meta.dirname, '../..');
const path = relative(root, globalThis.__vitest_worker__.filepath);
const folder = join(process.env.TEST_COVERAGE_FOLDER, path.replaceAll('/', '__'));
mkdirSync(folder, { recursive: true });
process.env.NODE_V8_COVERAGE = folder;

if (globalThis.coverageSession === undefined) {
  globalThis.coverageSession = new inspector.Session();
  globalThis.coverageSession.connect();
  globalThis.coverageSession.post('Profiler.enable');
  globalThis.coverageSession.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
}
// Files of logic share a process: what an earlier one has run is not counted for this one.
globalThis.coverageSession.post('Profiler.takePreciseCoverage');
const startedMs = performance.now();

afterAll(() => {
  globalThis.coverageSession.post('Profiler.takePreciseCoverage', (error, { result }) => {
    if (error) throw error;
    const own = result.filter(({ url }) => url.startsWith(`file://${root}/dist/`));
    writeFileSync(join(folder, 'own.json'), JSON.stringify({ result: own }));
    writeFileSync(join(folder, 'done.json'), JSON.stringify({ path, ms: performance.now() - startedMs }));
  });
});
