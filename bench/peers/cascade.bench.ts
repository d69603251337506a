import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareEngine } from '../../src/frame/runtime/model/engine-request.ts';
import { engineAlone } from '../../src/lab/measure/engine-alone.ts';
import { OpenTrial } from '../../src/lab/measure/trial.ts';
import type { TrialResult } from '../../src/lab/measure/trial-result.ts';
import { collectOnVideo } from '../../src/lab/optimize/gate/collect-results.ts';
import { configurationOf } from '../../src/lab/optimize/levers/apply-configuration.ts';
import { stageChoices } from '../../src/lab/optimize/levers/stages-lever.ts';
import { cropMsPerFrame, cropsPerFrame, measureCrop } from '../../src/lab/optimize/run/crop-costs.ts';
import { PictureSample } from '../../src/lab/optimize/run/picture-sample.ts';
import { CostModel } from '../../src/lab/optimize/search/cost-model.ts';
import { InferTimeBook } from '../../src/lab/optimize/search/infer-times.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../../src/serve/pipeline/pipeline.ts';
import { type StageConfig, stageConfig } from '../../src/settings/config/stages.ts';
import { type BenchContext, FAST_MODEL } from '../support/bench-context.ts';
import { fps, ms } from '../support/format.ts';
import type { Section, SectionResult } from '../support/section.ts';
import { median } from './agreement.ts';
import { findPython } from './find-python.ts';
import { publishedWeights, pythonRun, skipped } from './peers.bench.ts';

const ROUNDS = 3;
const SCRIPT = 'opencv_cascade_loop.py';
const CLASSIFIER = 'vehicle-attributes-recognition-barrier-0039.onnx';
const CORES = 2;
/** Paces of the second stage, which the cost model predicts from the same parts. */
const PACES = [{ per: 'frame' }, { per: 'track', again: '1s' }, { per: 'bestOfTrack' }] as const;

/** A detector and a classifier on each object: beside the same loop in Python, and as the cost model of `optimize` predicts it. */
export const cascade: Section = {
  id: 'cascade',
  title: 'A detector and a second stage on each object',
  async run(given): Promise<SectionResult> {
    const context = given.isQuick ? { ...given, warmUpSeconds: 3 } : given;
    const classifier = join(context.sharedDir, 'tasks/models', CLASSIFIER);
    if (context.model !== FAST_MODEL || !existsSync(classifier))
      return skipped(`it needs the weights of ${FAST_MODEL} and ${classifier}`);
    const python = await findPython(context, 'onnxruntime');
    if ('missing' in python) return skipped(python.missing);
    const folder = await mkdtemp(join(tmpdir(), 'sightline-bench-'));
    try {
      const manifest = join(folder, 'vehicle-attributes.yaml');
      await writeFile(manifest, JSON.stringify(manifestOf(classifier)));
      const stageOf = (pace: object): StageConfig =>
        stageConfig.parse({ name: 'vehicle', model: { name: manifest, engine: 'onnx' }, ...pace });
      const pairs = await besidePython(context, python.path, classifier, stageOf({ per: 'frame' }));
      return resultOf(pairs, await predictions(context, stageOf));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

function manifestOf(file: string): object {
  const type = ['car', 'bus', 'truck', 'van'];
  const colour = ['white', 'gray', 'yellow', 'red', 'green', 'blue', 'black'];
  return {
    name: 'vehicle-attributes',
    family: 'heads',
    description: 'Type and colour.',
    licence: null,
    reported: null,
    format: 'onnx',
    files: [{ name: CLASSIFIER, sha256: null, sources: [`file:${file}`] }],
    input: {
      tensor: 'input',
      layout: 'nchw',
      width: 72,
      height: 72,
      colours: 'bgr',
      range: [0, 255],
      resize: { mode: 'stretch', kernel: 'linear' },
    },
    outputs: { type: 'type', color: 'color' },
    batch: 1,
    classes: [...type, ...colour],
    nmsIou: null,
    scoreThreshold: 0.3,
    maxDetections: 1,
  };
}

interface Side {
  readonly fps: number;
  readonly cropsPerFrame: number;
}

/** Runs both sides in turn. */
async function besidePython(
  context: BenchContext,
  python: string,
  classifier: string,
  stage: StageConfig,
): Promise<{ ours: Side; theirs: Side }[]> {
  const weights = await publishedWeights(context);
  const pairs: { ours: Side; theirs: Side }[] = [];
  for (let round = 0; round < (context.isQuick ? 2 : ROUNDS); round++) {
    const theirs = await pythonRun(context, python, SCRIPT, weights, ['--crops', classifier]);
    const { result, looked } = await measured(context, [stage]);
    pairs.push({
      ours: { fps: result.fps, cropsPerFrame: looked },
      theirs: { fps: theirs.fps, cropsPerFrame: (theirs as unknown as Side).cropsPerFrame },
    });
  }
  return pairs;
}

/** Full pictures and tracks in any case, so that only the crops differ. */
function pipelineOf(context: BenchContext, stages: readonly StageConfig[]): PipelineConfig {
  const stream = { id: 'clip', source: context.clip.path, policy: 'file', loop: true, track: {}, resizeBy: 'sharp' };
  const model = { name: FAST_MODEL, engine: 'onnx', precision: 'f32', scoreThreshold: 0.3 };
  const parts = { name: 'bench', description: 'A cascade.', model, streams: [stream] };
  return { ...parsePipeline(JSON.stringify(parts), 'bench'), stages: [...stages] };
}

async function measured(
  context: BenchContext,
  stages: readonly StageConfig[],
): Promise<{ result: TrialResult; looked: number }> {
  const { environment, ffmpeg, seconds, warmUpSeconds, note } = context;
  const { signal } = new AbortController();
  const setup = { pipeline: pipelineOf(context, stages), environment, ffmpeg };
  const trial = await OpenTrial.open(setup, { note, signal });
  try {
    const options = { seconds, warmUpSeconds, limitSeconds: 2 * seconds, note, signal };
    const result = await trial.measure({ kind: 'offline' }, options);
    const [report] = trial.runtime.secondStages.reports(performance.now());
    const published = result.windows.reduce((sum, { frames }) => sum + frames, 0);
    const lasted = result.windows.at(-1)!.startS + result.windows.at(-1)!.seconds;
    // Since the start, warm-up included, at the measured rate.
    const looked = (report?.looked ?? 0) / Math.max(1, result.fps * lasted);
    return { result, looked: published === 0 ? 0 : looked };
  } finally {
    await trial.close();
  }
}

interface Prediction {
  readonly stages: string;
  readonly cropsPerFrame: number;
  readonly predictedFps: number;
  readonly fps: number;
  readonly predictedCpuMs: number;
  readonly cpuMs: number;
}

/** What the cost model says of each pace, from a run without crops and the time of one crop alone. */
async function predictions(context: BenchContext, stageOf: (pace: object) => StageConfig): Promise<Prediction[]> {
  const { environment, ffmpeg, note, clip } = context;
  const { signal } = new AbortController();
  const none = pipelineOf(context, []);
  const [stream] = none.streams;
  const sample = { path: clip.path, startUs: 0, durationUs: 10e6, frames: 100 };
  const pictures = await PictureSample.of(ffmpeg, [sample], signal);
  const alone = async (model: PipelineConfig['model'], threads: number): Promise<number> => {
    const request = await prepareEngine({ model, batch: none.batch, environment, onNotice: note }, 'onnx');
    const run = await engineAlone(request, await pictures.fittedTo(request.model.spec), { seconds: 2, threads });
    return run.cpuMsPerFrame;
  };
  const times = new InferTimeBook();
  const baseline = configurationOf(none, {
    engine: 'onnx',
    precision: 'f32',
    inputSize: '480x256',
    inferenceThreads: CORES,
    lanes: 1,
    resizeBy: 'sharp',
  });
  times.add(baseline, {
    oneThreadMs: await alone(none.model, 1),
    allThreadsMs: await alone(none.model, CORES),
  });
  const { model, batch, lanes } = none;
  const results = await collectOnVideo({ model, batch, lanes, environment, ffmpeg, onNotice: note }, stream!);
  const vehicle = stageOf({});
  const engine = await prepareEngine({ model: vehicle.model, batch, environment, onNotice: note }, 'onnx');
  const options = { seconds: 2, threads: CORES };
  const cropMs = new Map([['vehicle', await measureCrop(vehicle, engine, results, pictures, stream!, options)]]);
  await pictures.close();
  const shape = { cores: CORES, streams: 1, picturePx: 960 * 540, isOnGpu: false };
  const costs = new CostModel(
    {
      ...shape,
      decodedRatio: { all: 1, reference: 1, key: 1 },
      cropMs: ({ stages: [choice] }) =>
        choice === undefined
          ? 0
          : cropMsPerFrame(results, [stageOf({ per: choice.per, again: choice.again })], stream!, 1, cropMs),
    },
    times,
  );
  const { result: own } = await measured(context, []);
  const trial = { p99Ms: own.latencyMs.p99, meetsTargets: true, measurements: [] };
  costs.learn(baseline, { fps: own.fps, cpuMsPerFrame: own.cpuMsPerFrame, ...trial });
  const found: Prediction[] = [];
  for (const pace of PACES) {
    const [stage, stages] = [stageOf(pace), JSON.stringify(pace)];
    const { result } = await measured(context, [stage]);
    const to = { ...baseline, stages: stageChoices([stage]) };
    found.push({
      stages,
      cropsPerFrame: cropsPerFrame(results, [stage], stream!, 1).get('vehicle')!,
      predictedFps: own.fps * costs.gain(baseline, to),
      fps: result.fps,
      predictedCpuMs: (own.cpuMsPerFrame?.total ?? Number.NaN) + costs.costs(to).crops,
      cpuMs: result.cpuMsPerFrame?.total ?? Number.NaN,
    });
  }
  return found;
}

function resultOf(pairs: readonly { ours: Side; theirs: Side }[], found: readonly Prediction[]): SectionResult {
  const percent = (predicted: number, value: number): string => `${((predicted / value - 1) * 100).toFixed(1)} %`;
  const worst = Math.max(...found.map(({ predictedCpuMs, cpuMs }) => Math.abs(predictedCpuMs / cpuMs - 1)));
  return {
    tables: [
      {
        caption: 'each object of each frame, at most 8: pairs of runs in turn',
        rows: [
          ['Sightline', 'Python loop', 'ratio', 'crops a frame', 'Python'],
          ...pairs.map(({ ours, theirs }) => [
            ...[fps(ours.fps), fps(theirs.fps), (ours.fps / theirs.fps).toFixed(2)],
            ...[ours.cropsPerFrame.toFixed(2), theirs.cropsPerFrame.toFixed(2)],
          ]),
        ],
      },
      {
        caption: 'predicted from a run without crops and one crop alone',
        rows: [
          ['second stage', 'crops a frame', 'predicted', 'measured', 'off', 'CPU predicted', 'CPU measured', 'off'],
          ...found.map(({ stages, cropsPerFrame: crops, ...each }) => [
            ...[stages, crops.toFixed(2), fps(each.predictedFps), fps(each.fps), percent(each.predictedFps, each.fps)],
            ...[ms(each.predictedCpuMs), ms(each.cpuMs), percent(each.predictedCpuMs, each.cpuMs)],
          ]),
        ],
      },
    ],
    targets: [
      {
        what: 'rate of Sightline / Python, median of the pairs',
        measured: median(pairs.map(({ ours, theirs }) => ours.fps / theirs.fps)),
        target: 1.5,
        want: 'at least',
        unit: '',
      },
      { what: 'largest error of the CPU of a cascade', measured: worst, target: 0.1, want: 'at most', unit: '' },
    ],
    notes: ['Rates depend on what else runs on the machine; the CPU time of a frame hardly does.'],
    data: { pairs, found },
  };
}
