import { availableParallelism } from 'node:os';
import type { CompiledModel, ModelSpec } from '../src/base/core/model.ts';
import { PICTURE_FIT } from '../src/base/geometry/placement.ts';
import { configureSharp, SharpPreprocessor } from '../src/frame/preprocess/sharp-preprocessor.ts';
import type { Measurement } from '../src/lab/measure/measure-run.ts';
import { findOpenvino } from '../src/network/store/openvino/openvino-place.ts';
import { type BenchContext, preparedModel, SLOW_MODEL } from './support/bench-context.ts';
import { benchStreams, measureOnce, OFFLINE } from './support/bench-runtime.ts';
import { decodeAlone, grabFrames } from './support/clip.ts';
import { engineAlone } from './support/engine-alone.ts';
import { fps, ms, percentileCells, stageRows } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

/** CPU milliseconds per frame of each stage when nothing else runs. */
interface Alone {
  readonly decode: number;
  readonly preprocess: number;
  /** On as many threads as in the pipeline, because they share caches and memory bandwidth there too. */
  readonly infer: number;
  /** On one thread, with the other cores idle. */
  readonly inferOneThread: number;
}

/** A measured variant: the detector, what makes its input, and the engine. */
interface Case {
  readonly model: string;
  readonly isSharp: boolean;
  readonly engine: 'onnx' | 'openvino';
}

/** One run of the pipeline, with the cost of the stages alone right before and after it. */
interface Round {
  readonly alone: Alone;
  readonly ceilingFps: number;
  readonly measured: Measurement;
  readonly ratio: number;
  /** Ratio to the ceiling from inference with all other cores idle, which parallel threads cannot reach. */
  readonly oneThreadRatio: number;
}

interface Variant extends Round {
  readonly name: string;
  readonly streams: number;
  /** All rounds in order; the other fields are those of the round with the median ratio. */
  readonly rounds: readonly Round[];
}

/**
 * On a shared machine the load changes within a minute, so the stages alone and the pipeline are measured alternately, each for
 * half the time of other sections, and the median of this many rounds is reported.
 */
const ROUNDS = 5;
const ROUND_RATIO = 0.5;
/**
 * With a fast detector V8 takes about ten seconds to compile the code that runs for every frame, on cores that are all busy. Files
 * worth measuring are longer; the report also has the rate during the warm-up.
 */
const WARM_UP_SECONDS = 12;
const SHARP_FRAMES = 20;
/** Equal for all engines, so that only the engines differ. */
const PRECISION = 'f32';
/** An ffmpeg process decodes on one thread and should not be busier than this; on many cores several streams are started. */
const DECODER_BUSY_RATIO = 0.5;

/** The fast detector with both ways to make the input, since the other stages weigh most there; and the default detector. */
function casesFor({ model, environment }: BenchContext): Case[] {
  const slow = { model: SLOW_MODEL, isSharp: false };
  const cases: Case[] = [false, true].map((isSharp) => ({ model, isSharp, engine: 'onnx' }));
  if (model !== SLOW_MODEL) cases.push({ ...slow, engine: 'onnx' });
  return findOpenvino(environment) === null ? cases : [...cases, { ...slow, engine: 'openvino' }];
}

/** Compares the pipeline's throughput with its ceiling: every core busy with decoding, resizing and inference only. */
export const throughput: Section = {
  id: 'throughput',
  title: 'Offline throughput compared with its ceiling',
  async run(context): Promise<SectionResult> {
    const variants: Variant[] = [];
    for (const one of casesFor(context)) variants.push(await measureVariant(context, one));
    return {
      tables: [
        aloneTable(variants),
        ...variants.map(({ name, measured }) => ({
          caption: `${name}: the stages over the same ${measured.seconds.toFixed(0)} s`,
          rows: stageRows(measured.cpuMsPerFrame, measured.busyRatio),
        })),
        {
          caption: 'latency, captured to published (includes waiting: the queue is kept full)',
          rows: [
            ['variant', 'p50', 'p95', 'p99', 'max'],
            ...variants.map(({ name, measured }) => [name, ...percentileCells(measured.latencyMs)]),
          ],
        },
      ],
      targets: variants.map(({ name, ratio }) => ({
        what: `throughput / ceiling, ${name}`,
        measured: ratio,
        target: 0.9,
        want: 'at least',
        unit: '',
      })),
      notes: [
        'ceiling = cores / (CPU of decode alone + preprocess alone + inference alone), each per frame of the same clip, each on as many threads as the pipeline gives it. Threads of inference share caches and memory bandwidth, so each frame costs more than on one thread with the other cores idle; "one thread" is the ratio to the ceiling computed with this lower cost.',
        `The measurement starts after ${WARM_UP_SECONDS} s: until then ffmpeg opens, batch sizes are tried, and V8 compiles the code that runs for every frame.`,
        'If the model is the only consumer of pixels, ffmpeg makes its input, so preprocess alone is 0; reading the pipe is part of the overhead in the ratio.',
        'busy is the share of its own capacity that each stage used: decode and preprocess of all cores, infer of its threads, main of one thread. A sum above 100 % shows the overlap.',
        `batch size ${variants[0]!.measured.batch.reason}`,
      ],
      data: variants,
    };
  },
};

function aloneTable(variants: readonly Variant[]): SectionResult['tables'][number] {
  const heading = [
    ...['variant', 'streams', 'decode', 'preprocess', 'inference', 'ceiling', 'measured', 'ratio', 'rounds'],
    'during warm-up',
  ];
  return {
    caption: 'CPU per frame of each stage alone, and the pipeline',
    rows: [
      [...heading, 'inference, one thread', 'one thread', 'rounds'],
      ...variants.map(({ name, streams, alone, ceilingFps, measured, ratio, oneThreadRatio, rounds }) => [
        name,
        String(streams),
        ms(alone.decode),
        ms(alone.preprocess),
        ms(alone.infer),
        fps(ceilingFps),
        fps(measured.fps),
        ratio.toFixed(3),
        rounds.map((round) => round.ratio.toFixed(3)).join(' '),
        fps(measured.warmUpFps),
        ms(alone.inferOneThread),
        oneThreadRatio.toFixed(3),
        rounds.map((round) => round.oneThreadRatio.toFixed(3)).join(' '),
      ]),
    ],
  };
}

async function measureVariant(context: BenchContext, { model: modelName, isSharp, engine }: Case): Promise<Variant> {
  const name = `${modelName} on ${engine}, ${isSharp ? 'sharp makes the input from full pictures' : 'ffmpeg makes the input'}`;
  const cores = availableParallelism();
  const warmUpSeconds = context.isQuick ? context.warmUpSeconds : WARM_UP_SECONDS;
  const brief = { ...context, seconds: context.seconds * ROUND_RATIO, warmUpSeconds };
  const model = await preparedModel(context, modelName, engine, PRECISION);
  let before = await stagesAlone(brief, isSharp, model, engine);
  const streams = Math.max(1, Math.ceil(((cores / sumOf(before)) * before.decode) / DECODER_BUSY_RATIO));
  const inputs = await benchStreams(context, streams, OFFLINE, isSharp ? { maxWidth: null } : null);
  const rounds: Round[] = [];
  for (let round = 0; round < (context.isQuick ? 1 : ROUNDS); round++) {
    const measured = await measureOnce(brief, { name: modelName, engine, precision: PRECISION }, inputs);
    // Measured before and after the pipeline, so that a change of the machine's speed favours neither side.
    const after = context.isQuick ? before : await stagesAlone(brief, isSharp, model, engine);
    rounds.push(roundOf(measured, meanOf(before, after), cores));
    before = after;
  }
  const median = [...rounds].sort((a, b) => a.ratio - b.ratio)[Math.floor(rounds.length / 2)]!;
  return { name, streams, ...median, rounds };
}

function roundOf(measured: Measurement, alone: Alone, cores: number): Round {
  const ceilingFps = (cores * 1000) / sumOf(alone);
  const oneThreadCeilingFps = (cores * 1000) / sumOf({ ...alone, infer: alone.inferOneThread });
  const { fps } = measured;
  return { alone, ceilingFps, measured, ratio: fps / ceilingFps, oneThreadRatio: fps / oneThreadCeilingFps };
}

function sumOf({ decode, preprocess, infer }: Alone): number {
  return decode + preprocess + infer;
}

function meanOf(a: Alone, b: Alone): Alone {
  return {
    decode: (a.decode + b.decode) / 2,
    preprocess: (a.preprocess + b.preprocess) / 2,
    infer: (a.infer + b.infer) / 2,
    inferOneThread: (a.inferOneThread + b.inferOneThread) / 2,
  };
}

async function stagesAlone(
  context: BenchContext,
  isSharp: boolean,
  model: CompiledModel,
  engine: Case['engine'],
): Promise<Alone> {
  const { spec } = model;
  const { ffmpeg, clip } = context;
  const canvas = isSharp
    ? { width: clip.width, height: clip.height, fit: PICTURE_FIT }
    : { ...spec.input, fit: spec.input.resize };
  const decode = await decodeAlone(ffmpeg, clip, canvas, context.seconds / 2);
  const preprocess = isSharp ? await sharpAlone(context, spec) : 0;
  const one = await engineAlone(context, engine, model, { precision: PRECISION });
  const all = await engineAlone(context, engine, model, {
    precision: PRECISION,
    threads: availableParallelism(),
  });
  return {
    decode: decode.cpuMs / decode.frames,
    preprocess,
    infer: all.cpuMsPerFrame,
    inferOneThread: one.cpuMsPerFrame,
  };
}

/** @returns CPU milliseconds per frame of sharp in a loop, on pictures in shared memory as in the pipeline. */
async function sharpAlone({ ffmpeg, clip, seconds }: BenchContext, spec: ModelSpec): Promise<number> {
  configureSharp();
  const canvas = { width: clip.width, height: clip.height, fit: PICTURE_FIT };
  const { buffer, frameBytes, count } = await grabFrames(ffmpeg, clip, canvas, SHARP_FRAMES);
  const sharp = new SharpPreprocessor(spec, clip);
  const input = new Uint8Array(new SharedArrayBuffer(spec.input.width * spec.input.height * 3));
  const runOne = (i: number): Promise<void> =>
    sharp.run(new Uint8Array(buffer, (i % count) * frameBytes, frameBytes), input);
  for (let i = 0; i < SHARP_FRAMES; i++) await runOne(i);
  const cpuBefore = process.cpuUsage();
  const untilMs = performance.now() + (seconds * 1000) / 2;
  let frames = 0;
  while (performance.now() < untilMs) await runOne(frames++);
  const cpu = process.cpuUsage(cpuBefore);
  return (cpu.user + cpu.system) / 1000 / frames;
}
