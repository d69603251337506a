import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Runtime } from '../../../frame/runtime/runtime.ts';
import { DECODE_TIME } from '../../../frame/telemetry/judge-overload.ts';
import type { PipelineConfig } from '../../../serve/pipeline/pipeline.ts';
import { type EngineName, enginesThat, factsOf } from '../../../settings/config/engines.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import {
  FILE_SETTINGS,
  otherStages,
  type StageChoice,
  stageChoices,
  stageSettings,
  stagesText,
} from './stages-lever.ts';

type Engine = Exclude<EngineName, 'fake'>;
type Precision = 'f32' | 'bf16' | 'f16' | 'int8';
type Decode = StreamConfig['decode'];

/** An engine with the number format it computes in. */
export interface EngineFormat {
  readonly engine: Engine;
  readonly precision: Precision;
}

/** What determines the time of an inference. */
export type InferPart = Pick<Configuration, 'model' | 'engine' | 'precision' | 'inputSize'>;

/** A detector that can take the place of the baseline's. */
export interface CandidateModel {
  readonly name: string;
  /** Published input, WIDTHxHEIGHT. */
  readonly inputSize: string;
  /** Whether the sides of its input can be any multiples of 32. */
  readonly anySize: boolean;
  /** AP that its publisher or its manifest states; null if unknown. Only sets the order in which models are tried. */
  readonly reportedAp: number | null;
  /** Formats besides those of the machine, such as int8 where a quantised file exists. */
  readonly extraFormats?: readonly EngineFormat[];
  /** Engines that cannot run it. */
  readonly refusedEngines?: readonly Engine[];
  /** Most frames of one call, if the network has a fixed batch. */
  readonly mostBatch?: number;
}

/** What this machine and this pipeline can do. */
export interface LeverOptions {
  /** Levers to try; absent: all. */
  readonly levers?: readonly LeverId[];
  readonly baseline: Configuration;
  /** Formats that the machine computes natively, int8 excluded: it needs a quantised file (`extraFormats`). */
  readonly formats: readonly EngineFormat[];
  readonly cores: number;
  readonly models: readonly CandidateModel[];
  /** Models that give the attributes of a second stage, by its name; absent: only its own. */
  readonly stageModels?: ReadonlyMap<string, readonly string[]>;
  /** Width / height of the streams' pictures; null if unknown or mixed. */
  readonly streamAspect: number | null;
  readonly streams: number;
  /** Whether an engine runs on a GPU: batches of several frames then raise the throughput. */
  readonly isOnGpu: boolean;
  /** Hardware decoders of this machine, as ffmpeg names them. */
  readonly hwaccels: readonly string[];
  /** Which frames may be decoded: what the pipeline decodes, and what decodes fewer and can be judged. */
  readonly decodes: readonly Configuration['decode'][];
  /** Whether full pictures are needed anyway (previews, videos): ffmpeg cannot fit pictures for the model then. */
  readonly needsFullPictures: boolean;
  /** Whether there is a video to judge skipped work on. */
  readonly mayJudgeVideo: boolean;
}

/** A stream, or the `defaults` of all. Pipelines that never skip have no `skip`. */
export type StreamPart = Partial<Omit<StreamConfig, 'skip'>> & {
  readonly skip?: { readonly unchanged?: unknown; readonly trackBetween?: unknown } | undefined;
};

/** A value that is written at a path of a pipeline; undefined removes the key. */
type Setting = readonly [path: string, value: unknown];

/** What the cost of a frame depends on, besides the configuration. */
export interface CostMachine {
  /** Whether inference runs on a device of its own. */
  readonly isOnGpu: boolean;
  /** Share of the frames that is decoded with each setting. */
  readonly decodedRatio: Readonly<Record<Decode, number>>;
}

/** By how many times a value changes the CPU time of a stage for one frame, beside its plain value; absent: not at all. */
export interface CostFactors {
  readonly decode?: number;
  readonly infer?: number;
  /** Of all stages behind the decoder, since fewer frames reach them. */
  readonly behindDecoder?: number;
  /** Decoders of one stream that run at the same time. */
  readonly decoders?: number;
}

/**
 * Everything about a lever: its text in a report, its values, how it is read from a pipeline and written into one, and what it costs where
 * that is not measured by itself.
 *
 * @typeParam V - the values that it can have; data that JSON can write.
 */
export interface Lever<V> {
  /** Name in a report. */
  readonly name: string;
  /** A sentence for people who have not read the code. */
  readonly does: string;
  /** What may go wrong with it, in a sentence. */
  readonly risk: string;
  /** The value of a pipeline that does nothing special: every frame on its own, on one thread, by the default detector. */
  readonly plain: V;
  /** Whether detections may change: then the quality gate decides first. */
  readonly affectsDetections: boolean;
  /** Whether each value but the plain one leaves some frames without an inference of their own. */
  readonly skips?: boolean;
  /** Whether it changes what is known of tracks, and nothing that is found in one picture. */
  readonly isOfTracks?: boolean;
  /** Whether it has a second value here; default yes. */
  isOffered?(options: LeverOptions): boolean;
  /** All values to try; absent for what determines the time of an inference: those come from the models and formats there are. */
  values?(options: LeverOptions, at: Configuration): readonly V[];
  /** The value as text, by which values are equal or not; default: `String`. */
  text?(value: V): string;
  /** What the runtime chose, where a pipeline leaves it to the machine. */
  chosenBy?(runtime: Runtime): V;
  /**
   * @param stream - the first one, or the defaults.
   * @param chosen - what the machine chose, if it is left to it.
   */
  read(pipeline: PipelineConfig, stream: StreamPart, chosen: V): V;
  /** What to write into the pipeline. */
  write?(pipeline: PipelineConfig, to: Configuration): readonly Setting[];
  /** What to write into each stream; other settings of `skip` stay. */
  writeStream?(stream: StreamPart, to: Configuration): Partial<StreamPart>;
  /** The value that goes with the others, of which `changed` is new. */
  fit?(at: Configuration, models: readonly CandidateModel[], changed: LeverId): V;
  /** Whether it is possible beside the others; default yes. */
  isPossible?(at: Configuration, models: readonly CandidateModel[], baseline: Configuration): boolean;
  /** What it does to the cost of a frame; default nothing. Networks, threads and resizing are measured by themselves. */
  cost?(at: Configuration, machine: CostMachine): CostFactors;
  /** How much less a measured cost of decoding says for another value of it; default: as much. */
  readonly decodingDiffers?: number;
}

const MOST_LANES = 8;
const CPU_BATCHES = [1, 4, 8];
const GPU_BATCHES = [1, 2, 4, 8, 16, 32];
const DELAYS_MS = [0, 5, 20];
const TRACK_BETWEEN = [1, 2, 3, 5];
/** CPU that a hardware decoder still takes. */
const HWACCEL_RATIO = 0.4;
/** Each further decoder thread adds this much of the first. */
const DECODER_GAIN = 0.7;
/** Share of a call on a GPU that does not grow with the batch. */
const GPU_CALL_RATIO = 0.6;
/** Share of frames that a still camera repeats, until it is measured. */
const UNCHANGED_RATIO = 0.3;

const hasCores = ({ cores }: LeverOptions): boolean => cores > 1;

function mostBatchOf(model: string, models: readonly CandidateModel[]): number {
  return models.find(({ name }) => name === model)?.mostBatch ?? Number.POSITIVE_INFINITY;
}

/** Name or path of a manifest or ONNX file. */
const model: Lever<string> = {
  name: 'model',
  does: 'Uses another detector with the same classes.',
  risk: 'Another network misses other objects; thresholds of alarms may need a new value.',
  plain: 'centernet',
  affectsDetections: true,
  isOffered: ({ models, baseline }) => models.some(({ name }) => name !== baseline.model),
  read: ({ model }) => model.name,
  write: ({ model }, to) => [
    ['model.name', to.model],
    ...(model.name === to.model
      ? []
      : FILE_SETTINGS.filter((key) => model[key] !== undefined).map((key) => [`model.${key}`, undefined] as const)),
  ],
};

const engine: Lever<Engine> = {
  name: 'engine',
  does: 'Runs the network with another library.',
  risk: 'Results differ in the last digits; the library must be installed on every host.',
  plain: 'onnx',
  affectsDetections: true,
  chosenBy: ({ engineInfo }) => engineInfo.engine as Engine,
  read: ({ model }, _, chosen) => engineOf(model.engine, chosen),
  write: ({ model }, to) => [
    ['model.engine', to.engine],
    ...((factsOf(to.engine).providers ?? ['cpu']).includes(model.provider) ? [] : [['model.provider', 'cpu'] as const]),
  ],
};

const precision: Lever<Precision> = {
  name: 'precision',
  does: 'Computes in a shorter number format.',
  risk: 'Scores move a little; INT8 can lose whole objects and must be judged on pictures of its own.',
  plain: 'f32',
  affectsDetections: true,
  chosenBy: ({ engineInfo }) => engineInfo.precision as Precision,
  read: ({ model }, _, chosen) => (model.precision === 'auto' ? chosen : model.precision),
  write: (_, to) => [['model.precision', to.precision]],
};

/** Width and height in pixels: `512x512`. */
const inputSize: Lever<string> = {
  name: 'input size',
  does: "Gives the network a smaller or larger picture, or one with the stream's aspect.",
  risk: 'A smaller picture loses small objects first.',
  plain: '512x512',
  affectsDetections: true,
  chosenBy: ({ spec: { input } }) => `${input.width}x${input.height}`,
  read: ({ model }, _, chosen) => model.inputSize ?? chosen,
  write: (_, to) => [['model.inputSize', to.inputSize]],
  fit: ({ model, inputSize }, models, changed) =>
    (changed === 'model' ? models.find(({ name }) => name === model)?.inputSize : undefined) ?? inputSize,
};

const inferenceThreads: Lever<number> = {
  name: 'inference threads',
  does: 'Runs several inferences at the same time.',
  risk: 'Each thread needs its own copy of the network in memory.',
  plain: 1,
  affectsDetections: false,
  isOffered: hasCores,
  values: ({ cores }) => counts(cores),
  chosenBy: ({ threads }) => threads.inference.length,
  read: ({ model }, _, chosen) => model.threads ?? chosen,
  // An engine that has one thread by itself refuses the setting above 1.
  write: (_, to) => [['model.threads', factsOf(to.engine).threads === 'one' ? undefined : to.inferenceThreads]],
  fit: ({ engine, inferenceThreads }) => (factsOf(engine).threads === 'one' ? 1 : inferenceThreads),
  isPossible: ({ engine, inferenceThreads }) => factsOf(engine).threads !== 'one' || inferenceThreads === 1,
};

const lanes: Lever<number> = {
  name: 'lanes',
  does: 'Reads and preprocesses streams on more or fewer threads.',
  risk: 'Results are the same.',
  plain: 1,
  affectsDetections: false,
  isOffered: hasCores,
  values: ({ cores }) => counts(Math.min(cores, MOST_LANES)),
  chosenBy: ({ threads }) => threads.lanes.length,
  read: ({ lanes }, _, chosen) => lanes ?? chosen,
  write: (_, to) => [['lanes', to.lanes]],
};

const decodeThreads: Lever<number> = {
  name: 'decoder threads',
  does: 'Lets ffmpeg decode one stream on several cores.',
  risk: 'Frames are the same; each thread delays a live stream by one frame.',
  plain: 1,
  affectsDetections: false,
  isOffered: hasCores,
  values: ({ cores }) => counts(Math.min(cores, MOST_LANES)),
  read: (_, stream) => stream.decodeThreads ?? 1,
  writeStream: (_, to) => ({ decodeThreads: to.decodeThreads }),
  cost: ({ decodeThreads }) => ({ decoders: 1 + DECODER_GAIN * (Math.max(1, decodeThreads) - 1) }),
};

const maxBatch: Lever<number> = {
  name: 'largest batch',
  does: 'Infers several frames in one call.',
  risk: 'Latency grows, because a frame waits for the others.',
  plain: 1,
  affectsDetections: false,
  values: ({ isOnGpu }) => (isOnGpu ? GPU_BATCHES : CPU_BATCHES),
  read: ({ batch }) => batch.maxBatch,
  write: (_, to) => [['batch.maxBatch', to.maxBatch]],
  fit: ({ model, maxBatch }, models, changed) =>
    changed === 'maxBatch' ? maxBatch : Math.min(maxBatch, mostBatchOf(model, models)),
  // The runtime itself lowers a larger setting, so the baseline stays possible.
  isPossible: ({ model, maxBatch }, models, baseline) =>
    maxBatch <= Math.max(mostBatchOf(model, models), model === baseline.model ? baseline.maxBatch : 0),
  cost: ({ maxBatch }, { isOnGpu }) => ({ infer: isOnGpu ? 1 - GPU_CALL_RATIO + GPU_CALL_RATIO / maxBatch : 1 }),
};

const maxDelayMs: Lever<number> = {
  name: 'batch delay (ms)',
  does: 'Limits how long a frame waits for others to join its batch.',
  risk: 'A longer wait is added to the latency of every frame.',
  plain: 0,
  affectsDetections: false,
  values: () => DELAYS_MS,
  read: ({ batch }) => batch.maxDelayMs,
  write: (_, to) => [['batch.maxDelayMs', to.maxDelayMs]],
};

const resizeBy: Lever<'ffmpeg' | 'sharp'> = {
  name: 'resizing by',
  does: "Lets ffmpeg fit pictures into the model's input while it decodes, instead of sharp from full pictures.",
  risk: 'ffmpeg interpolates differently from how the model was trained.',
  plain: 'sharp',
  affectsDetections: true,
  isOffered: ({ needsFullPictures }) => !needsFullPictures,
  values: () => ['ffmpeg', 'sharp'],
  chosenBy: ({ spec: { resizeBy = 'ffmpeg' } }) => resizeBy,
  read: (_, { resizeBy }, chosen) => (resizeBy === undefined || resizeBy === 'auto' ? chosen : resizeBy),
  writeStream: (_, to) => ({ resizeBy: to.resizeBy }),
  decodingDiffers: 1,
};

/** `none` or the name of a hardware decoder. */
const hwaccel: Lever<string> = {
  name: 'hardware decoding',
  does: 'Decodes video on a GPU or a media engine.',
  risk: 'Drivers differ between hosts; ffmpeg falls back to software with a warning.',
  plain: 'none',
  affectsDetections: true,
  isOffered: ({ hwaccels }) => hwaccels.length > 0,
  values: ({ hwaccels }) => ['none', ...hwaccels],
  read: (_, stream) => stream.hwaccel ?? 'none',
  writeStream: (_, to) => ({ hwaccel: to.hwaccel }),
  decodingDiffers: 4,
  cost: ({ hwaccel }) => ({ decode: hwaccel === 'none' ? 1 : HWACCEL_RATIO }),
};

/** Frames that are decoded; the last result holds for the others. */
const decode: Lever<Decode> = {
  name: 'decoded frames',
  does: 'Decodes only frames that others depend on, or only key frames; the last result holds for the others.',
  risk: 'Whatever happens between two decoded frames is seen late or not at all.',
  plain: 'all',
  affectsDetections: true,
  skips: true,
  isOffered: ({ mayJudgeVideo, decodes }) => mayJudgeVideo && decodes.length > 1,
  values: ({ decodes }) => decodes,
  read: (_, stream) => stream.decode ?? 'all',
  writeStream: (_, to) => ({ decode: to.decode }),
  decodingDiffers: 2,
  cost: ({ decode }, { decodedRatio }) => ({ decode: DECODE_TIME[decode], behindDecoder: decodedRatio[decode] }),
};

const skipUnchanged: Lever<boolean> = {
  name: 'skip unchanged frames',
  does: 'Repeats the last result while the picture does not change.',
  risk: 'A change below the noise threshold is seen late.',
  plain: false,
  affectsDetections: true,
  skips: true,
  isOffered: ({ mayJudgeVideo }) => mayJudgeVideo,
  values: () => [false, true],
  read: (_, { skip }) => skip?.unchanged !== undefined && skip.unchanged !== false,
  writeStream: ({ skip }, to) => {
    if (skip === undefined && !to.skipUnchanged) return {};
    // Details that the user gave for the change gate stay while the gate stays on.
    const hasDetails = typeof skip?.unchanged === 'object' && skip.unchanged !== null;
    return { skip: { unchanged: to.skipUnchanged && hasDetails ? skip?.unchanged : to.skipUnchanged } };
  },
  cost: ({ skipUnchanged }) => ({ infer: skipUnchanged ? 1 - UNCHANGED_RATIO : 1 }),
};

/** Every n-th frame is inferred; 1 infers all. */
const trackBetween: Lever<number> = {
  name: 'infer every n-th frame',
  does: 'Infers every n-th frame and lets the tracker predict the boxes between.',
  risk: 'A new object appears up to n - 1 frames late.',
  plain: 1,
  affectsDetections: true,
  skips: true,
  isOffered: ({ mayJudgeVideo }) => mayJudgeVideo,
  values: () => TRACK_BETWEEN,
  read: (_, { skip }) => (typeof skip?.trackBetween === 'number' ? skip.trackBetween : 1),
  writeStream: ({ skip }, to) =>
    skip === undefined && to.trackBetween === 1 ? {} : { skip: { trackBetween: to.trackBetween } },
  cost: ({ trackBetween }) => ({ infer: 1 / trackBetween }),
};

/** How second stages look at objects; empty without any. */
const stages: Lever<readonly StageChoice[]> = {
  name: 'second stages',
  does: 'Looks at objects at another pace, or with another model for the same attributes.',
  risk: 'An attribute that changes while its object is seen is noticed late.',
  plain: [],
  affectsDetections: true,
  isOfTracks: true,
  isOffered: ({ mayJudgeVideo, baseline }) => mayJudgeVideo && baseline.stages.length > 0,
  values: ({ stageModels }, { stages }) => otherStages(stages, stageModels),
  text: stagesText,
  read: ({ stages }) => stageChoices(stages),
  write: ({ stages }, to) => stageSettings(stages, to.stages),
};

/** By their ids, in the order in which a search tries them and a report lists them. */
export const LEVERS = {
  model,
  engine,
  precision,
  inputSize,
  inferenceThreads,
  lanes,
  decodeThreads,
  maxBatch,
  maxDelayMs,
  resizeBy,
  hwaccel,
  decode,
  skipUnchanged,
  trackBetween,
  stages,
};

export type LeverId = keyof typeof LEVERS;

/** Values of levers; a configuration is one point of the search space. */
export type Configuration = { readonly [L in LeverId]: ReturnType<(typeof LEVERS)[L]['read']> };

export const LEVER_IDS = Object.keys(LEVERS) as readonly LeverId[];

/** Returns a lever, whichever it is. */
export function leverOf<L extends LeverId>(id: L): Lever<Configuration[L]> {
  return LEVERS[id] as unknown as Lever<Configuration[L]>;
}

/** The plain values of all levers. */
export const PLAIN = Object.fromEntries(LEVER_IDS.map((id) => [id, leverOf(id).plain])) as Configuration;

/** The value of a lever as text; empty where a configuration that was written without the lever has none. */
export function valueText(id: LeverId, at: Partial<Configuration>): string {
  const value = at[id];
  return value === undefined ? '' : (leverOf(id).text?.(value as never) ?? String(value));
}

/** The levers whose values differ. */
export function changedLevers(a: Configuration, b: Configuration): LeverId[] {
  return LEVER_IDS.filter((lever) => valueText(lever, a) !== valueText(lever, b));
}

export function isPartLever(lever: LeverId): lever is keyof InferPart {
  return leverOf(lever).values === undefined;
}

export function isSkipLever(lever: LeverId): boolean {
  return leverOf(lever).skips === true;
}

/** Returns the same configuration, decoding and inferring every frame. */
export function withoutSkips(configuration: Configuration): Configuration {
  const none = LEVER_IDS.filter(isSkipLever).map((lever) => [lever, PLAIN[lever]]);
  return { ...configuration, ...Object.fromEntries(none) };
}

/**
 * Returns what detects the same without what is tuned: the baseline if it does; else its levers that change no detection, one frame at a time.
 */
export function untuned(configuration: Configuration, baseline: Configuration): Configuration {
  if (qualityKey(configuration) === qualityKey(baseline)) return baseline;
  const neutral = LEVER_IDS.filter((lever) => !leverOf(lever).affectsDetections);
  const values = Object.fromEntries(neutral.map((lever) => [lever, baseline[lever]]));
  return { ...configuration, ...values, maxBatch: PLAIN.maxBatch };
}

/** Returns whether some frames are not inferred. */
export function skipsWork(configuration: Configuration): boolean {
  return !hasSameSkips(configuration, withoutSkips(configuration));
}

/** Returns whether two configurations skip the same frames. */
export function hasSameSkips(a: Configuration, b: Configuration): boolean {
  return !changedLevers(a, b).some(isSkipLever);
}

/** Text that is equal for equal configurations. */
export function configurationKey(configuration: Configuration): string {
  return keyOf(configuration, () => true);
}

/** Text that is equal for configurations that detect the same. */
export function qualityKey(configuration: Configuration): string {
  return keyOf(configuration, ({ affectsDetections }) => affectsDetections);
}

/** Text that is equal for configurations that find the same in one picture. */
export function pictureKey(configuration: Configuration): string {
  return keyOf(configuration, (lever) => lever.affectsDetections && lever.skips !== true && lever.isOfTracks !== true);
}

/** Text that is equal for equal parts. */
export function partKey(part: InferPart): string {
  return keyOf(part, ({ values }) => values === undefined);
}

function keyOf(values: Partial<Configuration>, counts: (lever: Lever<Configuration[LeverId]>) => boolean): string {
  return LEVER_IDS.filter((lever) => counts(leverOf(lever)))
    .map((lever) => valueText(lever, values))
    .join(' ');
}

function engineOf(engine: PipelineConfig['model']['engine'], chosen: Configuration['engine']): Configuration['engine'] {
  if (engine === 'fake') {
    const able = enginesThat(({ network }) => network !== null).join(', ');
    throw new SightlineError(
      'CONFIG_INVALID',
      `model.engine: expected auto, ${able}, received "fake", which infers nothing`,
    );
  }
  return engine === 'auto' ? chosen : engine;
}

/** 1, 2, 4 ... up to `most`, which is always among them. */
function counts(most: number): number[] {
  const values: number[] = [];
  for (let value = 1; value < most; value *= 2) values.push(value);
  return [...values, most];
}
