import { parseArgs } from 'node:util';
import { table } from '../src/cli/cli-io.ts';
import { nvidiaDriver } from '../src/network/store/tensorflow/nvidia-driver.ts';
import { caseName, GPU_CASES, gpu } from './gpu.bench.ts';
import { DENSE_ON_CPU, DENSE_ON_GPU, denseCaseNames, gpuDense } from './gpu-dense.bench.ts';
import { openContext } from './support/bench-context.ts';
import { describeMachine } from './support/machine.ts';
import { sectionText, writeResults } from './support/report.ts';
import type { Section } from './support/section.ts';

/**
 * Measures the engines on an NVIDIA GPU. Without one it lists what it would measure and exits with 0; with `--cpu` it
 * runs a small part on the CPU instead, which shows that the steps work; with `--dense` only the dense networks.
 *
 *     npm run bench:gpu [-- --seconds 5] [--dense] [--cpu]
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    dense: { type: 'boolean', default: false },
    cpu: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const driver = nvidiaDriver();
if (!(seconds >= 1 && seconds <= 600)) {
  console.error(`--seconds: expected a number from 1 to 600, received "${values.seconds}"`);
  process.exitCode = 2;
} else if (values.cpu) {
  console.log('On the CPU, with a small network (--cpu): these figures say nothing about a GPU.');
  await measure([gpuDense(DENSE_ON_CPU)]);
} else if (driver === null) {
  console.log('No NVIDIA GPU found (no driver in the kernel): nothing was measured. With a GPU this measures:');
  for (const name of [...GPU_CASES.map(caseName), ...denseCaseNames(DENSE_ON_GPU)]) console.log(`- ${name}`);
} else {
  await measure([...(values.dense ? [] : [gpu]), gpuDense(DENSE_ON_GPU)]);
}

async function measure(chosen: readonly Section[]): Promise<void> {
  const context = await openContext({ seconds, isQuick: values.cpu }, process.env);
  const machine = { ...describeMachine(context), nvidiaDriver: driver ?? 'none' };
  console.log(table(Object.entries(machine).map(([name, value]) => [name, String(value)])));
  const sections = [];
  for (const { id, title, run } of chosen) {
    const startedMs = performance.now();
    const result = await run(context);
    sections.push({ id, title, seconds: Math.round((performance.now() - startedMs) / 1000), result, error: null });
    console.log(sectionText(sections.at(-1)!));
    if (!isEmpty(result.data)) continue;
    console.error(`\nnothing was measured for "${title}"; its notes say why`);
    process.exitCode = 1;
  }
  const path = await writeResults({ machine, secondsPerRun: seconds, isQuick: values.cpu, sections }, false);
  console.log(`\nwritten: ${path}`);
}

function isEmpty(data: unknown): boolean {
  return Array.isArray(data) && data.length === 0;
}
