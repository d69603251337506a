import { PLAIN } from '../../src/lab/optimize/levers/levers.ts';
import type { Configuration, StepVerdict } from '../../src/lab/optimize/result.ts';

export const BASELINE: Configuration = PLAIN;

/** Another value of each lever than the plain one; the types demand that of a new lever. */
export const OTHER_VALUES: Configuration = {
  model: 'other',
  engine: 'openvino',
  precision: 'bf16',
  inputSize: '416x416',
  inferenceThreads: 2,
  lanes: 2,
  decodeThreads: 2,
  maxBatch: 4,
  maxDelayMs: 20,
  resizeBy: 'ffmpeg',
  hwaccel: 'cuda',
  decode: 'key',
  skipUnchanged: true,
  trackBetween: 3,
  stages: [{ name: 'colour', model: 'm.yaml', per: 'track', again: undefined }],
};

export const BEST: Configuration = {
  ...BASELINE,
  model: 'yolox-nano',
  engine: 'openvino',
  precision: 'bf16',
  inputSize: '480x256',
  inferenceThreads: 2,
  resizeBy: 'ffmpeg',
};

interface StepSketch {
  readonly change: Partial<Configuration>;
  readonly on: Configuration;
  readonly predicted: number;
  readonly measured: number | null;
  readonly apLoss: number | null;
  readonly verdict: StepVerdict;
  readonly reason: string;
  /** Frames per second of the trial relative to the baseline. */
  readonly rate?: number;
}

export const CENTERNET_BF16: Configuration = { ...BASELINE, engine: 'openvino', precision: 'bf16' };
const YOLOX_416: Configuration = { ...CENTERNET_BF16, model: 'yolox-nano', inputSize: '416x416' };
export const YOLOX_WIDE: Configuration = { ...YOLOX_416, inputSize: '480x256' };
export const TWO_THREADS: Configuration = { ...YOLOX_WIDE, inferenceThreads: 2 };

/** Every kind of verdict, in the order in which a search would meet them. */
export const SKETCHES: readonly StepSketch[] = [
  {
    on: BASELINE,
    change: { engine: 'openvino' },
    predicted: 1.05,
    measured: 1.04,
    apLoss: 0.0002,
    verdict: 'better',
    reason: 'the interval is above 1.02',
    rate: 1.04,
  },
  {
    on: { ...BASELINE, engine: 'openvino' },
    change: { precision: 'bf16' },
    predicted: 1.72,
    measured: 1.65,
    apLoss: 0.0011,
    verdict: 'better',
    reason: 'the CPU computes bf16 natively',
    rate: 1.72,
  },
  {
    on: CENTERNET_BF16,
    change: { precision: 'int8' },
    predicted: 1.08,
    measured: null,
    apLoss: 0.0308,
    verdict: 'refused',
    reason: 'the estimated loss is beyond the allowance',
  },
  {
    on: CENTERNET_BF16,
    change: { model: 'yolox-nano' },
    predicted: 2.94,
    measured: 2.71,
    apLoss: -0.0061,
    verdict: 'better',
    reason: 'less work and a higher AP',
    rate: 4.6,
  },
  {
    on: CENTERNET_BF16,
    change: { model: 'deimv2-atto' },
    predicted: 4.1,
    measured: 3.9,
    apLoss: 0.0277,
    verdict: 'refused',
    reason: 'fast, but the loss is beyond the allowance',
    rate: 6.7,
  },
  {
    on: CENTERNET_BF16,
    change: { model: 'picodet-s' },
    predicted: 2.7,
    measured: 2.52,
    apLoss: -0.0474,
    verdict: 'better',
    reason: 'faster and more accurate than the baseline',
    rate: 4.3,
  },
  {
    on: YOLOX_416,
    change: { inputSize: '480x256' },
    predicted: 1.38,
    measured: 1.46,
    apLoss: 0.0034,
    verdict: 'better',
    reason: 'the shape of the stream, without padding',
    rate: 6.8,
  },
  {
    on: YOLOX_WIDE,
    change: { inputSize: '320x192' },
    predicted: 1.62,
    measured: null,
    apLoss: 0.0812,
    verdict: 'refused',
    reason: 'small objects are lost',
  },
  {
    on: YOLOX_WIDE,
    change: { inferenceThreads: 2 },
    predicted: 1.52,
    measured: 1.44,
    apLoss: 0,
    verdict: 'better',
    reason: 'the second core was idle',
    rate: 9.8,
  },
  {
    on: TWO_THREADS,
    change: { resizeBy: 'ffmpeg' },
    predicted: 1.36,
    measured: 1.27,
    apLoss: 0.0042,
    verdict: 'better',
    reason: 'nine times fewer bytes cross the pipe',
    rate: 12.4,
  },
  {
    on: BEST,
    change: { lanes: 2 },
    predicted: 1.01,
    measured: 1.006,
    apLoss: 0,
    verdict: 'inconclusive',
    reason: 'the interval spans 1',
    rate: 12.5,
  },
  {
    on: BEST,
    change: { maxBatch: 4 },
    predicted: 1,
    measured: 0.96,
    apLoss: 0,
    verdict: 'worse',
    reason: 'throughput does not grow with the batch on this CPU',
    rate: 12,
  },
  {
    on: BEST,
    change: { decodeThreads: 2 },
    predicted: 0.99,
    measured: null,
    apLoss: null,
    verdict: 'ruled-out',
    reason: 'its ceiling is below the best that was measured',
  },
];
