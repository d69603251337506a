/**
 * What hosts, gateways and the control plane say to each other. Everything here is small JSON; no pixel and no single frame of a
 * job. Records are read from Redis by these schemas, and another version may have written them: unknown keys are left out, a
 * record with a missing or wrong field is passed over.
 */
import { z } from 'zod';
import { streamConfig } from '../config/stream.ts';
import { trackConfig } from '../config/track.ts';
import { amount, count, id, name, text } from './bounds.ts';
import { tolerant } from './tolerant.ts';

/** What a host says of itself with every heartbeat. */
export const hostCard = z.object({
  id,
  /** Hosts of one pipeline run the same model the same way; streams and jobs name the pipeline that they want. */
  pipeline: name.min(1),
  /** For people: model, input size, engine, precision. */
  model: name,
  /** Where its gateway listens; null where it has none. */
  url: text.nullable(),
  /** Inferences a second that it sustains, measured at its start or set. */
  capacityFps: z.number().positive().max(1e9),
  /** Inferences a second that live streams and segments took over the last seconds. */
  liveFps: amount,
  bulkFps: amount,
  /** Streams that it holds a lease of. */
  streams: count,
  segments: count,
  startedMs: count,
  version: name,
});
export type HostCard = z.infer<typeof hostCard>;

/** A live stream that the fleet is to run: what an operator asked for, whoever runs it. */
export const streamOrder = z.object({
  id,
  pipeline: name.min(1),
  config: tolerant(streamConfig),
  isPaused: z.boolean(),
  /** A host that an operator chose (`streams move`); null leaves it to the planner. */
  wantedHost: id.nullable(),
  createdMs: count,
  /** Rises with every change, so that a host knows whether it runs the newest. */
  revision: count,
});
export type StreamOrder = z.infer<typeof streamOrder>;

/** The planner's decision for one stream. Running it still takes the lease. */
export const assignment = z.object({
  hostId: id,
  /** Frame rate that it is held to while the fleet is full; null for all that the order asks for. */
  maxFps: z.number().positive().max(1e9).nullable(),
  sinceMs: count,
});
export type Assignment = z.infer<typeof assignment>;

/** The right to run a stream until it expires. `fence` rises with every new holder. */
export const lease = z.object({ hostId: id, fence: count, expiresMs: count });
export type Lease = z.infer<typeof lease>;

/** Files of a job. */
export const MOST_INPUTS = 100_000;
/** Segments of a file: a week in parts of half a second, roughly. */
export const MOST_SEGMENTS = 1_000_000;

/** A bulk job as a user submits it. */
export const jobOrder = z.object({
  id,
  pipeline: name.min(1),
  /** Files, absolute paths below the hosts' roots; folders and patterns were expanded before. */
  inputs: z.array(text.min(1)).min(1).max(MOST_INPUTS),
  /** Folder that gets one JSONL file for each input. */
  outDir: text.min(1),
  track: tolerant(z.union([z.boolean(), trackConfig])),
  every: z.number().int().min(1).max(1000),
  /** Files are split at key frames into parts of about this length; 0 leaves them whole. */
  segmentSeconds: z.number().min(0).max(86_400),
  /** Higher goes first among jobs; live streams go before all of them. */
  priority: z.number().int().min(0).max(1000),
  createdMs: count,
});
export type JobOrder = z.infer<typeof jobOrder>;

/** A stretch of a file between two clean key frames, in microseconds of media time. */
export const segmentSpan = z.object({
  index: count,
  /** First frame's media time; null for the start of the file. */
  fromUs: z.number().int().nullable(),
  /** Media time that no frame of it reaches; null for the end of the file. */
  toUs: z.number().int().nullable(),
  /** Frames before it, as the container lists them. */
  firstFrame: count,
  /** Frames in it, as the container lists them; absent for a file that stays whole. */
  frames: count.optional(),
});
export type SegmentSpan = z.infer<typeof segmentSpan>;

/** One piece of work in the queue. `id`s are made from job, file and segment, so that asking twice is asking once. */
export const task = z.discriminatedUnion('kind', [
  /** Find the key frames of one file and put its segments and their merge in the queue. */
  z.object({ kind: z.literal('split'), jobId: id, pipeline: name.min(1), file: count }),
  /** Infer every frame of one stretch and write its part. */
  z.object({ kind: z.literal('segment'), jobId: id, pipeline: name.min(1), file: count, span: segmentSpan }),
  /** Put the parts of one file together, with tracking where it is asked for. */
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
export type JobState = (typeof JOB_STATES)[number];

/** How far a job is. */
export const jobReport = z.object({
  id,
  pipeline: name,
  state: z.enum(JOB_STATES),
  inputs: count,
  filesDone: count,
  /** Of the files that were split so far. */
  segments: count,
  segmentsDone: count,
  deadLetters: count,
  /** 0 to 1, by segments done of those expected. */
  progressRatio: z.number().min(0).max(1),
  frames: count,
  /** Estimate from the pace so far; null before there is one. */
  secondsLeft: amount.nullable(),
  createdMs: count,
  finishedMs: count.nullable(),
  outDir: text,
});
export type JobReport = z.infer<typeof jobReport>;

/** A task that failed for good, and why. */
export const deadLetter = z.object({
  taskId: name,
  jobId: id,
  kind: z.enum(['split', 'segment', 'merge']),
  input: text,
  reason: text,
  attempts: count,
  failedMs: count,
});
export type DeadLetter = z.infer<typeof deadLetter>;

/** What a host publishes of a stream it runs; consumers drop what carries a lower fence than they have seen. */
export const BUS_TOPICS = ['stats', 'events', 'detections', 'preview', 'wake'] as const;
export type BusTopic = (typeof BUS_TOPICS)[number];
