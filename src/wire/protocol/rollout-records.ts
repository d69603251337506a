/**
 * Roll-outs: the records on the control plane, what hosts observe, and what a gateway shows. Another version of Sightline
 * may have written a record: unknown keys are left out, and one with a missing or wrong field is ignored.
 */
import { z } from 'zod';
import { type BatchConfig, batchConfig } from '../../settings/config/batch.ts';
import type { BatchSettings, ModelSettings } from '../../settings/config/keys/pipeline-keys.ts';
import { type ModelConfig, modelConfig } from '../../settings/config/model-config.ts';
import { amount, count, id, name, record, text, timeMs, type Wire } from './bounds.ts';
import { tolerant } from './fleet.ts';
import type { Gain, GuardReport, LabelledVerdict, Prediction, StreamChanges } from './keys/reports.ts';

export type {
  Decision,
  Gain,
  GuardReport,
  LabelledVerdict,
  LossInterval,
  Prediction,
  StreamChanges,
  StreamFinding,
} from './keys/reports.ts';

/** Most steps of a roll-out, guards of a report, versions of a pipeline, and decisions that the control plane keeps. */
export const MOST_STEPS = 21;
const MOST_GUARDS = 64;
export const MOST_VERSIONS = 50;
export const MOST_DECISIONS = 1000;

/** Settings of a stream that a version changes; null removes one. */
const streamPatch = z.record(z.string().max(64), z.unknown());
/** What a version changes on a stream, by setting; null removes one. */
export type StreamPatch = Readonly<Record<string, unknown>>;

/** What a version changes on the streams of a pipeline. */
const streamChanges = record('StreamChanges', {
  all: streamPatch.describe('For every stream that `byId` does not name.'),
  byId: z.record(id, streamPatch).describe('For these streams, by id.'),
});

/** A model with the settings that matter for its results. It never changes; its hash names it. */
const version = z.object({
  /** sha256 of the canonical JSON of `model`, `batch`, `weights` and `streams`, hex. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** For people: pipeline and counter, such as `people@3`. */
  label: name.min(1),
  model: tolerant(modelConfig),
  batch: tolerant(batchConfig),
  /** Absent if it changes no stream. */
  streams: streamChanges.optional(),
  /** sha256 of the files of the network, hex, in the order of its manifest. */
  weights: z.array(z.string().max(64)).max(64),
  createdMs: timeMs,
});
export interface Version extends Omit<Wire<typeof version>, 'model' | 'batch' | 'streams'> {
  readonly model: ModelConfig;
  readonly batch: BatchConfig;
  readonly streams?: StreamChanges | undefined;
}

export const GUARD_VERDICTS = ['pass', 'fail', 'undecided', 'no-data'] as const;
/** What a guard says about a step. */
export type GuardVerdict = (typeof GUARD_VERDICTS)[number];

/** What a guard found on one stream. */
const streamFinding = record('StreamFinding', {
  stream: id.describe('Name of the stream.'),
  verdict: z
    .enum(GUARD_VERDICTS)
    .exclude(['pass'])
    .describe('fail: harm is certain. undecided: it is likely. no-data: it was not observed long enough.'),
  estimate: z.number().nullable().describe('How much worse the candidate is than the control; null while unknown.'),
  reason: text.describe('One sentence with figures.'),
});
/** Most streams that a guard names. */
export const MOST_FINDINGS = 100;

/** What one guard found so far in a step. docs/guards.md has the unit of each guard's figures. */
const guardReport = record('GuardReport', {
  guard: name.min(1).describe('Name of the guard.'),
  kind: z.enum(['hard', 'statistical']).describe('hard: one event fails it. statistical: it needs enough frames.'),
  verdict: z.enum(GUARD_VERDICTS).describe('What it says now.'),
  estimate: z.number().nullable().describe('How much worse the candidate is than the control; null while unknown.'),
  low: z.number().nullable().describe('Lower bound of `estimate`; null while unknown.'),
  high: z.number().nullable().describe('Upper bound of `estimate`; null while unknown.'),
  margin: z.number().describe('The largest harm that the guard allows.'),
  frames: count.describe('Frames that it has judged.'),
  reason: text.describe('One sentence with figures.'),
  leftMs: amount
    .nullable()
    .default(null)
    .describe('Milliseconds until it decides, if the figures stay as they are; null if that cannot be estimated.'),
  streams: z
    .array(streamFinding)
    .max(MOST_FINDINGS)
    .optional()
    .describe(
      'Streams that it does not find within its limit, at most 100: if there are as many, more may exist. Absent if it judges no single streams, and from older hosts.',
    ),
});

const ratio = z.number().positive().max(1e6);
/** An expected gain in speed. */
export const prediction = record('Prediction', {
  ratio: ratio.describe('How many times as fast, above 0.'),
  low: ratio.describe('Lower bound of `ratio`.'),
  high: ratio.describe('Upper bound of `ratio`.'),
});

const averagePrecision = z.number().min(0).max(1).nullable();
/** What a candidate may lose of its average precision; negative: it is better. */
const lossInterval = record('LossInterval', {
  low: z.number().min(-1).max(1).describe('Lower end.'),
  high: z.number().min(-1).max(1).describe('Upper end.'),
});
/** As many as a detector of a large set of classes has. */
const MOST_SETTLED = 1_000;
/** How good both versions are on labelled pictures. */
export const labelledVerdict = record('LabelledVerdict', {
  controlAp: averagePrecision.describe(
    'Average precision of the control, 0 to 1; null if only the difference is known.',
  ),
  candidateAp: averagePrecision.describe('The same of the candidate.'),
  loss: z.number().min(-1).max(1).describe('What the candidate loses of it; negative: it is better.'),
  source: z.string().min(1).max(512).describe('Where that comes from, for people.'),
  pictures: z.int().positive().optional().describe('Labelled pictures behind it; absent: not known.'),
  interval: lossInterval
    .optional()
    .describe('95 % interval of `loss`; absent: not known, as of what manifests report.'),
  control: name
    .optional()
    .describe(
      'Name of the detector that the candidate was compared with; it must be the one in use. Absent: not known.',
    ),
  settled: z
    .array(name)
    .max(MOST_SETTLED)
    .optional()
    .describe('Classes of which people have said that the candidate loses nothing: a fall of their boxes is no harm.'),
});

/** A measured gain in speed: CPU time that all stages together take for one published frame. */
const gain = record('Gain', {
  ...prediction.shape,
  controlMs: amount.describe('With the control before the roll-out, in milliseconds.'),
  candidateMs: amount.describe('With the candidate alone, in milliseconds.'),
});

/** running: the step collects evidence. holding: it waits for evidence or for a person. The others are final. */
export const ROLLOUT_STATES = ['running', 'holding', 'promoted', 'rolled-back', 'aborted'] as const;
/** State of a roll-out. */
export type RolloutState = (typeof ROLLOUT_STATES)[number];

/** A time of which something is recorded, milliseconds since 1970. */
const recordedTime = z.object({ fromMs: timeMs, toMs: timeMs });

/** The record of a roll-out: one for each pipeline, the newest. */
export const rollout = z.object({
  id,
  pipeline: name.min(1),
  from: version,
  to: version,
  /** Percentage of streams at each step, rising from 0 to 100. At 0 the control is observed, to compare with it later. */
  steps: z.array(amount.max(100)).min(1).max(MOST_STEPS),
  /** Index into `steps`. */
  step: count,
  /** Percentage of streams that use `to` now; 0 after a rollback, 100 after the promotion. */
  share: amount.max(100),
  state: z.enum(ROLLOUT_STATES),
  /** True: the candidate also infers frames of streams that use the control, to compare the boxes. */
  shadow: z.boolean(),
  /** Share of a stream's frames that both versions infer, 0 to 1. */
  shadowRatio: amount.max(1),
  /** Who holds the roll-out; null if no person does. */
  heldBy: name.nullable(),
  startedBy: name,
  startedMs: timeMs,
  stepStartedMs: timeMs,
  endedMs: timeMs.nullable(),
  holdMs: count,
  minFrames: count,
  /** Settings of the guards, checked when the roll-out started. */
  guards: z.record(z.string(), z.unknown()),
  /** Present if the candidate is another detector, which labels have shown to be as good. */
  labelled: labelledVerdict.optional(),
  /** Both versions first run over what is recorded of this time: step 0, at 0 %. Absent: nobody asked for it. */
  recorded: recordedTime.optional(),
  /** Gain that the optimiser expects; absent if nobody said. */
  predicted: prediction.optional(),
  /** Gain measured on the live streams at 100 %; absent until then. */
  measured: gain.optional(),
  /** Why it is in this state, one sentence. */
  reason: text,
  /** All known versions of the pipeline, oldest first. */
  versions: z.array(version).max(MOST_VERSIONS),
  /** Rises with every change of this record. */
  fence: count,
});
export type GuardSettings = Readonly<Record<string, unknown>>;
export interface Rollout
  extends Omit<
    Wire<typeof rollout>,
    'from' | 'to' | 'versions' | 'guards' | 'predicted' | 'measured' | 'labelled' | 'recorded'
  > {
  readonly recorded?: Wire<typeof recordedTime> | undefined;
  readonly labelled?: LabelledVerdict | undefined;
  readonly predicted?: Prediction | undefined;
  readonly measured?: Gain | undefined;
  readonly from: Version;
  readonly to: Version;
  readonly versions: readonly Version[];
  readonly guards: GuardSettings;
}

/** The newest evidence of a step, as the controller last saved it. */
export const rolloutFigures = z.object({
  rollout: id,
  step: count,
  /** Frames that the candidate inferred in this step. */
  frames: count,
  /** Streams of the next step whose control was observed too briefly to compare the candidate with it. */
  unready: count,
  /** See `measured` of the roll-out. */
  gain: gain.optional(),
  /** Time until they were observed long enough; null if that cannot be estimated. */
  readyInMs: amount.nullable().default(null),
  /** Time until the step is decided, kept from jumping; null: unknown. Absent: not kept. */
  leftMs: amount.nullable().optional(),
  /** Streams of the next step that have none and are no longer waited for: they are gone, paused, or publish too little. */
  abandoned: count.default(0),
  /** Hosts that have the candidate loaded, by their last message. */
  loadedOn: z.array(name).max(10_000).optional(),
  /** Streams of this step that have published no frame for ten minutes. */
  silent: count.default(0),
  reports: z.array(guardReport).max(MOST_GUARDS),
});
export interface RolloutFigures extends Omit<Wire<typeof rolloutFigures>, 'gain' | 'loadedOn' | 'reports' | 'leftMs'> {
  readonly leftMs?: number | null | undefined;
  readonly reports: readonly GuardReport[];
  readonly gain?: Gain | undefined;
  readonly loadedOn?: readonly string[] | undefined;
}

const DECISION_KINDS = [
  'started',
  'advanced',
  'held',
  'resumed',
  'promoted',
  'rolled-back',
  'aborted',
  'undone',
] as const;
/** What a decision did. */
export type DecisionKind = (typeof DECISION_KINDS)[number];

/** One change of a roll-out, by a person or by its guards: a line of the audit log. */
export const decision = record('Decision', {
  fence: count.describe('The fence that the change gave the record.'),
  timeMs: timeMs.describe('When it was made, milliseconds since 1970.'),
  rollout: id.describe('Id of the roll-out.'),
  pipeline: name.min(1).describe('Name of the pipeline.'),
  kind: z.enum(DECISION_KINDS).describe('What it did.'),
  who: name.describe('A person, or the host that decided by the guards.'),
  isAutomatic: z.boolean().describe('True if the guards decided.'),
  from: name.describe('Label of the control.'),
  to: name.describe('Label of the candidate.'),
  state: z.enum(ROLLOUT_STATES).describe('State of the roll-out after it.'),
  step: count.describe('Step of the roll-out after it, an index from 0.'),
  share: amount.describe('Percentage of streams that use the candidate after it, 0 to 100.'),
  reason: text.describe('Why, one sentence.'),
  frames: count.describe('Frames that the candidate inferred in the step before.'),
  reports: z.array(guardReport).max(MOST_GUARDS).describe('What each guard had found.'),
});

const detection = z.object({
  classId: count,
  label: name,
  score: amount.max(1),
  box: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  trackId: count.optional(),
});

/** What a host saw of one stream on one side since its last such record. */
const sideObservation = z.object({
  stream: id,
  side: z.enum(['control', 'candidate']),
  frames: count,
  dropped: count,
  failed: count,
  latenciesMs: z.array(z.number().min(-1e9).max(1e12)).max(10_000),
  boxes: count,
  scoreSum: amount,
  deviceMs: amount,
  fpsAttained: amount,
  seconds: amount,
  /** What the operator expects of the stream: frames per second, and an upper limit for the 99th percentile of latency. */
  target: z.object({ fps: amount.nullable(), latencyMs: amount.nullable() }).optional(),
  /** Present if the candidate takes other frames than the control on purpose: `ratio` times its rate, at most `mostFps`. */
  pace: z.object({ ratio: amount, mostFps: amount.nullable() }).optional(),
  /** The source sends frames at its own rate, whichever side infers them: those that do not arrive are not the candidate's fault. */
  isOwnRate: z.boolean().optional(),
  /** Share of the host's CPU that others took meanwhile, 0 to 1; absent if unknown. The host and its children are no others. */
  othersRatio: amount.max(1).optional(),
});
export type SideObservation = Wire<typeof sideObservation>;

/** A frame that both versions inferred. Boxes in source pixels. */
const boxesOfBoth = { control: z.array(detection).max(10_000), candidate: z.array(detection).max(10_000) };
const shadowObservation = z.object({
  stream: id,
  frame: count,
  ...boxesOfBoth,
  /** Boxes that are only just too weak to be published; absent: unknown, of an older host. */
  weak: z.object(boxesOfBoth).optional(),
});
export type ShadowObservation = Wire<typeof shadowObservation>;

/** Engine threads or processes of the candidate that ended and were started again since the last observation. */
const engineObservation = z.object({ restarts: count });
export type EngineObservation = Wire<typeof engineObservation>;

/** What one host used while all its streams used one version and nothing else was done. */
const costObservation = z.object({
  costOf: z.enum(['control', 'candidate']),
  /** CPU time of the process and its children. */
  cpuMs: amount,
  /** Results published meanwhile. */
  published: count,
});
export type CostObservation = Wire<typeof costObservation>;

/** Events of a stream on what one host has recorded of it, with both versions. */
const recordedFinding = z.object({
  stream: id,
  /** none: there is nothing to judge by, as without rules. failed: it could not be judged. */
  state: z.enum(['judged', 'none', 'failed']),
  /** Why it is not judged, one sentence; empty if it is. */
  reason: text,
  frames: count,
  /** Events with the control, and those of them that the candidate lacks. */
  before: count,
  lost: count,
  /** Events with the candidate, and those of them that the control lacks. */
  after: count,
  gained: count,
});
export type RecordedFinding = Wire<typeof recordedFinding>;

/** What one host has found on its recordings so far. */
const recordedObservation = z.object({ recorded: z.array(recordedFinding).max(10_000), isDone: z.boolean() });
export type RecordedObservation = Wire<typeof recordedObservation>;

/** What guards judge. */
export type Observation = SideObservation | ShadowObservation | EngineObservation;
export type HostObservation = Observation | CostObservation | RecordedObservation;

/** Topic `observations`: what one host observed in a step, or why it cannot load the candidate. */
export const observationsBody = z.object({
  pipeline: name.min(1),
  rollout: id,
  step: count,
  observations: z
    .array(z.union([sideObservation, shadowObservation, engineObservation, costObservation, recordedObservation]))
    .max(1000),
  failure: text.nullable(),
  /** Whether the host has the candidate loaded; absent: unknown, of an older host. */
  isLoaded: z.boolean().optional(),
});
export type ObservationsBody = Wire<typeof observationsBody>;

/** Topic `rollout`: the record of this pipeline has changed. */
export const rolloutWake = z.object({ pipeline: name.min(1) });

/** A roll-out as a gateway shows it: `GET /api/rollouts`, the `rollout` of `stats`, `rollout status --json`. */
export interface RolloutReport {
  /** Id of the roll-out. */
  readonly id: string;
  /** Name of the pipeline, and of the detector if it has one: `street`, `street:night`. */
  readonly pipeline: string;
  /** Name of the detector among `models`; absent: the pipeline's own. */
  readonly detector?: string;
  /** What it does now. */
  readonly state: RolloutState;
  /** The current step, an index into `steps`. */
  readonly step: number;
  /** Percentage of streams at each step, rising from 0 to 100. */
  readonly steps: readonly number[];
  /** Percentage of streams that use the candidate now, 0 to 100. */
  readonly share: number;
  /**
   * Number of streams that use the candidate. On the host of the gateway they are those that really use it, on other hosts those of
   * this share.
   */
  readonly members: number;
  /** Names of the streams that use the candidate. */
  readonly candidateStreams: readonly string[];
  /** Number of all streams of the pipeline. */
  readonly streams: number;
  /** Number of streams at each step: 50 % of two cameras may be both of them, since names decide which ones are in. */
  readonly stepStreams: readonly number[];
  /** Label of the control, such as `people@3`. */
  readonly from: string;
  /** Label of the candidate. */
  readonly to: string;
  /** True: the candidate also infers frames of streams that use the control, to compare the boxes. */
  readonly shadow: boolean;
  /** Who holds it; null if no person does. */
  readonly heldBy: string | null;
  /** Who started it. */
  readonly startedBy: string;
  /** When it started, milliseconds since 1970. */
  readonly startedMs: number;
  /** When the current step began, milliseconds since 1970. */
  readonly stepStartedMs: number;
  /** When it ended, milliseconds since 1970; null if it has not. */
  readonly endedMs: number | null;
  /** Shortest time of a step, in milliseconds. */
  readonly holdMs: number;
  /** Fewest frames of a step. */
  readonly minFrames: number;
  /** Frames that the candidate inferred in this step. */
  readonly frames: number;
  /** What each guard found so far in this step. */
  readonly guards: readonly GuardReport[];
  /** Gain that the optimiser expects; null if unknown. */
  readonly predicted: Prediction | null;
  /** Gain of the live streams at 100 %; null until then. */
  readonly measured: Gain | null;
  /** Why it is in this state, one sentence. */
  readonly reason: string;
  /** What it waits for and how long that will take, one sentence; null if it waits for nothing. */
  readonly waitsFor: string | null;
  /** Rises with every change. */
  readonly fence: number;
}

/** A version as a gateway shows it. */
export interface VersionReport {
  /** sha256 of its model, its settings, its weights and what it changes on streams, hex. */
  readonly hash: string;
  /** Pipeline and counter, such as `people@3`. */
  readonly label: string;
  /** Name or path of the detector. */
  readonly model: string;
  /** Library that runs the network, as its settings say. */
  readonly engine: string;
  /** Number format, as its settings say. */
  readonly precision: string;
  /** Size of a model input; null: that of the manifest. */
  readonly inputSize: string | null;
  /** Boxes below it are not reported; null: that of the manifest. */
  readonly scoreThreshold: number | null;
  /** All settings that make it another version: of the model, of batches, and what it changes on streams. */
  readonly settings: {
    /** Settings of the detector. */
    readonly model: ModelSettings;
    /** How its frames are batched. */
    readonly batch: BatchSettings;
    /** What it changes on streams; absent if nothing. */
    readonly streams?: StreamChanges;
  };
  /** When it was made, milliseconds since 1970. */
  readonly createdMs: number;
  /** live: all streams use it. control, candidate: the sides of a roll-out. idle: no stream uses it. */
  readonly role: 'live' | 'control' | 'candidate' | 'idle';
}
