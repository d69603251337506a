import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { nvidiaDriver } from '../src/store/tensorflow/nvidia-driver.ts';
import { caseName, GPU_CASES, gpu } from './gpu.bench.ts';
import { openContext } from './support/bench-context.ts';
import { describeMachine } from './support/machine.ts';
import { sectionText, writeResults } from './support/report.ts';

/**
 * Measures the engines on an NVIDIA GPU. Without one it lists what it would measure and exits with 0.
 *
 *     npm run bench:gpu [-- --seconds 5]
 */
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '5' } } });
const seconds = Number(values.seconds);
const driver = nvidiaDriver();
if (!(seconds >= 1 && seconds <= 600)) {
  console.error(`--seconds: expected a number from 1 to 600, received "${values.seconds}"`);
  process.exitCode = 2;
} else if (driver === null) {
  console.log('No NVIDIA GPU found (no driver in the kernel): nothing was measured. With a GPU this measures:');
  for (const one of GPU_CASES) console.log(`- ${caseName(one)}`);
} else {
  const context = await openContext({ seconds, isQuick: false }, process.env);
  const machine = { ...describeMachine(context), nvidiaDriver: driver };
  console.log(table(Object.entries(machine).map(([name, value]) => [name, String(value)])));
  const startedMs = performance.now();
  const result = await gpu.run(context);
  const { id, title } = gpu;
  const record = { id, title, seconds: Math.round((performance.now() - startedMs) / 1000), result, error: null };
  console.log(sectionText(record));
  console.log(
    `\nwritten: ${await writeResults({ machine, secondsPerRun: seconds, isQuick: false, sections: [record] }, false)}`,
  );
}
