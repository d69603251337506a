/**
 * Requests and replies of the REST API that are neither reports nor records. `docs/rest.md` lists the routes. The schemas
 * check requests; the types of requests have the same keys, of which those with a default are optional.
 */
import { z } from 'zod';
import type { Box } from '../../base/core/detection.ts';
import type { CrossingDirection } from '../../base/core/frame.ts';
import { batchConfig } from '../../settings/config/batch.ts';
import type { StreamSettings } from '../../settings/config/keys/stream-keys.ts';
import { modelConfig } from '../../settings/config/model-config.ts';
import { range, whole } from '../../settings/config/number.ts';
import { stagesConfig } from '../../settings/config/stages.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import { trackConfig } from '../../settings/config/track.ts';
import type { BlindReason } from './blind-reasons.ts';
import { name, RECORDS, record, request, timeMs } from './bounds.ts';
import type { EventMessage } from './feed.ts';
import { type DeadLetter, type JobOrder, type JobReport, jobOrder } from './fleet.ts';
import type { FleetReport } from './fleet-report.ts';
import type { HostReport, StreamReport } from './report.ts';
import { labelledVerdict, MOST_STEPS, prediction, type RolloutReport } from './rollout-records.ts';

export type { DetectReply, JobRequest, RolloutRequest } from './keys/reports.ts';

/** A new stream: `id`, `source`, and settings as in a pipeline file (docs/config.md). `pipeline` only in a fleet. */
export interface StreamRequest extends StreamSettings {
  /** Name of the pipeline of hosts that should run it; only in a fleet. */
  readonly pipeline?: string;
}

/**
 * The settings of a stream to change (RFC 7396). Keys that are left out stay as they are, also those in a section such as `target`; null
 * gives a key its default, or none. Lists are replaced.
 */
export type StreamChange = ChangeOf<Omit<StreamSettings, 'id'>>;
type ChangeOf<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: ChangeOf<Exclude<T[K], undefined>> | null | undefined }
    : T;

/** The newest report of a gateway: `GET /api/streams`. */
export interface StreamsReply {
  /** Of the report, wall clock, milliseconds since 1970. */
  readonly timeMs: number;
  /** The figures of each stream. */
  readonly streams: readonly StreamReport[];
  /** The host of the gateway. */
  readonly host: HostReport;
  /** Only if the gateway shows a fleet. */
  readonly fleet?: FleetReport;
  /** The newest roll-out; only if there was one. */
  readonly rollout?: RolloutReport;
}

/** What a stream did: `GET /api/streams/:id/history`. Columns of equal length, oldest first; null where nothing was published. */
export interface HistoryReply {
  /** Seconds between two points: 1, 10, 60 or 3,600. Above 1 a point is the mean of its reports, and `p99` the highest. */
  readonly stepS: number;
  /** Ends of the steps, seconds since 1970. Steps without reports are left out. */
  readonly times: readonly number[];
  /** Frames per second that entered. */
  readonly fpsIn: readonly (number | null)[];
  /** Frames per second that were published. */
  readonly fpsPublished: readonly (number | null)[];
  /** Median of the latency, milliseconds. */
  readonly p50: readonly (number | null)[];
  /** 95th percentile of the latency, milliseconds. */
  readonly p95: readonly (number | null)[];
  /** 99th percentile of the latency, milliseconds. */
  readonly p99: readonly (number | null)[];
}

/** Events that match a search: `GET /api/events`. */
export interface EventsReply {
  /** Newest last. */
  readonly events: readonly EventMessage[];
  /** The `cursor` of the page of older ones; null if there are none. Only of a search in pages. */
  readonly next?: string | null;
}

/** How many objects crossed a line, or appeared, in one step of time. */
export interface CountRow {
  /** When the step began, milliseconds since 1970. */
  readonly timeMs: number;
  /** Name of the stream. */
  readonly stream: string;
  /** Name of the line; null: objects that appeared in the picture, of streams with tracks. */
  readonly line: string | null;
  /** Which way they crossed; null without a line. */
  readonly direction: CrossingDirection | null;
  /** Name of their class. */
  readonly label: string;
  /** Number of objects. */
  readonly count: number;
}

/** How long a stream was watched in one step of time. */
export interface SeenRow {
  /** When the step began, milliseconds since 1970. */
  readonly timeMs: number;
  /** Name of the stream. */
  readonly stream: string;
  /** Frames that were published. */
  readonly frames: number;
  /** Seconds of media time between them, without gaps of more than 5 s. */
  readonly seenS: number;
  /** Seconds of the host's clock in which its results showed the scene; null for a time of which that was not kept. */
  readonly watchedS: number | null;
  /** Seconds of the host's clock in which they did not, by reason: `down`, `paused`, `shed`, `black`, `frozen`; without those that are 0. */
  readonly blindS: Readonly<Partial<Record<BlindReason, number>>>;
}

/** How full a zone was in one step of time. */
export interface OccupancyRow {
  /** When the step began, milliseconds since 1970. */
  readonly timeMs: number;
  /** Name of the stream. */
  readonly stream: string;
  /** Name of the zone. */
  readonly zone: string;
  /** Most objects inside at once. */
  readonly max: number;
  /** Objects inside, on average over `seenS`; null if nothing was seen. */
  readonly mean: number | null;
  /** Seconds that objects were inside, added up over the objects. */
  readonly objectS: number;
  /** Seconds in which at least one was inside. */
  readonly occupiedS: number;
  /** By how much the number of objects inside rose, added up: one that is missed in a frame counts again. */
  readonly arrivals: number;
  /** Seconds that an object stayed, on average: `objectS` by `arrivals`; null without arrivals. */
  readonly dwellS: number | null;
  /** Seconds that the stream was watched. */
  readonly seenS: number;
}

/** Counts of lines and of objects that appeared: `GET /api/counts`. */
export interface CountsReply {
  /** Oldest first. */
  readonly counts: readonly CountRow[];
  /** What `from` of the next request is; null if there is no more. */
  readonly next: string | null;
}

/** How long streams were watched: `GET /api/seen`. */
export interface SeenReply {
  /** Oldest first. */
  readonly seen: readonly SeenRow[];
  /** What `from` of the next request is; null if there is no more. */
  readonly next: string | null;
}

/** How full zones were: `GET /api/occupancy`. */
export interface OccupancyReply {
  /** Oldest first. */
  readonly occupancy: readonly OccupancyRow[];
  /** What `from` of the next request is; null if there is no more. */
  readonly next: string | null;
}

/** Where objects stood: `GET /api/heat`. */
export interface HeatReply {
  /** Name of the stream. */
  readonly stream: string;
  /** Cells from left to right. */
  readonly columns: number;
  /** Cells from top to bottom. */
  readonly rows: number;
  /** Row by row: seconds that objects had the middle of their lower edge in the cell. */
  readonly cells: readonly number[];
  /** Seconds that the stream was watched. */
  readonly seenS: number;
}

/** An object of which an embedding is kept. Times are those of the host's clock, milliseconds since 1970, and media time in microseconds. */
export interface KeptObject {
  /** Name of the stream. */
  readonly stream: string;
  /** As in results: which run of the stream the track belongs to; empty if it has none. */
  readonly run: string;
  /** Its track. */
  readonly trackId: number;
  /** Its class. */
  readonly label: string;
  /** The second stage that made the embedding. */
  readonly attribute: string;
  /** Name and hash of the model; those of different models are never compared. */
  readonly model: string;
  /** When it was looked at first. */
  readonly firstMs: number;
  /** When it was seen last. */
  readonly lastMs: number;
  /** The same as `firstMs`, in media time. */
  readonly firstUs: number;
  /** The same as `lastMs`, in media time. */
  readonly lastUs: number;
  /** When the picture was taken that the embedding was made of. */
  readonly bestMs: number;
  /** The same in media time. */
  readonly bestUs: number;
  /** Where it was in that picture, in source pixels. */
  readonly box: Box;
  /** Width of the picture in source pixels. */
  readonly width: number;
  /** Height of the picture in source pixels. */
  readonly height: number;
}

/** An object that looks like another one. */
export interface SimilarObject extends KeptObject {
  /** Cosine of the two embeddings, -1 to 1. */
  readonly similarity: number;
  /** The first event of a rule about it; null if there is none. */
  readonly event: string | null;
}

/** Objects that look like another one: `GET /api/similar`. */
export interface SimilarReply {
  /** The object that was asked about; null if no embedding of it is kept. */
  readonly of: KeptObject | null;
  /** The most similar first. */
  readonly objects: readonly SimilarObject[];
}

const detection = z
  .object({
    classId: z.int(),
    label: z.string(),
    score: z.number(),
    box: z.tuple([z.number(), z.number(), z.number(), z.number()]),
    mask: z.object({ size: z.tuple([z.int(), z.int()]), counts: z.string() }).optional(),
    keypoints: z.array(z.number()).optional(),
    angle: z.number().optional(),
  })
  .register(RECORDS, { id: 'Detection' });
/** What was found in a picture: `POST /api/detect`. */
export const detectReply = record('DetectReply', {
  model: z.string().describe('Name of the pipeline.'),
  version: z.string().describe('Number of the version that inferred it.'),
  width: z.int().describe('Width of the picture in pixels, upright as its EXIF data says.'),
  height: z.int().describe('Height of the picture in pixels, upright as its EXIF data says.'),
  detections: z.array(detection).describe('Boxes in pixels of the picture, best score first.'),
  cached: z.boolean().describe('Whether an equal picture had this result before.'),
  warnings: z
    .array(z.string())
    .optional()
    .describe('What is wrong with the picture, such as that it is cut off; absent if nothing is.'),
});

/** A detector that a host can load: `GET /api/models`. */
export interface ModelSummary {
  /** Name of its manifest. */
  readonly name: string;
  /** How its outputs become boxes. */
  readonly family: string;
  /** Width of a model input, in pixels. */
  readonly inputWidth: number;
  /** Height of a model input, in pixels. */
  readonly inputHeight: number;
  /** COCO AP by its publisher, 0 to 1; null if none is known. */
  readonly reportedAp: number | null;
  /** Hash of the labels, of enough pictures, on which that was measured: only figures on the same are compared. Null or absent: not known. */
  readonly reportedOn?: string | null;
  /** Whether its weights are on this machine. Absent from older gateways. */
  readonly isHere?: boolean;
  /** Names among `models` of the pipeline by which streams choose it; absent if there is none. */
  readonly detectors?: readonly string[];
  /** Its classes, by id. Absent from older gateways. */
  readonly labels?: readonly string[];
  /** What a frame costs on this machine with its fastest engine; null if that was not measured. Absent from older gateways. */
  readonly cost?: {
    /** Library that runs the network. */
    readonly engine: string;
    /** Number format that it computes in. */
    readonly precision: string;
    /** Time of a frame, in milliseconds. */
    readonly frameMs: number;
  } | null;
}

/** A pipeline file that comes with Sightline. */
export interface PipelineSummary {
  /** Name of the pipeline. */
  readonly name: string;
  /** What it does, one sentence. */
  readonly description: string;
  /** Below the folder of the package. */
  readonly path: string;
}

/** Long segments spread the fixed cost of 0.15 s of CPU each; tapering keeps hosts from idling long at the end of a job. */
export const DEFAULT_SEGMENT_S = 60;

const { id, pipeline, inputs, outDir, every, parquet, segmentSeconds, priority } = jobOrder.shape;

/** A new job of a fleet, as a user requests it. */
export const jobRequest = request('JobRequest', {
  id: id.optional().describe('Name of the job; absent: the fleet makes one.'),
  pipeline: pipeline
    .optional()
    .describe("Pipeline of the hosts that should run it; absent: that of the gateway's host."),
  model: name
    .min(1)
    .optional()
    .describe('Detector that the hosts of the pipeline must run; chooses the pipeline if that is absent.'),
  inputs: inputs.describe('Absolute paths on the hosts: files, folders and patterns.'),
  outDir: outDir.describe('Folder that gets one JSONL file for each input; an absolute path on the hosts.'),
  track: z
    .union([z.boolean(), trackConfig])
    .default(false)
    .describe('Gives detections track ids, with these settings; default false.'),
  every: every.default(1).describe('Infer every n-th frame, 1 to 1000; default 1.'),
  parquet: parquet.describe('A Parquet file for each input, beside its JSON lines; default false.'),
  stages: stagesConfig
    .min(1)
    .optional()
    .describe('Second stages that look at the objects, as in a pipeline file; objects are then tracked.'),
  segmentSeconds: segmentSeconds
    .default(DEFAULT_SEGMENT_S)
    .describe('Length of the segments in seconds of media time, 0 to 86,400; 0 leaves files whole; default 60.'),
  priority: priority.default(0).describe('0 to 1000; jobs of higher priority run first; default 0.'),
});

/** A job with its report and failures. The list of inputs is left out, since it can be long. */
export interface JobView {
  /** Its progress. */
  readonly report: JobReport;
  /** What was ordered. */
  readonly order: Omit<JobOrder, 'inputs'>;
  /** Its tasks that failed and are not tried again. */
  readonly deadLetters: readonly DeadLetter[];
}

/** `POST /api/streams/:id/move`: the host to run it; null lets the fleet choose. */
export const moveRequest = z.strictObject({ host: name.min(1).nullable() });

/** How many hosts a fleet needs: `GET /api/scale`. */
export interface ScaleReply {
  /** The recommended number of hosts; null before the first estimate. */
  readonly scale: FleetReport['scale'];
  /** Number of hosts. */
  readonly hosts: number;
  /** Tasks of all jobs. */
  readonly queue: FleetReport['queue'];
}

/** What an operator can do with a roll-out. */
export type RolloutVerb = 'promote' | 'hold' | 'resume' | 'abort' | 'undo';

/** A step of a roll-out, by its index. */
export interface SeenStep {
  /** Id of the roll-out. */
  readonly rollout: string;
  /** Index into `steps` of the roll-out. */
  readonly step: number;
}

/** A new roll-out: either `model`, or `settings`. */
export const rolloutRequest = request('RolloutRequest', {
  model: modelConfig.shape.name
    .unwrap()
    .optional()
    .describe('Name or path of a detector; all other settings stay as they are.'),
  settings: z
    .strictObject({
      model: modelConfig.describe('The detector and how it is run.'),
      batch: batchConfig.prefault({}).describe('Sizes of batches.'),
      lanes: whole(1, 64).optional().describe('Lane threads; only a restart changes them.'),
      defaults: z
        .record(z.string(), z.unknown())
        .optional()
        .describe('Settings of every stream that does not set them itself.'),
      streams: z
        .array(z.looseObject({ id: z.string().describe('Name of the stream.') }))
        .optional()
        .describe('Settings of single streams, by their `id`.'),
    })
    .optional()
    .describe(
      'The sections of a pipeline file that a version has, and those of its stream settings that a roll-out can change.',
    ),
  partial: z
    .boolean()
    .default(false)
    .describe('Starts although some settings need a restart; they are left out. Default false.'),
  predicted: prediction.optional().describe('The gain that the optimiser expects.'),
  labelled: labelledVerdict
    .optional()
    .describe(
      'How good both versions are on labelled pictures. If the candidate is another network, it is judged by this, and not by its agreement with the control. `pictures` and `interval` are needed.',
    ),
  steps: z
    .array(range(0.1, 100))
    .min(1)
    .max(MOST_STEPS - 3)
    .refine((steps) => steps.every((share, i) => i === 0 || share > steps[i - 1]!), 'expected rising percentages')
    .refine((steps) => steps.at(-1) === 100, 'expected a list that ends with 100')
    .default([1, 10, 50, 100])
    .describe('Percentages of the streams, rising, 0.1 to 100, the last one 100; default 1, 10, 50, 100.'),
  holdMs: whole(0, 7 * 86_400_000)
    .default(60_000)
    .describe('Shortest time of a step, in milliseconds; default 60,000.'),
  minFrames: whole(1, 1_000_000_000)
    .default(1000)
    .describe('Fewest frames that the candidate infers in a step; default 1000.'),
  guards: z.record(z.string(), z.unknown()).default({}).describe('Settings of guards, by name, see docs/guards.md.'),
  shadow: z
    .boolean()
    .default(false)
    .describe('Lets the candidate infer frames of streams that use the control, to compare the boxes; default false.'),
  shadowRatio: range(0.01, 1)
    .default(0.2)
    .describe("Share of a stream's frames that both versions infer, 0.01 to 1; default 0.2."),
  recorded: z
    .union([
      z.strictObject({ lastMs: whole(60_000, 31 * 86_400_000).describe('Length of the time that ends now.') }),
      z
        .strictObject({
          fromMs: timeMs.describe('Its beginning, milliseconds since 1970.'),
          toMs: timeMs.describe('Its end.'),
        })
        .refine(({ fromMs, toMs }) => fromMs < toMs, 'expected fromMs before toMs'),
    ])
    .optional()
    .describe(
      'Before the candidate gets a frame, both versions run over what is recorded of this time, and events that are lost and gained are judged (guards.recorded).',
    ),
  by: z.string().max(128).optional().describe('Who starts it, for the audit log. Only for a gateway without tokens.'),
});

/** Whether the process lives: `GET /healthz`. */
export interface HealthReply {
  /** Always the same: a process that cannot answer gives no reply. */
  readonly status: 'alive';
  /** Version of Sightline. */
  readonly version: string;
}

/** Whether the pipeline can work: `GET /readyz`. */
export interface ReadyReply {
  /**
   * degraded: it works, but a sink, the history or recordings cannot be written, a stream could not be started, or a version could not be
   * loaded. Without a token: ready.
   */
  readonly status: 'ready' | 'degraded' | 'not-ready';
  /** Why, with the path where it is a disk, and what waits; only with a token of role viewer. */
  readonly reason?: string;
  /** What is short, and what helps, while more is asked of the host than it can do; absent otherwise. It is ready all the same. */
  readonly overload?: string;
}

/** The settings of a pipeline file, and those in use now. From the gateway, without secrets. */
export interface PipelineReport {
  /** Name of the pipeline. */
  readonly name: string;
  /** Path of the pipeline file; null if there is none to read again. */
  readonly path: string | null;
  /** The pipeline as its file has it, defaults filled in. */
  readonly file: object;
  /** What was changed of the streams, by stream; null if that is not kept here. */
  readonly overlay: {
    /** File that keeps the changes. */
    readonly path: string;
    /** The changes, by stream. */
    readonly streams: object;
    /** What does not fit the file. */
    readonly notes: readonly string[];
    /** Why changes are not kept now; null if they are. */
    readonly problem: string | null;
  } | null;
  /** Why changes of streams do not survive a restart, in one sentence; null if they do. Absent from older gateways. */
  readonly keepingProblem?: string | null;
  /** The pipeline as it runs, defaults filled in. */
  readonly effective: object;
  /** Streams that an operator has paused. */
  readonly paused: readonly string[];
  /** Sections of the file that have changed and that only a restart applies. */
  readonly needsRestart: readonly string[];
}

/** A stream with its settings: what all requests about one stream are answered with. */
export interface StreamDetails extends StreamReport {
  /** All settings, defaults filled in; the source without secrets. */
  readonly settings: StreamConfig;
  /** Another text after each change of the settings, for `etag` of the next request. */
  readonly etag: string;
}
