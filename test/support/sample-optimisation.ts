import { createHash } from 'node:crypto';
import type {
  ReportInput,
  ReportMachine,
  ReportMeasurement,
  ReportTrial,
} from '../../src/optimize/report/report-input.ts';
import type { Configuration, LeverId, Step, StepVerdict } from '../../src/optimize/result.ts';
import { LEVER_WORDS } from './sample-levers.ts';
import { sampleTrial } from './sample-trial.ts';

const MACHINE: ReportMachine = {
  cpuModel: 'Intel Xeon Platinum 8481C',
  cores: 2,
  memoryBytes: 8 * 2 ** 30,
  versions: { sightline: '0.1.0', node: '20.20.0', ffmpeg: '7.1', onnxruntime: '1.30.0', openvino: '2026.4.1' },
};

const BASELINE: Configuration = {
  model: 'centernet',
  engine: 'onnx',
  precision: 'f32',
  inputSize: '512x512',
  inferenceThreads: 1,
  lanes: 1,
  decodeThreads: 1,
  maxBatch: 1,
  maxDelayMs: 0,
  resizeBy: 'sharp',
  hwaccel: 'none',
  skipUnchanged: false,
  trackBetween: 1,
};

const BEST: Configuration = {
  ...BASELINE,
  model: 'yolox-nano',
  engine: 'openvino',
  precision: 'bf16',
  inputSize: '480x256',
  inferenceThreads: 2,
  resizeBy: 'ffmpeg',
};

const BEFORE = sampleTrial(
  {
    fps: 19.4,
    seconds: 24,
    stagesMs: {
      read: 0.8,
      decode: 6.2,
      preprocess: 8.9,
      wait: 23.4,
      infer: 46.1,
      postprocess: 1.9,
      track: 0.2,
      publish: 0.6,
      unaccounted: 0.9,
    },
    cpuMs: [5.3, 8.4, 45.2, 1.6],
    busy: [0.11, 0.17, 0.93, 0.04],
    discarded: 2,
    rssMb: 329,
  },
  7,
);

const AFTER = sampleTrial(
  {
    fps: 243,
    seconds: 24,
    stagesMs: {
      read: 0.3,
      decode: 1.6,
      preprocess: 0.5,
      wait: 2.4,
      infer: 6.7,
      postprocess: 0.6,
      track: 0.1,
      publish: 0.4,
      unaccounted: 0.2,
    },
    cpuMs: [1.3, 0.4, 5.6, 0.5],
    busy: [0.32, 0.1, 0.84, 0.12],
    rssMb: 371,
  },
  11,
);

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

class Log {
  readonly records: ReportMeasurement[] = [];

  add(
    kind: string,
    scenario: string,
    configuration: Configuration,
    seconds: number,
    result: ReportMeasurement['result'],
  ): string {
    const number = this.records.length + 1;
    const id = `m${String(number).padStart(3, '0')}`;
    this.records.push({
      id,
      kind,
      configHash: hashOf(JSON.stringify(configuration)),
      modelHash: hashOf(configuration.model),
      configuration,
      scenario,
      startedAt: new Date(Date.UTC(2026, 2, 3, 9, 0, number * 20)).toISOString(),
      seconds,
      machine: MACHINE,
      result,
      error: null,
    });
    return id;
  }
}

/** A trial of a step, quicker than the baseline by some factor. */
function scaled(factor: number, seed: number): ReportTrial {
  const stagesMs = Object.fromEntries(Object.entries(BEFORE.stagesMs).map(([name, time]) => [name, time / factor]));
  return sampleTrial(
    {
      fps: BEFORE.fps * factor,
      seconds: 6,
      stagesMs,
      cpuMs: [5.3 / factor, 8.4 / factor, 45.2 / factor, 1.6 / factor],
      busy: [0.2, 0.2, 0.9, 0.06],
      rssMb: 340,
    },
    seed,
  );
}

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

const CENTERNET_BF16: Configuration = { ...BASELINE, engine: 'openvino', precision: 'bf16' };
const YOLOX_416: Configuration = { ...CENTERNET_BF16, model: 'yolox-nano', inputSize: '416x416' };
const YOLOX_WIDE: Configuration = { ...YOLOX_416, inputSize: '480x256' };
const TWO_THREADS: Configuration = { ...YOLOX_WIDE, inferenceThreads: 2 };

const SKETCHES: readonly StepSketch[] = [
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

/**
 * A finished optimisation as it looks on two cores with AMX: plausible figures, every kind of verdict, everything filled in.
 * `change` may replace any part.
 */
export function sampleOptimisation(change: Partial<ReportInput> = {}): ReportInput {
  const log = new Log();
  const baseline = log.add('baseline', 'offline', BASELINE, 31, BEFORE);
  const judged = log.add('quality', 'pictures', BASELINE, 14, { ap: 0.3302, pictures: 100 });
  log.add('engine', 'one call', { ...BASELINE, engine: 'openvino' }, 4.1, { msPerFrame: 43.5, threads: 1 });
  log.add('probe', 'one call', CENTERNET_BF16, 3.8, { msPerFrame: 24.9, threads: 1 });
  const capacityBefore = log.add('capacity', 'cameras', BASELINE, 62, null);
  const steps = SKETCHES.map((sketch, i): Step => {
    const [lever, to] = Object.entries(sketch.change)[0] as [LeverId, string | number];
    const configuration = { ...sketch.on, ...sketch.change };
    const measurements = [
      ...(sketch.rate === undefined
        ? []
        : [log.add('trial', 'offline', configuration, 12.4, scaled(sketch.rate, 20 + i))]),
      ...(sketch.apLoss === null || sketch.apLoss === 0
        ? []
        : [log.add('quality', 'pictures', configuration, 9.2, { ap: 0.3302 - sketch.apLoss, loss: sketch.apLoss })]),
    ];
    return {
      lever,
      from: String(sketch.on[lever]),
      to: String(to),
      predictedGain: sketch.predicted,
      measuredGain: sketch.measured,
      interval: sketch.measured === null ? null : [sketch.measured * 0.984, sketch.measured * 1.017],
      apLoss: sketch.apLoss,
      verdict: sketch.verdict,
      isTaken: sketch.verdict === 'better',
      reason: sketch.reason,
      measurements,
    };
  });
  const best = log.add('confirm', 'offline', BEST, 58, AFTER);
  const capacityAfter = log.add('capacity', 'cameras', BEST, 74, null);
  const quality = log.add('quality', 'pictures', BEST, 11, { ap: 0.3342, loss: -0.004, resamples: 1000 });
  const of = (i: number): readonly string[] => steps[i]!.measurements;
  return {
    subject: 'cameras/gate north.yaml',
    createdAt: '2026-03-03T09:24:11.000Z',
    seconds: 1112,
    seed: 42,
    machine: MACHINE,
    baseline: {
      configuration: BASELINE,
      measurement: baseline,
      targets: [
        { target: 'fps>=30', measured: 19.4, state: 'missed', reason: '19.4 of 30 frames/s' },
        { target: 'p99<=50ms', measured: BEFORE.latencyMs.p99, state: 'missed', reason: 'too many frames were late' },
        { target: 'streams>=4', measured: 0, state: 'missed', reason: 'no camera of 30 frames/s is kept up with' },
      ],
      capacity: { cameras: 0, cameraFps: 30, p99Ms: 412, target: 'p99<=50ms', measurements: [capacityBefore] },
    },
    best: {
      configuration: BEST,
      measurement: best,
      targets: [
        { target: 'fps>=30', measured: 243, state: 'met', reason: '243 of 30 frames/s' },
        { target: 'p99<=50ms', measured: AFTER.latencyMs.p99, state: 'met', reason: 'within the binomial bound' },
        { target: 'streams>=4', measured: 7, state: 'met', reason: '7 cameras' },
      ],
      capacity: { cameras: 7, cameraFps: 30, p99Ms: 46.2, target: 'p99<=50ms', measurements: [capacityAfter] },
    },
    steps,
    refusals: [
      {
        configuration: { ...CENTERNET_BF16, precision: 'int8' },
        reason: 'the estimated loss of 0.031 is beyond the 0.020 that are allowed',
        loss: 0.0308,
        upperBound: 0.0418,
        allowed: 0.02,
        measurements: of(2),
      },
      {
        configuration: { ...CENTERNET_BF16, model: 'deimv2-atto', inputSize: '320x320' },
        reason: 'the estimated loss of 0.028 is beyond the 0.020 that are allowed',
        loss: 0.0277,
        upperBound: 0.0391,
        allowed: 0.02,
        measurements: of(4),
      },
      {
        configuration: { ...YOLOX_WIDE, inputSize: '320x192' },
        reason: 'the estimated loss of 0.081 is beyond the 0.020 that are allowed; small objects lose most',
        loss: 0.0812,
        upperBound: 0.0985,
        allowed: 0.02,
        measurements: of(7),
      },
    ],
    bottlenecks: [
      {
        part: 'inference',
        busyRatio: 0.93,
        explanation: 'The only inference thread is busy nearly all of the time, and frames wait 23.4 ms for it.',
        remedy: 'a faster engine or precision, a smaller network, a second thread',
        predictedGain: 9.6,
        measuredGain: 8.4,
        measurements: [baseline, best],
      },
      {
        part: 'preprocessing',
        busyRatio: 0.17,
        explanation: 'Full pictures cross the pipe and are resized by sharp.',
        remedy: 'let ffmpeg resize before its pipe',
        predictedGain: 1.36,
        measuredGain: 1.27,
        measurements: [baseline, ...of(9)],
      },
      {
        part: 'decoding',
        busyRatio: 0.11,
        explanation: 'ffmpeg decodes in software; after the changes it takes a sixth of the CPU.',
        remedy: 'a hardware decoder, or streams at half the size from the cameras',
        predictedGain: 1.12,
        measuredGain: null,
        measurements: [baseline],
      },
    ],
    pareto: [
      {
        configuration: { ...CENTERNET_BF16, model: 'picodet-s', inputSize: '416x416' },
        ap: 0.3776,
        fps: 83.4,
        p99Ms: 31.8,
        cpuMsPerFrame: 12.7,
        measurements: of(5),
      },
      { configuration: YOLOX_WIDE, ap: 0.3384, fps: 132, p99Ms: 18.4, cpuMsPerFrame: 10.8, measurements: of(6) },
      { configuration: TWO_THREADS, ap: 0.3384, fps: 190, p99Ms: 19.9, cpuMsPerFrame: 10.4, measurements: of(8) },
      {
        configuration: BEST,
        ap: 0.3342,
        fps: 243,
        p99Ms: AFTER.latencyMs.p99,
        cpuMsPerFrame: 7.8,
        measurements: [best, quality],
      },
    ],
    skipped: null,
    quality: {
      kind: 'ap',
      baseline: 0.3302,
      best: 0.3342,
      loss: -0.004,
      interval: [-0.0153, 0.0084],
      allowed: 0.02,
      pictures: 100,
      bySize: { small: 0.0121, medium: -0.0034, large: -0.0162 },
      byClass: [
        { label: 'backpack', loss: 0.0313 },
        { label: 'handbag', loss: 0.0228 },
        { label: 'bicycle', loss: 0.0105 },
      ],
      measurements: [judged, quality],
    },
    levers: LEVER_WORDS,
    loadTests: [],
    measurements: log.records,
    options: {
      target: 'fps>=30,p99<=50ms,streams>=4',
      hostPrice: { amount: 48, currency: 'EUR' },
      headroomRatio: 0.2,
      cameraFps: 30,
      ...{ reportDir: 'report', pictureSize: '1280x720' },
      annotations: 'labels/instances.json',
      images: 'labels/pictures',
      bestPath: 'report/best.yaml',
    },
    ...change,
  };
}
