import {
  type ConfigurationTable,
  fixedValues,
  type TablePart,
  type TableRow,
} from '../../bench/support/configuration-table.ts';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import { type CandidateModel, type EngineFormat, PLAIN } from '../../src/lab/optimize/levers/levers.ts';
import { simulatePipeline } from './pipeline-simulation.ts';

/** CPU milliseconds of a frame, from measurements on two cores with AMX: onnx f32, onnx f16, openvino f32, openvino bf16. */
const TIMES: Readonly<Record<string, readonly [number, number, number, number]>> = {
  centernet: [38.6, 41, 41, 23.4],
  'yolox-nano': [11.9, 12.8, 14.9, 9.5],
  'deimv2-femto': [21, 22.5, 19.6, 9],
  'deimv2-atto': [12.7, 13.4, 9.3, 4.7],
  'picodet-s': [30.9, 32, 14.7, 7.8],
  'nanodet-m': [21, 22, 26, 19],
};
const AP: Readonly<Record<string, number>> = {
  centernet: 0.3302,
  'yolox-nano': 0.3377,
  'deimv2-femto': 0.374,
  'deimv2-atto': 0.3122,
  'picodet-s': 0.3765,
  'nanodet-m': 0.294,
};
const SIZES: Readonly<Record<string, readonly string[]>> = {
  centernet: ['512x512', '384x384', '512x288', '320x320'],
  'yolox-nano': ['416x416', '320x320', '480x256', '416x256'],
  'deimv2-femto': ['416x416'],
  'deimv2-atto': ['320x320'],
  'picodet-s': ['416x416'],
  'nanodet-m': ['416x416'],
};
const FORMATS: readonly EngineFormat[] = [
  { engine: 'onnx', precision: 'f32' },
  { engine: 'onnx', precision: 'f16' },
  { engine: 'openvino', precision: 'f32' },
  { engine: 'openvino', precision: 'bf16' },
];
const CORES = 2;
const DECODE_MS = 2.4;
const MAIN_MS = 0.35;
const SHARP_MS = 2.6;

/**
 * A table that was not measured: each configuration is simulated frame by frame with inference times as above, and has a fixed deviation
 * from that.
 *
 * @param seed - of the deviations.
 * @param frozenNoise - standard deviation of a run's tabulated rate from its formula.
 */
export function madeTable(seed: number, frozenNoise = 0.02): ConfigurationTable {
  const random = seededRandom(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const parts: TablePart[] = [];
  const rows: TableRow[] = [];
  for (const [model, times] of Object.entries(TIMES)) {
    const published = area(SIZES[model]![0]!);
    for (const inputSize of SIZES[model]!)
      for (const [i, format] of FORMATS.entries()) {
        const ratio = area(inputSize) / published;
        const allThreadsMs = times[i]! * ratio * Math.exp(normal() * 0.03);
        const ap = AP[model]! * ratio ** 0.22 - (format.precision === 'bf16' ? 0.001 : 0);
        parts.push({
          model,
          ...format,
          inputSize,
          allThreadsMs,
          oneThreadMs: allThreadsMs * 0.85,
          apBySharp: ap,
          apByFfmpeg: ap - 0.003,
        });
        rows.push(...rowsOf(parts.length - 1, allThreadsMs, area(inputSize), () => Math.exp(normal() * frozenNoise)));
      }
  }
  const models: CandidateModel[] = Object.keys(TIMES).map((name) => ({
    name,
    inputSize: SIZES[name]![0]!,
    anySize: SIZES[name]!.length > 1,
    reportedAp: AP[name]!,
  }));
  const fixed = fixedValues({ maxDelayMs: 5 });
  return {
    machine: { cpu: 'made' },
    secondsPerRun: 2,
    noiseRatio: 0.03,
    cores: CORES,
    picturePx: 960 * 540,
    fixed,
    maxLoss: 0.02,
    models,
    parts,
    rows,
    baseline: { ...PLAIN, ...fixed },
  };
}

function rowsOf(part: number, inferMs: number, pixels: number, deviation: () => number): TableRow[] {
  const rows: TableRow[] = [];
  for (const threads of [1, 2])
    for (const maxBatch of [1, 4])
      for (const resizeBy of ['ffmpeg', 'sharp'] as const)
        for (const decodeThreads of [1, 2]) {
          const preprocess = resizeBy === 'sharp' ? SHARP_MS : 0.1 + pixels * 2e-6;
          const costs = { decodeMs: DECODE_MS, preprocessMs: preprocess, inferMs: inferMs * 0.9, mainMs: MAIN_MS };
          const shape = { cores: CORES, inferenceThreads: threads, decodeThreads, maxBatch };
          const { fps: simulated, p99Ms } = simulatePipeline({ ...costs, ...shape });
          const fps = simulated * deviation();
          const [decode, infer] = [DECODE_MS, inferMs * (threads === 1 ? 0.9 : 1)];
          rows.push([part, threads, maxBatch, resizeBy, decodeThreads, fps, p99Ms, decode, preprocess, infer, MAIN_MS]);
        }
  return rows;
}

function area(size: string): number {
  const [width, height] = size.split('x').map(Number);
  return width! * height!;
}
