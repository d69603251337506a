import { createHash } from 'node:crypto';
import type {
  ReportInput,
  ReportMachine,
  ReportMeasurement,
  ReportTrial,
} from '../../src/lab/optimize/report/report-input.ts';
import type { Configuration, LeverId, Step } from '../../src/lab/optimize/result.ts';
import { techniquesOf } from '../../src/lab/optimize/run/report-of.ts';
import type { LossEstimate } from '../../src/network/evaluate/loss-bootstrap.ts';
import { BASELINE, BEST, CENTERNET_BF16, SKETCHES, TWO_THREADS, YOLOX_WIDE } from './sample-steps.ts';
import { sampleTrial } from './sample-trial.ts';

const MACHINE: ReportMachine = {
  cpuModel: 'Intel Xeon Platinum 8481C',
  cores: 2,
  memoryBytes: 8 * 2 ** 30,
  versions: { sightline: '0.1.0', node: '20.20.0', ffmpeg: '7.1', onnxruntime: '1.30.0', openvino: '2026.4.1' },
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

/** One camera is more than the baseline can take: the queue is full. */
const LIVE_BEFORE: ReportTrial = {
  ...sampleTrial(
    {
      fps: 19.6,
      seconds: 18,
      cpuMs: [5.3, 8.4, 45.2, 1.6],
      busy: [0.11, 0.17, 0.97, 0.04],
      rssMb: 329,
      stagesMs: {
        read: 4.1,
        decode: 6.2,
        preprocess: 8.9,
        wait: 88,
        infer: 46.1,
        postprocess: 1.9,
        track: 0.2,
        publish: 0.6,
      },
    },
    13,
  ),
  dropRatio: 0.347,
  faults: { frames: 540, decodeErrors: 0, failedInferences: 0, reconnects: 0, dropped: { 'queue-full': 187 } },
};
const LIVE_AFTER: ReportTrial = {
  ...sampleTrial(
    {
      fps: 210,
      seconds: 18,
      cpuMs: [1.3, 0.4, 5.6, 0.5],
      busy: [0.28, 0.09, 0.72, 0.1],
      rssMb: 380,
      stagesMs: {
        read: 2.2,
        decode: 2.6,
        preprocess: 0.5,
        wait: 6.4,
        infer: 7.1,
        postprocess: 0.6,
        track: 0.1,
        publish: 1.4,
      },
    },
    17,
  ),
  faults: { frames: 3780, decodeErrors: 0, failedInferences: 0, reconnects: 0, dropped: {} },
};

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function lossOf(loss: number, interval: readonly [number, number]): LossEstimate {
  return { reference: 0.6, candidate: 0.6 - loss, loss, interval, standardError: (interval[1] - interval[0]) / 4 };
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
      dependsOn: {},
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
      beside: sketch.measured === null ? null : [100, 100 * sketch.measured],
      apLoss: sketch.apLoss,
      verdict: sketch.verdict,
      isTaken: sketch.verdict === 'better',
      reason: sketch.reason,
      measurements,
    };
  });
  const best = log.add('confirm', 'offline', BEST, 58, AFTER);
  const compared = log.add('confirm', 'offline, in turn', BEST, 61, { ratio: 12.1, pairs: 5 });
  const liveBefore = log.add('confirm', 'cameras x1 at 30 fps', BASELINE, 24, LIVE_BEFORE);
  const liveAfter = log.add('confirm', 'cameras x7 at 30 fps', BEST, 24, LIVE_AFTER);
  const heldOut = log.add('quality', 'held out', BEST, 33, { ap: 0.3366, loss: -0.0031 });
  const capacityAfter = log.add('capacity', 'cameras', BEST, 74, null);
  const quality = log.add('quality', 'pictures', BEST, 11, { ap: 0.3342, loss: -0.004, resamples: 1000 });
  const of = (i: number): readonly string[] => steps[i]!.measurements;
  return {
    subject: 'cameras/gate north.yaml',
    createdAt: '2026-03-03T09:24:11.000Z',
    seconds: 1112,
    seed: 42,
    machine: MACHINE,
    byCpuTime: false,
    baseline: {
      configuration: BASELINE,
      measurement: baseline,
      targets: [
        { target: 'fps>=30', measured: 19.4, state: 'missed', reason: '19.4 of 30 frames/s' },
        { target: 'p99<=50ms', measured: BEFORE.latencyMs.p99, state: 'missed', reason: 'too many frames were late' },
        { target: 'streams>=4', measured: 0, state: 'missed', reason: 'no camera of 30 frames/s is kept up with' },
      ],
      capacity: {
        cameras: 0,
        cameraFps: 30,
        p99Ms: 412,
        target: 'p99<=50ms',
        isProven: true,
        measurements: [capacityBefore],
      },
    },
    best: {
      configuration: BEST,
      measurement: best,
      targets: [
        { target: 'fps>=30', measured: 243, state: 'met', reason: '243 of 30 frames/s' },
        { target: 'p99<=50ms', measured: AFTER.latencyMs.p99, state: 'met', reason: 'within the binomial bound' },
        { target: 'streams>=4', measured: 7, state: 'met', reason: '7 cameras' },
      ],
      capacity: {
        cameras: 7,
        cameraFps: 30,
        p99Ms: 46.2,
        target: 'p99<=50ms',
        isProven: true,
        measurements: [capacityAfter],
      },
    },
    steps,
    ended: 'done',
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
        part: 'infer',
        busyRatio: 0.93,
        explanation: 'The only inference thread is busy nearly all of the time, and frames wait 23.4 ms for it.',
        remedy: 'a faster engine or precision, a smaller network, a second thread',
        lever: 'engine',
        predictedGain: 9.6,
        measuredGain: 8.4,
        measurements: [baseline, best],
      },
      {
        part: 'preprocess',
        busyRatio: 0.17,
        explanation: 'Full pictures cross the pipe and are resized by sharp.',
        remedy: 'let ffmpeg resize before its pipe',
        lever: 'resizeBy',
        predictedGain: 1.36,
        measuredGain: 1.27,
        measurements: [baseline, ...of(9)],
      },
      {
        part: 'decode',
        busyRatio: 0.11,
        explanation: 'ffmpeg decodes in software; after the changes it takes a sixth of the CPU.',
        remedy: 'a hardware decoder, or streams at half the size from the cameras',
        lever: 'hwaccel',
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
    validity: { isValid: true, reasons: [] },
    speedup: {
      ratio: 12.1,
      interval: [11.8, 12.4],
      pairs: 5,
      beforeFps: 19.9,
      afterFps: 241,
      measurements: [compared],
    },
    skipped: null,
    identities: null,
    faster: null,
    quality: {
      search: {
        measure: 'AP',
        reference: 0.3302,
        candidate: 0.3342,
        loss: -0.004,
        interval: [-0.0153, 0.0084],
        level: 0.975,
        allowed: 0.02,
        pictures: 25,
        published: null,
        measurements: [judged, quality],
        bySize: [],
        byClass: [],
        byTag: [],
      },
      heldOut: {
        measure: 'AP',
        reference: 0.3335,
        candidate: 0.3366,
        loss: -0.0031,
        interval: [-0.0244, 0.0187],
        level: 0.99167,
        allowed: 0.02,
        pictures: 75,
        published: null,
        finalists: 3,
        measurements: [heldOut],
        bySize: [
          { size: 'small', ...lossOf(0.0121, [-0.011, 0.0352]), units: 31, objects: 120 },
          { size: 'large', ...lossOf(-0.0162, [-0.041, 0.01]), units: 60, objects: 150 },
        ],
        byClass: [
          { label: 'microwave', ...lossOf(0.57, [-0.1, 0.9]), units: 3, objects: 3 },
          { label: 'backpack', ...lossOf(0.0313, [-0.02, 0.08]), units: 14, objects: 22 },
        ],
        byTag: [{ tag: 'night', ...lossOf(0.0093, [-0.03, 0.05]), pictures: 19 }],
      },
    },
    finalists: [
      {
        configuration: BEST,
        fps: 243,
        verdict: 'passed',
        differences: [],
        measurements: [heldOut],
        reason: 'AP 0.337 against 0.334, at most 0.019 lost where 0.020 is allowed',
      },
      {
        configuration: { ...BEST, inputSize: '416x224' },
        fps: 290,
        verdict: 'inconclusive',
        differences: [],
        measurements: [],
        reason: '75 pictures do not decide, about 400 would',
      },
      {
        configuration: { ...BEST, inputSize: '352x192' },
        fps: 356,
        verdict: 'refused',
        differences: [],
        measurements: [],
        reason: 'a loss of 0.041 where 0.020 is allowed',
      },
    ],
    counts: {
      isOtherDetector: true,
      isAccepted: false,
      counts: [
        { kind: 'line', id: 'gate', reference: [26, 31], candidate: [26, 30], difference: 1, allowed: 3.1 },
        { kind: 'zone', id: 'yard', reference: [2.41], candidate: [2.38], difference: 0.03, allowed: 0.24 },
      ],
      tracks: [{ tracks: 68, kept: 66 }],
    },
    liveStages: {
      before: { cameras: 1, cameraFps: 30, measurement: liveBefore },
      after: { cameras: 7, cameraFps: 30, measurement: liveAfter },
    },
    nextBottlenecks: [
      {
        part: 'decode',
        busyRatio: 0.32,
        lever: 'hwaccel',
        predictedGain: 1.09,
        measuredGain: null,
        explanation: 'ffmpeg decodes in software.',
        remedy: 'A hardware decoder, or smaller streams from the cameras.',
        measurements: [best],
      },
      {
        part: 'infer',
        busyRatio: 0.84,
        lever: 'engine',
        predictedGain: 1.7,
        measuredGain: null,
        explanation: 'Inference takes most of the time.',
        remedy: 'A faster engine.',
        measurements: [best],
      },
    ],
    techniques: techniquesOf(steps, null),
    measurements: log.records,
    options: {
      target: 'fps>=30,p99<=50ms,streams>=4',
      cameraFps: 30,
      reportDir: 'report',
      pictureSize: '1280x720',
      annotations: 'labels/instances.json',
      images: 'labels/pictures',
      bestPath: 'report/best.yaml',
    },
    ...change,
  };
}
