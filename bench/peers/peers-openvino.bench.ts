import { findOpenvino } from '../../src/network/store/openvino/openvino-place.ts';
import { probeOpenvino } from '../../src/network/store/openvino/probe-openvino.ts';
import { toolRunner } from '../../src/network/store/wheels/run-tool.ts';
import { type BenchContext, FAST_MODEL, preparedModel, SLOW_MODEL } from '../support/bench-context.ts';
import { fps, ms } from '../support/format.ts';
import type { Section, SectionResult } from '../support/section.ts';
import { findPython } from './find-python.ts';
import {
  medians,
  type PythonRun,
  publishedWeights,
  pythonRun,
  type SideRun,
  sightlineRun,
  skipped,
} from './peers.bench.ts';

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

/** Runs both sides in turn for one detector. */
async function compareModel(
  context: BenchContext,
  python: string,
  model: string,
  precision: string,
): Promise<{ ours: SideRun[]; theirs: PythonRun[] }> {
  // The publisher has no ONNX file of CenterNet: the loop gets the compiler's.
  const weights =
    model === FAST_MODEL ? await publishedWeights(context) : (await preparedModel(context, model, 'openvino')).path;
  const ours: SideRun[] = [];
  const theirs: PythonRun[] = [];
  for (let round = 0; round < (context.isQuick ? 1 : ROUNDS); round++) {
    theirs.push(await pythonRun(context, python, SCRIPT, weights, ['--precision', precision]));
    ours.push(await sightlineRun(context, { name: model, engine: 'openvino', precision }));
  }
  return { ours, theirs };
}

async function compare(context: BenchContext, python: string, precision: string): Promise<SectionResult> {
  const cases = [];
  for (const model of [FAST_MODEL, SLOW_MODEL])
    cases.push({ model, ...(await compareModel(context, python, model, precision)) });
  const row = (name: string, side: SideRun): string[] => [
    name,
    fps(side.fps),
    ms(side.cpuMsPerFrame),
    ...[side.latencyMs.p50, side.latencyMs.p95, side.latencyMs.p99].map(ms),
  ];
  const versions = Object.entries(cases[0]!.theirs[0]!.versions).map(([name, version]) => `${name} ${version}`);
  return {
    tables: cases.map(({ model, ours, theirs }) => ({
      caption: `${model} in ${precision} over the clip, steady state, medians of ${ours.length}`,
      rows: [
        ['side', 'rate', 'CPU a frame', 'p50', 'p95', 'p99'],
        row('Sightline, file policy', medians(ours)),
        row('Python loop', medians(theirs)),
      ],
    })),
    targets: cases.flatMap(({ model, ours, theirs }): SectionResult['targets'] => {
      const [a, b] = [medians(ours), medians(theirs)];
      return [
        { what: `${model}: rate / Python`, measured: a.fps / b.fps, target: 1.2, want: 'at least', unit: '' },
        {
          what: `${model}: CPU a frame / Python`,
          measured: a.cpuMsPerFrame / b.cpuMsPerFrame,
          target: 1,
          want: 'at most',
          unit: '',
        },
      ];
    }),
    notes: [
      `Python side: ${versions.join(', ')}; AsyncInferQueue with the throughput hint, which also keeps several frames in flight.`,
    ],
    data: { cases, precision },
  };
}
