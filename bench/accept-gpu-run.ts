import { execFile } from 'node:child_process';
import { parseArgs } from 'node:util';
import { openFfmpeg } from '../src/frame/decode/ffmpeg-binary.ts';
import { nvidiaDriver, nvidiaGpus } from '../src/network/store/tensorflow/nvidia-driver.ts';
import { readEnvironment } from '../src/settings/config/environment.ts';
import { type Ask, accept, acceptanceSteps, acceptanceTable, notRun } from './support/acceptance.ts';

/**
 * Accepts a machine with an NVIDIA GPU in ten minutes: sets up, runs conformance, AP, FP32 against FP16, NVDEC, 1 to 64 streams, and
 * prints the table for README.md. Exits with 0 if all is met, 3 if something is not, 1 if something failed, 2 without a GPU.
 *
 *     npm run accept:gpu [-- --annotations FILE --images DIR --clip FILE]
 */
const BUDGET_MS = 600_000;

const { values } = parseArgs({
  options: { annotations: { type: 'string' }, images: { type: 'string' }, clip: { type: 'string' } },
});
const { annotations = null, images = null, clip = null } = values;
const { path: ffmpeg } = await openFfmpeg(readEnvironment(process.env), () => undefined);
const steps = acceptanceSteps({ annotations, images, clip, ffmpeg });
const driver = nvidiaDriver();
if (driver === null) {
  console.error('No NVIDIA GPU found (no driver in the kernel): nothing was accepted.');
  console.log(acceptanceTable(notRun(steps)));
  process.exitCode = 2;
} else {
  const ask: Ask = (program, args, timeout) =>
    new Promise((resolve) => {
      execFile(program, args, { timeout, killSignal: 'SIGKILL', maxBuffer: 64 * 2 ** 20 }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : error.killed === true ? null : Number(error.code) || 1, stdout, stderr }),
      );
    });
  const note = (text: string): void => console.error(`${text} ...`);
  const rows = await accept(steps, { ask, nowMs: () => performance.now(), budgetMs: BUDGET_MS, note });
  console.log(`${nvidiaGpus().join(', ')}, driver ${driver}\n\n${acceptanceTable(rows)}`);
  const hasFailed = rows.some(({ figure }) => figure.startsWith('failed'));
  process.exitCode = hasFailed ? 1 : rows.every(({ isMet }) => isMet !== false) ? 0 : 3;
}
