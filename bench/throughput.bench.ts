import { availableParallelism } from 'node:os';
import type { CompiledModel, ModelSpec } from '../src/core/model.ts';
import type { Measurement } from '../src/optimize/measure-run.ts';
import { configureSharp, SharpPreprocessor } from '../src/preprocess/sharp-preprocessor.ts';
import { PICTURE_FIT } from '../src/runtime/lane-frames.ts';
import { findOpenvino } from '../src/store/openvino/openvino-place.ts';
import { type BenchContext, preparedModel, SLOW_MODEL } from './support/bench-context.ts';
import { benchStreams, measureOnce, OFFLINE } from './support/bench-runtime.ts';
import { decodeAlone, grabFrames } from './support/clip.ts';
import { engineAlone } from './support/engine-alone.ts';
import { fps, ms, percentileCells, stageRows } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

/** CPU milliseconds a frame of each stage when nothing else runs. */
interface Alone {
  readonly decode: number;
  readonly preprocess: number;
  /** On as many threads as the pipeline has for it: they share caches and memory whatever is built around them. */
  readonly infer: number;
  /** On one thread, the other cores idle. */
  readonly inferOneThread: number;
}

/** What is run: which detector, and who makes its input. */
interface Case {
  readonly model: string;
  readonly isSharp: boolean;
  readonly engine: 'onnx' | 'openvino';
}

/** One run of the pipeline, and what the stages cost alone right before and after it. */
interface Round {
  readonly alone: Alone;
  readonly ceilingFps: number;
  readonly measured: Measurement;
  readonly ratio: number;
  /** The same with what inference costs while every other core is idle: a ceiling that threads beside each other do not reach. */
  readonly oneThreadRatio: number;
}

interface Variant extends Round {
  readonly name: string;
  readonly streams: number;
  /** All rounds, in their order; the rest is of the one with the median ratio. */
  readonly rounds: readonly Round[];
}

/**
 * Neighbours on a shared machine come and go within a minute: the stages alone and the pipeline are measured in turn, each for
 * half the time of other sections, and the median of so many rounds is told.
 */
const ROUNDS = 5;
const ROUND_RATIO = 0.5;
/**
 * V8 compiles what is called for every frame of a fast detector for about ten seconds, on cores that all have work. A file that is
 * worth measuring is longer; what the first seconds lose is told beside it.
 */
const WARM_UP_SECONDS = 12;
const SHARP_FRAMES = 20;
/** The same for every engine, so that only the engines differ. */
const PRECISION = 'f32';
/** One ffmpeg decodes on one thread; it is to be no busier than this, so that several are started where cores are many. */
const DECODER_BUSY_RATIO = 0.5;

/** The fast detector, beside which all that is not inference weighs most, both ways; and the default one. */
function casesFor({ model, environment }: BenchContext): Case[] {
  const slow = { model: SLOW_MODEL, isSharp: false };
  const cases: Case[] = [false, true].map((isSharp) => ({ model, isSharp, engine: 'onnx' }));
  if (model !== SLOW_MODEL) cases.push({ ...slow, engine: 'onnx' });
  return findOpenvino(environment) === null ? cases : [...cases, { ...slow, engine: 'openvino' }];
}

/** How near the pipeline comes to what its parts can do: every core busy with decoding, resizing and inference alone. */
export const throughput: Section = {
  id: 'throughput',
  title: 'Offline throughput against its ceiling',
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
          caption: 'latency, captured to published (every frame waits its turn: the queue is kept full)',
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
        'ceiling = cores / (CPU of decode alone + preprocess alone + inference alone), each per frame of the same clip, each on as many threads as the pipeline gives it. Threads of inference share caches and memory bandwidth, so each frame costs more than on one thread with the other cores idle; "one thread" is the ratio to the ceiling that this lower cost would make.',
        `measured begins after ${WARM_UP_SECONDS} s: until then ffmpeg opens, batch sizes are tried, and V8 compiles what is called for every frame.`,
        'Where the model is the only consumer of pixels, ffmpeg makes its input, so preprocess alone is 0; reading the pipe is part of the overhead that the ratio shows.',
        'busy is the share of its own capacity that each stage used: decode and preprocess of all cores, infer of its threads, main of one thread. Their sum above 100 % is the overlap.',
        `batch size ${variants[0]!.measured.batch.reason}`,
      ],
      data: variants,
    };
  },
};

function aloneTable(variants: readonly Variant[]): SectionResult['tables'][number] {
  const heading = [
    ...['variant', 'streams', 'decode', 'preprocess', 'inference', 'ceiling', 'measured', 'ratio', 'rounds'],
    'while warming up',
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
    // Before and after the pipeline, so that a machine that grows slower or faster meanwhile favours neither side.
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

/** @returns CPU milliseconds a frame of sharp in one loop, on pictures in shared memory as the pipeline has them. */
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
