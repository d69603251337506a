import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ResultSinks } from '../src/after/sinks/result-sinks.ts';
import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { prepareModel } from '../src/frame/runtime/model/prepare-model.ts';
import { openRuntime } from '../src/frame/runtime/open-runtime.ts';
import type { Runtime } from '../src/frame/runtime/runtime.ts';
import { measureRun } from '../src/lab/measure/measure-run.ts';
import {
  type CandidateModel,
  type EngineFormat,
  type InferPart,
  PLAIN,
  partKey,
} from '../src/lab/optimize/levers/levers.ts';
import type { Configuration } from '../src/lab/optimize/result.ts';
import { scoreDetections } from '../src/network/evaluate/average-precision.ts';
import { categoryIdsOfClasses } from '../src/network/evaluate/class-categories.ts';
import type { CocoResult } from '../src/network/evaluate/coco-dataset.ts';
import { readAnnotations } from '../src/network/evaluate/coco-files.ts';
import { loadManifest } from '../src/network/store/manifests.ts';
import { packageRoot } from '../src/network/store/package-root.ts';
import { batchConfig } from '../src/settings/config/batch.ts';
import { check } from '../src/settings/config/check.ts';
import { previewConfig } from '../src/settings/config/gateway.ts';
import { modelConfig, parseInputSize } from '../src/settings/config/model-config.ts';
import { parseStream } from '../src/settings/config/parse-stream.ts';
import { type BenchContext, openContext } from './support/bench-context.ts';
import { benchStreams, OFFLINE, openBenchRuntime } from './support/bench-runtime.ts';
import { type ConfigurationTable, fixedValues, type TablePart, type TableRow } from './support/configuration-table.ts';
import { engineAlone } from './support/engine-alone.ts';
import { describeMachine } from './support/machine.ts';

/**
 * Measures every configuration of a small space, for bench/optimize-search.bench.ts:
 *
 *     npm run build && node dist/bench/optimize-table.js [--out bench/optimize-table.json] [--seconds 1.2]
 *
 * Takes about 20 minutes on two cores, which must be idle. Finished parts are kept in OUT.partial; the same command
 * goes on where it was stopped.
 */
const { values: flags } = parseArgs({
  options: {
    out: { type: 'string', default: join(packageRoot(), 'bench', 'optimize-table.json') },
    seconds: { type: 'string', default: '1.2' },
    /** Only the first parts: checks that everything works. */
    parts: { type: 'string' },
  },
});

const SIZES: Readonly<Record<string, readonly string[]>> = {
  centernet: ['512x512', '384x384'],
  'yolox-nano': ['416x416', '480x256'],
  'deimv2-femto': ['416x416'],
  'deimv2-atto': ['320x320'],
  'picodet-s': ['416x416'],
};
const FORMATS: readonly EngineFormat[] = [
  { engine: 'onnx', precision: 'f32' },
  { engine: 'openvino', precision: 'f32' },
  { engine: 'openvino', precision: 'bf16' },
];
const CORES = availableParallelism();
const THREADS = [1, CORES];
const BATCHES = [1, 4];
const RESIZERS = ['ffmpeg', 'sharp'] as const;
const DECODE_THREADS = [1, 2];
/** V8 compiles the code of every frame in the first run of the process; later runs only open ffmpeg. */
const WARM_UP_SECONDS = 0.6;
const PROBE_SECONDS = 1;
const EVAL_SCORE = 0.001;
const MAX_LOSS = 0.02;
/** Runs of the reference configuration, spread over the whole time; their spread is the noise of a run. */
const REFERENCE: InferPart = { model: 'yolox-nano', engine: 'onnx', precision: 'f32', inputSize: '416x416' };
const REFERENCE_EVERY = 2;
const FIXED = fixedValues({ maxDelayMs: 5 });
const BASELINE: Configuration = { ...PLAIN, ...FIXED };

/** What is kept between two runs of the collector. */
interface Progress {
  readonly seconds: number;
  readonly machine: ConfigurationTable['machine'];
  readonly referenceFps: number[];
  readonly done: Record<string, { part: TablePart; rows: TableRow[] } | { skipped: string }>;
}

const seconds = Number(flags.seconds);
if (!(seconds >= 0.2 && seconds <= 60))
  stop(`--seconds: expected a number from 0.2 to 60, received "${flags.seconds}"`);
const context = await openContext({ seconds, isQuick: false }, process.env);
const shared = resolve(process.env.SIGHTLINE_SHARED ?? '../shared');
const imagesDir = join(shared, 'coco-val-100');
const annotationsPath = join(imagesDir, 'instances.json');
if (!existsSync(annotationsPath))
  stop(`${annotationsPath} does not exist: SIGHTLINE_SHARED names the folder with labelled pictures`);
const annotations = await readAnnotations(annotationsPath);
const partialPath = `${flags.out}.partial`;
const machine = describeMachine(context);
const progress: Progress = existsSync(partialPath)
  ? (JSON.parse(readFileSync(partialPath, 'utf8')) as Progress)
  : { seconds, machine, referenceFps: [], done: {} };
if (progress.seconds !== seconds)
  stop(`${partialPath} has runs of ${progress.seconds} s; remove it, or give --seconds ${progress.seconds}`);

const parts = Object.entries(SIZES).flatMap(([model, sizes]) =>
  sizes.flatMap((inputSize) => FORMATS.map((format): InferPart => ({ model, ...format, inputSize }))),
);
const chosen = parts.slice(0, flags.parts === undefined ? parts.length : Number(flags.parts));
const startedMs = performance.now();
for (const [at, part] of chosen.entries()) {
  const key = partKey(part);
  if (key in progress.done) continue;
  if (at % REFERENCE_EVERY === 0) progress.referenceFps.push(await referenceFps());
  try {
    progress.done[key] = await measurePart(part, at);
  } catch (error) {
    if (!(error instanceof SightlineError)) throw error;
    progress.done[key] = { skipped: error.message.split('\n')[0]! };
    context.note(`skipped: ${key}: ${error.message.split('\n')[0]}`);
  }
  writeFileSync(partialPath, JSON.stringify(progress));
  context.note(`${at + 1} of ${chosen.length} parts, ${Math.round((performance.now() - startedMs) / 1000)} s`);
}
writeFileSync(flags.out, tableText(await tableOf(progress)));
context.note(`written: ${flags.out}`);

async function measurePart(part: InferPart, at: number): Promise<{ part: TablePart; rows: TableRow[] }> {
  const { engine, precision } = part;
  const compiled = await prepareModel(part.model, {
    engine,
    precision,
    provider: 'cpu',
    inputSize: parseInputSize(part.inputSize),
    searchPath: context.environment.modelPath,
    cacheDir: context.environment.cacheDir,
    onNotice: context.note,
  });
  const brief: BenchContext = { ...context, seconds: PROBE_SECONDS };
  const one = await engineAlone(brief, engine, compiled, { precision });
  const all = await engineAlone(brief, engine, compiled, { precision, threads: CORES });
  const rows: TableRow[] = [];
  // Fixed batches of one frame gain nothing from a larger setting, but the runtime takes it; both are run.
  for (const inferenceThreads of THREADS)
    for (const maxBatch of BATCHES) rows.push(...(await measureStreams(part, at, inferenceThreads, maxBatch)));
  return {
    part: {
      ...part,
      oneThreadMs: round(one.cpuMsPerFrame, 3),
      allThreadsMs: round(all.cpuMsPerFrame, 3),
      apByFfmpeg: round(await averagePrecision(part, 'ffmpeg'), 4),
      apBySharp: round(await averagePrecision(part, 'sharp'), 4),
    },
    rows,
  };
}

/** Runs every setting of a stream on one runtime: opening it takes longer than a run. */
async function measureStreams(part: InferPart, at: number, threads: number, maxBatch: number): Promise<TableRow[]> {
  const runtime = await openPart(part, threads, maxBatch);
  try {
    const rows: TableRow[] = [];
    // The first run of a runtime tries batch sizes and compiles code.
    await run(runtime, { resizeBy: 'ffmpeg', decodeThreads: 1 });
    for (const resizeBy of RESIZERS)
      for (const decodeThreads of DECODE_THREADS) {
        const { fps, latencyMs, cpuMsPerFrame: cpu } = await run(runtime, { resizeBy, decodeThreads });
        if (cpu === null) throw new RangeError('the collector needs /proc');
        const costs = [cpu.decode, cpu.preprocess, cpu.infer, cpu.main].map((ms) => round(ms, 3));
        const figures = [round(fps, 2), round(latencyMs.p99, 1), ...costs];
        rows.push([at, threads, maxBatch, resizeBy, decodeThreads, ...figures] as unknown as TableRow);
      }
    return rows;
  } finally {
    await runtime.stop();
  }
}

function openPart({ model: name, engine, precision, inputSize }: InferPart, threads: number, maxBatch: number) {
  return openBenchRuntime(context, { name, engine, precision, inputSize, threads }, { maxBatch });
}

async function run(runtime: Runtime, settings: Pick<Configuration, 'resizeBy' | 'decodeThreads'>) {
  const streams = await benchStreams(context, 1, { ...OFFLINE, ...settings });
  const signal = new AbortController().signal;
  return measureRun(runtime, { streams, seconds, warmUpSeconds: WARM_UP_SECONDS, signal });
}

async function referenceFps(): Promise<number> {
  const runtime = await openPart(REFERENCE, CORES, 1);
  try {
    await run(runtime, { resizeBy: 'ffmpeg', decodeThreads: 1 });
    return round((await run(runtime, { resizeBy: 'ffmpeg', decodeThreads: 1 })).fps, 2);
  } finally {
    await runtime.stop();
  }
}

async function averagePrecision(part: InferPart, resizeImagesBy: Configuration['resizeBy']): Promise<number> {
  const { model: name, engine, precision, inputSize } = part;
  const runtime = await openRuntime({
    model: check(
      modelConfig,
      { name, engine, precision, inputSize, scoreThreshold: EVAL_SCORE, classesPerBox: 'all' },
      'model',
    ),
    batch: check(batchConfig, {}, 'batch'),
    preview: check(previewConfig, {}, 'preview'),
    sinks: new ResultSinks([]),
    environment: context.environment,
    onNotice: context.note,
  });
  try {
    const { images } = annotations;
    const categoryIds = categoryIdsOfClasses(annotations, runtime.spec.classes);
    const results: CocoResult[] = [];
    let published = 0;
    runtime.published.add(({ frame, detections }) => {
      published += 1;
      for (const { classId, box, score } of detections) {
        const categoryId = categoryIds[classId];
        if (categoryId != null) results.push({ imageId: images[frame]!.id, categoryId, box: [...box], score });
      }
    });
    const config = parseStream({ id: 'eval', source: imagesDir, policy: 'file' }, {});
    const imagePaths = images.map(({ fileName }) => imagePath(fileName));
    const stream = runtime.add(config, {
      source: null,
      imagePaths,
      resizeImagesBy,
      label: imagesDir,
      policy: 'file',
      picture: null,
    });
    await stream.settled();
    if (stream.failure !== null) throw stream.failure;
    if (published !== images.length) throw new RangeError(`${published} of ${images.length} pictures have a result`);
    return scoreDetections(annotations, results).AP;
  } finally {
    await runtime.stop();
  }
}

function imagePath(fileName: string): string {
  const inFolder = join(imagesDir, 'images', fileName);
  return existsSync(inFolder) ? inFolder : join(imagesDir, fileName);
}

async function tableOf({ machine, referenceFps, done }: Progress): Promise<ConfigurationTable> {
  const measured = Object.values(done).flatMap((entry) => ('part' in entry ? [entry] : []));
  const partsOf = measured.map(({ part }) => part);
  const rows = measured.flatMap((entry, at) => entry.rows.map(([, ...rest]): TableRow => [at, ...rest]));
  const models: CandidateModel[] = [];
  for (const [name, sizes] of Object.entries(SIZES)) {
    if (!partsOf.some(({ model }) => model === name)) continue;
    const { reported } = await loadManifest(name);
    models.push({ name, inputSize: sizes[0]!, anySize: sizes.length > 1, reportedAp: reported?.ap ?? null });
  }
  const { width, height } = context.clip;
  return {
    machine,
    secondsPerRun: seconds,
    noiseRatio: round(spreadOf(referenceFps), 4),
    cores: CORES,
    picturePx: width * height,
    fixed: FIXED,
    baseline: BASELINE,
    maxLoss: MAX_LOSS,
    models,
    parts: partsOf,
    rows,
  };
}

/** Standard deviation relative to the mean. */
function spreadOf(samples: readonly number[]): number {
  const mean = samples.reduce((sum, each) => sum + each, 0) / samples.length;
  const squares = samples.reduce((sum, each) => sum + (each - mean) ** 2, 0);
  return Math.sqrt(squares / Math.max(1, samples.length - 1)) / mean;
}

/** JSON with one line for each model, part and row. */
function tableText({ models, parts, rows, ...rest }: ConfigurationTable): string {
  const list = (items: readonly unknown[]): string => `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]`;
  const head = JSON.stringify(rest, null, 1).slice(0, -2);
  return `${head},\n"models": ${list(models)},\n"parts": ${list(parts)},\n"rows": ${list(rows)}\n}\n`;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function stop(why: string): never {
  console.error(why);
  process.exit(2);
}
