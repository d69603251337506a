import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { kindOf } from '../../../frame/infer/engine-kinds.ts';
import type { PipelineConfig } from '../../../serve/pipeline/pipeline.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { Configuration, LeverId } from '../result.ts';
import type { InferPart, LeverOptions } from './lever-options.ts';
import { FILE_SETTINGS, otherStages, stageSettings, stagesValue } from './stages-lever.ts';

/** Values that a pipeline leaves to the machine, as the machine chose them. */
export type ConfigurationDefaults = Pick<
  Configuration,
  'engine' | 'precision' | 'inputSize' | 'inferenceThreads' | 'lanes' | 'resizeBy'
>;

/** A stream, or the `defaults` of all. Pipelines that never skip have no `skip`. */
export type StreamPart = Partial<Omit<StreamConfig, 'skip'>> & {
  readonly skip?: { readonly unchanged?: unknown; readonly trackBetween?: unknown } | undefined;
};

/** A value that is written at a path of a pipeline; undefined removes the key. */
type Setting = readonly [path: string, value: unknown];

/**
 * Everything about a lever except its cost, which is in `cost-model.ts`: its text in a roadmap, its values, and how it is read from a
 * pipeline and written into one.
 */
export interface Lever<L extends LeverId = LeverId> {
  /** Name in a report. */
  readonly name: string;
  /** A sentence for people who have not read the code. */
  readonly does: string;
  /** What may go wrong with it, in a sentence. */
  readonly risk: string;
  /** Whether detections may change: then the quality gate decides first. */
  readonly affectsDetections: boolean;
  /** Of a lever that leaves some frames without an inference of their own: the value that leaves none. */
  readonly skipsNone?: Configuration[L];
  /** Whether it changes what is known of tracks, and nothing that is found in one picture. */
  readonly isOfTracks?: boolean;
  /** Whether it has a second value here; default yes. */
  isOffered?(options: LeverOptions): boolean;
  /** All values to try; absent for what determines the time of an inference: those come from the models and formats there are. */
  values?(options: LeverOptions, at: Configuration): readonly Configuration[L][];
  /** @param stream - the first one, or the defaults. */
  read(pipeline: PipelineConfig, stream: StreamPart, defaults: ConfigurationDefaults): Configuration[L];
  /** What to write into the pipeline. */
  write?(pipeline: PipelineConfig, to: Configuration): readonly Setting[];
  /** What to write into each stream; other settings of `skip` stay. */
  writeStream?(stream: StreamPart, to: Configuration): Partial<StreamPart>;
}

const MOST_LANES = 8;
const CPU_BATCHES = [1, 4, 8];
const GPU_BATCHES = [1, 2, 4, 8, 16, 32];
const DELAYS_MS = [0, 5, 20];
const TRACK_BETWEEN = [1, 2, 3, 5];

const hasCores = ({ cores }: LeverOptions): boolean => cores > 1;

/** By their ids, in the order in which a search tries them and a report lists them. */
export const LEVERS: { readonly [L in LeverId]: Lever<L> } = {
  model: {
    name: 'model',
    does: 'Uses another detector with the same classes.',
    risk: 'Another network misses other objects; thresholds of alarms may need a new value.',
    affectsDetections: true,
    isOffered: ({ models, baseline }) => models.some(({ name }) => name !== baseline.model),
    read: ({ model }) => model.name,
    write: ({ model }, to) => [
      ['model.name', to.model],
      ...(model.name === to.model
        ? []
        : FILE_SETTINGS.filter((key) => model[key] !== undefined).map((key) => [`model.${key}`, undefined] as const)),
    ],
  },
  engine: {
    name: 'engine',
    does: 'Runs the network with another library.',
    risk: 'Results differ in the last digits; the library must be installed on every host.',
    affectsDetections: true,
    read: ({ model }, _, defaults) => engineOf(model.engine, defaults.engine),
    write: ({ model }, to) => [
      ['model.engine', to.engine],
      ...((kindOf(to.engine).providers ?? ['cpu']).includes(model.provider)
        ? []
        : [['model.provider', 'cpu'] as const]),
    ],
  },
  precision: {
    name: 'precision',
    does: 'Computes in a shorter number format.',
    risk: 'Scores move a little; INT8 can lose whole objects and must be judged on pictures of its own.',
    affectsDetections: true,
    read: ({ model }, _, defaults) => (model.precision === 'auto' ? defaults.precision : model.precision),
    write: (_, to) => [['model.precision', to.precision]],
  },
  inputSize: {
    name: 'input size',
    does: "Gives the network a smaller or larger picture, or one with the stream's aspect.",
    risk: 'A smaller picture loses small objects first.',
    affectsDetections: true,
    read: ({ model }, _, defaults) => model.inputSize ?? defaults.inputSize,
    write: (_, to) => [['model.inputSize', to.inputSize]],
  },
  inferenceThreads: {
    name: 'inference threads',
    does: 'Runs several inferences at the same time.',
    risk: 'Each thread needs its own copy of the network in memory.',
    affectsDetections: false,
    isOffered: hasCores,
    values: ({ cores }) => counts(cores),
    read: ({ model }, _, defaults) => model.threads ?? defaults.inferenceThreads,
    // An engine that has one thread by itself refuses the setting above 1.
    write: (_, to) => [['model.threads', kindOf(to.engine).threads === 'one' ? undefined : to.inferenceThreads]],
  },
  lanes: {
    name: 'lanes',
    does: 'Reads and preprocesses streams on more or fewer threads.',
    risk: 'Results are the same.',
    affectsDetections: false,
    isOffered: hasCores,
    values: ({ cores }) => counts(Math.min(cores, MOST_LANES)),
    read: ({ lanes }, _, defaults) => lanes ?? defaults.lanes,
    write: (_, to) => [['lanes', to.lanes]],
  },
  decodeThreads: {
    name: 'decoder threads',
    does: 'Lets ffmpeg decode one stream on several cores.',
    risk: 'Frames are the same; each thread delays a live stream by one frame.',
    affectsDetections: false,
    isOffered: hasCores,
    values: ({ cores }) => counts(Math.min(cores, MOST_LANES)),
    read: (_, stream) => stream.decodeThreads ?? 1,
    writeStream: (_, to) => ({ decodeThreads: to.decodeThreads }),
  },
  maxBatch: {
    name: 'largest batch',
    does: 'Infers several frames in one call.',
    risk: 'Latency grows, because a frame waits for the others.',
    affectsDetections: false,
    values: ({ isOnGpu }) => (isOnGpu ? GPU_BATCHES : CPU_BATCHES),
    read: ({ batch }) => batch.maxBatch,
    write: (_, to) => [['batch.maxBatch', to.maxBatch]],
  },
  maxDelayMs: {
    name: 'batch delay (ms)',
    does: 'Limits how long a frame waits for others to join its batch.',
    risk: 'A longer wait is added to the latency of every frame.',
    affectsDetections: false,
    values: () => DELAYS_MS,
    read: ({ batch }) => batch.maxDelayMs,
    write: (_, to) => [['batch.maxDelayMs', to.maxDelayMs]],
  },
  resizeBy: {
    name: 'resizing by',
    does: "Lets ffmpeg fit pictures into the model's input while it decodes, instead of sharp from full pictures.",
    risk: 'ffmpeg interpolates differently from how the model was trained.',
    affectsDetections: true,
    isOffered: ({ needsFullPictures }) => !needsFullPictures,
    values: () => ['ffmpeg', 'sharp'],
    read: (_, { resizeBy }, defaults) => (resizeBy === undefined || resizeBy === 'auto' ? defaults.resizeBy : resizeBy),
    writeStream: (_, to) => ({ resizeBy: to.resizeBy }),
  },
  hwaccel: {
    name: 'hardware decoding',
    does: 'Decodes video on a GPU or a media engine.',
    risk: 'Drivers differ between hosts; ffmpeg falls back to software with a warning.',
    affectsDetections: true,
    isOffered: ({ hwaccels }) => hwaccels.length > 0,
    values: ({ hwaccels }) => ['none', ...hwaccels],
    read: (_, stream) => stream.hwaccel ?? 'none',
    writeStream: (_, to) => ({ hwaccel: to.hwaccel }),
  },
  decode: {
    name: 'decoded frames',
    does: 'Decodes only frames that others depend on, or only key frames; the last result holds for the others.',
    risk: 'Whatever happens between two decoded frames is seen late or not at all.',
    affectsDetections: true,
    skipsNone: 'all',
    isOffered: ({ mayJudgeVideo, decodes }) => mayJudgeVideo && decodes.length > 1,
    values: ({ decodes }) => decodes,
    read: (_, stream) => stream.decode ?? 'all',
    writeStream: (_, to) => ({ decode: to.decode }),
  },
  skipUnchanged: {
    name: 'skip unchanged frames',
    does: 'Repeats the last result while the picture does not change.',
    risk: 'A change below the noise threshold is seen late.',
    affectsDetections: true,
    skipsNone: false,
    isOffered: ({ mayJudgeVideo }) => mayJudgeVideo,
    values: () => [false, true],
    read: (_, { skip }) => skip?.unchanged !== undefined && skip.unchanged !== false,
    writeStream: ({ skip }, to) => {
      if (skip === undefined && !to.skipUnchanged) return {};
      // Details that the user gave for the change gate stay while the gate stays on.
      const hasDetails = typeof skip?.unchanged === 'object' && skip.unchanged !== null;
      return { skip: { unchanged: to.skipUnchanged && hasDetails ? skip?.unchanged : to.skipUnchanged } };
    },
  },
  trackBetween: {
    name: 'infer every n-th frame',
    does: 'Infers every n-th frame and lets the tracker predict the boxes between.',
    risk: 'A new object appears up to n - 1 frames late.',
    affectsDetections: true,
    skipsNone: 1,
    isOffered: ({ mayJudgeVideo }) => mayJudgeVideo,
    values: () => TRACK_BETWEEN,
    read: (_, { skip }) => (typeof skip?.trackBetween === 'number' ? skip.trackBetween : 1),
    writeStream: ({ skip }, to) =>
      skip === undefined && to.trackBetween === 1 ? {} : { skip: { trackBetween: to.trackBetween } },
  },
  stages: {
    name: 'second stages',
    does: 'Looks at objects at another pace, or with another model for the same attributes.',
    risk: 'An attribute that changes while its object is seen is noticed late.',
    affectsDetections: true,
    isOfTracks: true,
    isOffered: ({ mayJudgeVideo, baseline }) => mayJudgeVideo && baseline.stages !== '',
    values: ({ stageModels }, { stages }) => otherStages(stages, stageModels),
    read: ({ stages }) => stagesValue(stages),
    write: ({ stages }, to) => stageSettings(stages, to.stages),
  },
};

export const LEVER_IDS = Object.keys(LEVERS) as readonly LeverId[];

/** The levers whose values differ. */
export function changedLevers(a: Configuration, b: Configuration): LeverId[] {
  return LEVER_IDS.filter((lever) => a[lever] !== b[lever]);
}

export function isPartLever(lever: LeverId): lever is keyof InferPart {
  return LEVERS[lever].values === undefined;
}

export function isSkipLever(lever: LeverId): boolean {
  return LEVERS[lever].skipsNone !== undefined;
}

/** Returns the same configuration, decoding and inferring every frame. */
export function withoutSkips(configuration: Configuration): Configuration {
  const none = LEVER_IDS.filter(isSkipLever).map((lever) => [lever, LEVERS[lever].skipsNone]);
  return { ...configuration, ...Object.fromEntries(none) };
}

/**
 * Returns what detects the same without what is tuned: the baseline if it does; else its levers that change no detection, one frame at a time.
 */
export function untuned(configuration: Configuration, baseline: Configuration): Configuration {
  if (qualityKey(configuration) === qualityKey(baseline)) return baseline;
  const neutral = LEVER_IDS.filter((lever) => !LEVERS[lever].affectsDetections);
  const values = Object.fromEntries(neutral.map((lever) => [lever, baseline[lever]]));
  return { ...configuration, ...values, maxBatch: 1 };
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
  return keyOf(configuration, (lever) => lever.affectsDetections && lever.skipsNone === undefined && !lever.isOfTracks);
}

/** Text that is equal for equal parts. */
export function partKey(part: InferPart): string {
  return keyOf(part, ({ values }) => values === undefined);
}

function keyOf(values: Partial<Configuration>, counts: (lever: Lever) => boolean): string {
  return LEVER_IDS.filter((lever) => counts(LEVERS[lever] as Lever))
    .map((lever) => values[lever])
    .join(' ');
}

function engineOf(engine: PipelineConfig['model']['engine'], chosen: Configuration['engine']): Configuration['engine'] {
  if (engine === 'fake')
    throw new SightlineError(
      'CONFIG_INVALID',
      'model.engine: expected tensorflow, openvino, onnx, wasm or auto, received "fake", which infers nothing',
    );
  return engine === 'auto' ? chosen : engine;
}

/** 1, 2, 4 ... up to `most`, which is always among them. */
function counts(most: number): number[] {
  const values: number[] = [];
  for (let value = 1; value < most; value *= 2) values.push(value);
  return [...values, most];
}
