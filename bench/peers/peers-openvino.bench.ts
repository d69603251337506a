import { findOpenvino } from '../../src/store/openvino/openvino-place.ts';
import { probeOpenvino } from '../../src/store/openvino/probe-openvino.ts';
import { toolRunner } from '../../src/store/wheels/run-tool.ts';
import { type BenchContext, FAST_MODEL } from '../support/bench-context.ts';
import { fps, ms } from '../support/format.ts';
import type { Section, SectionResult } from '../support/section.ts';
import { findPython } from './find-python.ts';
import { medians, type PythonRun, pythonRun, type SideRun, sightlineRun, skipped } from './peers.bench.ts';

const ROUNDS = 3;
const SCRIPT = 'opencv_openvino_loop.py';

/** Compares Sightline on OpenVINO with the loop that a Python user with an Intel CPU would write, at the same precision. */
export const peersOpenvino: Section = {
  id: 'peers-openvino',
  title: 'Compared with a Python loop of OpenCV and OpenVINO',
  async run(context): Promise<SectionResult> {
    const place = findOpenvino(context.environment);
    if (place === null) return skipped('engine openvino is not set up: npm run setup:openvino');
    if (context.model !== FAST_MODEL)
      return skipped(`it needs the weights of ${FAST_MODEL}: sightline models pull ${FAST_MODEL}`);
    const python = await findPython(context, 'openvino');
    if ('missing' in python) return skipped(python.missing);
    const { devices } = await probeOpenvino(place.libraryPath, toolRunner(new AbortController().signal));
    const isNative = devices.some(({ name, capabilities }) => name === 'CPU' && capabilities.includes('BF16'));
    return compare(context, python.path, isNative ? 'bf16' : 'f32');
  },
};

async function compare(context: BenchContext, python: string, precision: string): Promise<SectionResult> {
  const ours: SideRun[] = [];
  const theirs: PythonRun[] = [];
  for (let round = 0; round < (context.isQuick ? 1 : ROUNDS); round++) {
    theirs.push(await pythonRun(context, python, SCRIPT, ['--precision', precision]));
    ours.push(await sightlineRun(context, { engine: 'openvino', precision }));
  }
  const [a, b] = [medians(ours), medians(theirs)];
  const row = (name: string, side: SideRun): string[] => [
    name,
    fps(side.fps),
    ms(side.cpuMsPerFrame),
    ...[side.latencyMs.p50, side.latencyMs.p95, side.latencyMs.p99].map(ms),
  ];
  const versions = Object.entries(theirs[0]!.versions).map(([name, version]) => `${name} ${version}`);
  return {
    tables: [
      {
        caption: `${FAST_MODEL} in ${precision} over the clip, steady state, medians of ${ours.length}`,
        rows: [
          ['side', 'rate', 'CPU a frame', 'p50', 'p95', 'p99'],
          row('Sightline, file policy', a),
          row('Python loop', b),
        ],
      },
    ],
    targets: [],
    notes: [
      `Sightline / Python: rate ${(a.fps / b.fps).toFixed(2)}, CPU a frame ${(a.cpuMsPerFrame / b.cpuMsPerFrame).toFixed(2)}.`,
      `Python side: ${versions.join(', ')}; AsyncInferQueue with the throughput hint, which also keeps several frames in flight.`,
    ],
    data: { ours, theirs, precision },
  };
}
