/**
 * Records that hosts, gateways and the control plane exchange. All are small JSON without pixels or single frames of a job.
 * They are read from Redis with these schemas, and another version may have written them: unknown keys are left out, and a
 * record with a missing or wrong field is ignored.
 */
import { z } from 'zod';
import type { TrackSettings } from '../../settings/config/keys/stream-keys.ts';
import { type StageConfig, stagesConfig } from '../../settings/config/stages.ts';
import { storedStreamConfig } from '../../settings/config/stream.ts';
import { trackConfig } from '../../settings/config/track.ts';
import { amount, count, id, name, record, text } from './bounds.ts';
import type { RuleEvent } from './rule-event.ts';

export type { DeadLetter, HostCard, JobReport } from './keys/reports.ts';

/** What a host reports about itself with every heartbeat. */
export const hostCard = record('HostCard', {
  id: id.describe('Name of the host.'),
  pipeline: name
    .min(1)
    .describe(
      'Hosts of one pipeline run the same model with the same settings. Streams and jobs name the pipeline that they need.',
    ),
  model: name.describe('For people: model, input size, engine, precision.'),
  models: z
    .array(id)
    .max(256)
    .optional()
    .describe('Names of the detectors that streams can name; absent from older hosts.'),
  unfit: z
    .array(name)
    .max(64)
    .optional()
    .describe(
      'Second stages of jobs that it could not load in the last minutes, by their hashes; absent if there are none.',
    ),
  url: text
    .nullable()
    .describe(
      'Address of its gateway: where it listens, or its `gateway.publicUrl` where that is no address for other machines; null if it has none.',
    ),
  capacityFps: z
    .number()
    .positive()
    .max(1e9)
    .describe(
      'Inferences per second that it can sustain, measured at its start or configured; after an overload as seen in it, for ten minutes.',
    ),
  liveFps: amount.describe('Inferences per second for live streams, over the last seconds.'),
  bulkFps: amount.describe('Inferences per second for segments of jobs, over the last seconds.'),
  streams: count.describe('Streams that it holds a lease of.'),
  segments: count.describe('Segments of jobs that it infers now.'),
  overload: text
    .optional()
    .describe(
      'What is short, and what helps, while more is asked of it than it can do; absent otherwise, and from older hosts.',
    ),
  isLeaving: z
    .boolean()
    .optional()
    .describe('It stops and hands over its streams; absent otherwise, and from older hosts.'),
  startedMs: count.describe('When it started, milliseconds since 1970.'),
  version: name.describe('Version of Sightline.'),
});

/** A live stream that an operator has ordered, independent of the host that runs it. */
export const streamOrder = z.object({
  id,
  pipeline: name.min(1),
  config: tolerant(storedStreamConfig),
  isPaused: z.boolean(),
  /** The host that an operator chose (`streams move`); null: the planner chooses. */
  wantedHost: id.nullable(),
  createdMs: count,
  /** Incremented with every change, so that a host can tell whether it runs the newest version. */
  revision: count,
});
export type StreamOrder = z.infer<typeof streamOrder>;

/** The planner's decision for one stream. The host still needs the lease to run it. */
export const assignment = z.object({
  hostId: id,
  /** Inferences a second while the fleet is full, one for each view of a frame; null: the rate of the order. */
  maxFps: z.number().positive().max(1e9).nullable(),
  sinceMs: count,
});
export type Assignment = z.infer<typeof assignment>;

/** The right to run a stream until it expires. `fence` increases with every new holder. */
export const lease = z.object({ hostId: id, fence: count, expiresMs: count });
export type Lease = z.infer<typeof lease>;

/** What a rule reports, see `RuleEvent`. A newer version's fields are kept. */
export const ruleRecord = z.looseObject({
  id: text.min(1),
  stream: id,
  rule: text,
  kind: text,
  reason: text,
  seq: count,
  phase: z.enum(['new', 'update', 'end']),
  label: text.optional(),
  zone: text.optional(),
  line: text.optional(),
});

/** An event of a rule that is open, or of which sinks may lack something. */
export const keptEvent = z.object({
  /** Whether the host has handed its records out. */
  isSent: z.boolean(),
  /** The newest one, or all that were not handed out. */
  records: z.array(ruleRecord).min(1),
});
export interface KeptEvent {
  readonly isSent: boolean;
  readonly records: readonly RuleEvent[];
}

/** Maximum number of files in a job. */
export const MOST_INPUTS = 100_000;
/** Maximum number of segments of a file: roughly a week in segments of half a second. */
export const MOST_SEGMENTS = 1_000_000;

/** Settings of the tracker of a job, defaults filled in. */
export type JobTracking = Readonly<Record<Exclude<keyof TrackSettings, DependentTracking>, number>> &
  Pick<TrackSettings, DependentTracking>;
/** Those whose default depends on other settings. */
type DependentTracking = 'lostMs' | 'minHits' | 'highScore' | 'newScore';

/** A job as it is stored. */
export interface JobOrder {
  /** Name of the job. */
  readonly id: string;
  /** Its hosts run this pipeline. */
  readonly pipeline: string;
  /** Absolute paths of files below the hosts' roots; folders and patterns are already expanded. */
  readonly inputs: readonly string[];
  /** Folder that gets one JSONL file for each input; an absolute path on the hosts. */
  readonly outDir: string;
  /** Whether detections get track ids, or the settings of the tracker. */
  readonly track: boolean | JobTracking;
  /** Every n-th frame is inferred, 1 to 1000. */
  readonly every: number;
  /** Each input gets a Parquet file too. */
  readonly parquet?: boolean | undefined;
  /** Second stages that look at the objects, which are then tracked. */
  readonly stages?: readonly StageConfig[] | undefined;
  /** Files are split at key frames into segments of about this length, in seconds of media time; 0 leaves them whole. */
  readonly segmentSeconds: number;
  /** 0 to 1000. Jobs of higher priority run first; live streams have precedence over all jobs. */
  readonly priority: number;
  /** When it was submitted, milliseconds since 1970. */
  readonly createdMs: number;
  /** Random name of the folder for its segment results; absent in orders of earlier versions, which use the id. */
  readonly partsKey?: string | undefined;
}
export const jobOrder = z.object({
  id,
  pipeline: name.min(1),
  inputs: z.array(text.min(1)).min(1).max(MOST_INPUTS),
  outDir: text.min(1),
  track: tolerant(z.union([z.boolean(), trackConfig])),
  every: z.number().int().min(1).max(1000),
  parquet: z.boolean().optional(),
  stages: tolerant(stagesConfig).optional(),
  segmentSeconds: z.number().min(0).max(86_400),
  priority: z.number().int().min(0).max(1000),
  createdMs: count,
  partsKey: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
});

/** A segment of a file, in microseconds of media time. */
export const segmentSpan = z.object({
  index: count,
  /** Media time of the first frame; null for the start of the file. */
  fromUs: z.number().int().nullable(),
  /** Exclusive end, media time; null for the end of the file. */
  toUs: z.number().int().nullable(),
  /** Number of frames before it, according to the container. */
  firstFrame: count,
  /** Number of frames in it, according to the container; absent for a file that is not split. */
  frames: count.optional(),
});
export type SegmentSpan = z.infer<typeof segmentSpan>;

/** One unit of work in the queue. The queue's id is made from job, file and segment, so that adding is idempotent. */
export const task = z.discriminatedUnion('kind', [
  /** Finds the key frames of a file, and queues its segments and the task that merges their results. */
  z.object({ kind: z.literal('split'), jobId: id, pipeline: name.min(1), file: count }),
  /** Infers every frame of a segment and writes its segment result. */
  z.object({ kind: z.literal('segment'), jobId: id, pipeline: name.min(1), file: count, span: segmentSpan }),
  /** Merges the segment results of a file, with tracking if the job wants it. */
  z.object({
    kind: z.literal('merge'),
    jobId: id,
    pipeline: name.min(1),
    file: count,
    segments: count.max(MOST_SEGMENTS),
  }),
]);
export type Task = z.infer<typeof task>;

export const JOB_STATES = ['waiting', 'running', 'done', 'failed', 'cancelled'] as const;
/** State of a job. */
export type JobState = (typeof JOB_STATES)[number];

/** The progress of a job. */
export const jobReport = record('JobReport', {
  id: id.describe('Name of the job.'),
  pipeline: name.describe('Its hosts run this pipeline.'),
  state: z.enum(JOB_STATES).describe('What the job does now.'),
  inputs: count.describe('Number of input files.'),
  filesDone: count.describe('Number of files whose results are written.'),
  segments: count.describe('Segments of the files that have been split so far.'),
  segmentsDone: count.describe('Segments that were inferred.'),
  deadLetters: count.describe('Tasks that failed and are not tried again.'),
  progressRatio: z.number().min(0).max(1).describe('Segments done divided by segments expected, 0 to 1.'),
  frames: count.describe('Frames that were inferred.'),
  secondsLeft: amount
    .nullable()
    .describe('Seconds until it is done, estimated from the speed so far; null while there is no estimate.'),
  createdMs: count.describe('When it was submitted, milliseconds since 1970.'),
  finishedMs: count.nullable().describe('When it ended, milliseconds since 1970; null if it has not.'),
  outDir: text.describe('Folder with one JSONL file for each input; an absolute path on the hosts.'),
});

/** A task of a job that failed and is not tried again, and why. */
export const deadLetter = record('DeadLetter', {
  taskId: name.describe('Id of the task in the queue.'),
  jobId: id.describe('Name of its job.'),
  kind: z
    .enum(['split', 'segment', 'merge'])
    .describe(
      'What the task was to do with the input: find its segments, infer a segment, or merge the results of all.',
    ),
  input: text.describe('Path of the input file.'),
  reason: text.describe('Why it failed, one sentence.'),
  attempts: count.describe('How often it was tried.'),
  failedMs: count.describe('When it failed last, milliseconds since 1970.'),
});

/** Topics that hosts publish. Consumers drop messages with a lower fence than they have seen for the stream. */
export const BUS_TOPICS = ['stats', 'events', 'detections', 'preview', 'wake', 'rollout', 'observations'] as const;
export type BusTopic = (typeof BUS_TOPICS)[number];

/**
 * Returns a schema that strips unknown keys at any depth instead of refusing them. In settings written by a person an unknown
 * key is a typing mistake; in a record of another host it is a setting of a newer version.
 */
export function tolerant<S extends z.ZodType>(schema: S): S {
  return relaxed(schema) as S;
}

function relaxed(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodObject) {
    const shape = Object.fromEntries(
      Object.entries(schema.def.shape).map(([key, field]) => [key, relaxed(field as z.ZodType)]),
    );
    return schema.clone({ ...schema.def, shape, catchall: undefined } as never);
  }
  if (schema instanceof z.ZodArray)
    return schema.clone({ ...schema.def, element: relaxed(schema.def.element as z.ZodType) });
  if (schema instanceof z.ZodUnion)
    return schema.clone({ ...schema.def, options: schema.def.options.map((option) => relaxed(option as z.ZodType)) });
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  )
    return schema.clone({ ...schema.def, innerType: relaxed(schema.def.innerType as z.ZodType) } as never);
  return schema;
}
