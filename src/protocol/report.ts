/**
 * The report that telemetry makes once a second: the shape of `stats`, of `GET /api/streams` and of a command's summary. The
 * schemas validate reports of other hosts from the bus; unknown keys from newer hosts are left out.
 */
import { z } from 'zod';
import type { DropReason } from '../core/frame.ts';
import { amount, count, durationMs, id, name, text, timeMs, type Wire } from './bounds.ts';

const percentiles = z.object({
  /** Number of samples. If it is 0, all figures are 0. */
  count,
  /** Milliseconds, like the figures below. */
  p50: durationMs,
  p95: durationMs,
  p99: durationMs,
  max: durationMs,
});
/** Percentiles of `count` samples, in milliseconds; all 0 if there is none. */
export type Percentiles = Wire<typeof percentiles>;

/** The states of a stream. */
export const STREAM_STATES = [
  'starting',
  'running',
  'reconnecting',
  'pausing',
  'paused',
  'ended',
  'failed',
  'removing',
  'removed',
] as const;
/** One of `STREAM_STATES`. */
export type StreamState = (typeof STREAM_STATES)[number];

/**
 * Stages of a frame's latency. decode: captured to decoded; preprocess: to preprocessed; queue: to batched;
 * infer: to inferred; publish: to published (waiting for earlier frames of the same stream included).
 */
export const LATENCY_STAGES = ['decode', 'preprocess', 'queue', 'infer', 'publish'] as const;
/** A stage of a frame's latency. */
export type LatencyStage = (typeof LATENCY_STAGES)[number];

/** Invariant: in = published + sum of dropped + inFlight, exactly, at any time. */
const frameCounters = z.object({
  in: count,
  published: count,
  inFlight: count,
  /** By reason. Newer hosts may send unknown reasons. */
  dropped: z.record(name, count).refine((reasons) => Object.keys(reasons).length <= 64, 'expected at most 64 reasons'),
});
/** Frames since the stream began, by what became of them. */
export interface FrameCounters extends Omit<Wire<typeof frameCounters>, 'dropped'> {
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>;
}

const resultCounters = z.object({
  /** Published frames by origin; their sum is `published`. */
  inferred: count,
  tracked: count,
  unchanged: count,
  /** Inferences saved because an equal picture had been inferred before; such frames count as inferred above. */
  cached: count,
});
/** Published frames by the origin of their results. */
export type ResultCounters = Wire<typeof resultCounters>;

export const zoneCount = z.object({
  id,
  /** Objects inside now. */
  inside: count,
});

const lineCount = z.object({
  id,
  /** Crossings since the start, looking along the line from its first to its second point. */
  leftToRight: count,
  rightToLeft: count,
});
/** Crossings of a line since the start, in each direction. */
export type LineCount = Wire<typeof lineCount>;

/** A point of the picture, 0 to 1 of its width and height. */
const point = z.tuple([z.number().min(0).max(1), z.number().min(0).max(1)]);
/** Most points of all zones of a stream. A report with more has no polygons: it is sent every second. */
export const MAX_POINTS = 2000;
/** Where zones and lines are; absent from older hosts, and for streams with more than `MAX_POINTS`. */
const placedZone = zoneCount.extend({ polygon: z.array(point).max(MAX_POINTS).optional() });
const placedLine = lineCount.extend({ from: point.optional(), to: point.optional() });

/** Maximum number of zones, and of lines, of a stream. */
export const MAX_COUNTERS = 1000;

export const streamReport = z.object({
  id,
  /** Where the pixels come from, credentials redacted. */
  source: text,
  state: z.enum(STREAM_STATES),
  policy: z.enum(['live', 'file']),
  /** Incremented with each report of this stream. */
  seq: count,
  /** True if certificates of the source are not verified; absent if they are. */
  insecureTls: z.literal(true).optional(),
  /** Measured over the sliding window, not the rate that the source declares. */
  fps: z.object({ in: amount, inferred: amount, published: amount }),
  target: z.object({ fps: amount.nullable(), latencyMs: amount.nullable() }),
  /** A target has been missed for some seconds and has not recovered. */
  isMissing: z.object({ fps: z.boolean(), latency: z.boolean() }),
  /** Why each target is missed, in one phrase, such as "publishes 2.0 of 25 frames/s because maxFps is 2"; null if it is not. */
  missReasons: z.object({ fps: text.nullable(), latency: text.nullable() }).optional(),
  /** Captured to published. */
  latencyMs: z.object({ window: percentiles, total: percentiles }),
  stagesMs: z.object({
    decode: percentiles,
    preprocess: percentiles,
    queue: percentiles,
    infer: percentiles,
    publish: percentiles,
  } satisfies Record<LatencyStage, typeof percentiles>),
  frames: frameCounters,
  /** How the published frames got their results; absent from older hosts. */
  results: resultCounters.optional(),
  /** If the tracker predicts frames between: every how many frames one is inferred now, and the most since the start. */
  detectEvery: z.object({ now: count, longest: count }).optional(),
  /** Frames waiting for a batch now. */
  queueDepth: count,
  decodeErrors: count,
  /** Times that the source was reopened. */
  reconnects: count,
  /** Last known size in source pixels; null before the first frame. */
  width: count.nullable(),
  height: count.nullable(),
  priority: z.number().int(),
  weight: amount,
  zones: z.array(placedZone).max(MAX_COUNTERS),
  lines: z.array(placedLine).max(MAX_COUNTERS),
  /** The last error in one sentence; null if there was none. */
  lastError: text.nullable(),
  /** Only if it could not be started, for the reason in `lastError`. */
  startFailure: z
    .object({
      code: name,
      /** Attempts to start it so far. */
      attempts: count,
      /** When it is tried again, wall clock; null if it is not. */
      retryAtMs: timeMs.nullable(),
    })
    .optional(),
  /** In a fleet, the host that runs it; absent if none does. */
  host: id.optional(),
  /** In a fleet, the fence of the lease that it runs under; increases with every new holder. */
  fence: count.optional(),
});
/** The figures of a stream: state, rates in frames per second, latencies in milliseconds, frames by what became of them. */
export interface StreamReport extends Omit<Wire<typeof streamReport>, 'frames'> {
  readonly frames: FrameCounters;
}

/** Stages whose busy ratio is published. */
export const BUSY_STAGES = ['decode', 'preprocess', 'infer', 'main'] as const;
/** From this ratio on, the busiest stage limits the host; below it, all stages have room. The page has the same number. */
export const BOTTLENECK_RATIO = 0.8;
/** A stage whose busy ratio is published. */
export type BusyStage = (typeof BUSY_STAGES)[number];

const batchReport = z.object({
  /** Model inputs per batch, without padding -> number of batches since the start. */
  histogram: z
    .record(z.string().regex(/^\d{1,6}$/), count)
    .refine((sizes) => Object.keys(sizes).length <= 1024, 'expected at most 1024 sizes'),
  maxBatch: count,
  /** Size that the batcher settled on; null while it measures. */
  settledSize: count.nullable(),
  /** The reason for the size, with the figures. */
  reason: text,
});
/** Sizes of batches, in model inputs. */
export type BatchReport = Wire<typeof batchReport>;

const deviceReport = z.object({
  engine: name,
  /** Execution provider or backend, e.g. `cpu`, `cuda`. */
  provider: name,
  device: name,
  precision: name,
  threads: count,
  model: name,
  inputWidth: count,
  inputHeight: count,
  /** Time of a frame on each engine that `auto` compared, fastest first; absent if it compared none. */
  comparison: text.optional(),
});
/** What runs the model. `inputWidth` and `inputHeight` in pixels. */
export type DeviceReport = Wire<typeof deviceReport>;

/**
 * Why a sink lost results. overflow: it could not keep up, or was broken for too long; failed: it does not write any more;
 * refused: the receiver does not want them; damaged: they could not be read back from the spool.
 */
export const LOSS_REASONS = ['overflow', 'failed', 'refused', 'damaged'] as const;
/** Why a sink lost a result, see `LOSS_REASONS`. */
export type LossReason = (typeof LOSS_REASONS)[number];

const sinkReport = z.object({
  id: name,
  /** Why nothing can be written now, in one sentence; null if it can. */
  problem: text.nullable(),
  /** Results that were written or delivered. */
  sent: count,
  /** Results accepted and not sent yet, those of earlier runs in a spool included. */
  waiting: count,
  /** Attempts after a failure. */
  retried: count,
  /** Results by reason. Newer hosts may send unknown reasons. */
  lost: z.record(name, count).refine((reasons) => Object.keys(reasons).length <= 64, 'expected at most 64 reasons'),
});
/** A sink since its start. A video counts pictures. */
export interface SinkReport extends Omit<Wire<typeof sinkReport>, 'lost'> {
  readonly lost: Readonly<Partial<Record<LossReason, number>>>;
}

export const hostReport = z.object({
  uptimeS: amount,
  cores: count,
  /** CPU used by this process and its ffmpeg children, 1 = one core. */
  cpuCores: amount,
  rssBytes: amount,
  /** ffmpeg children, if the system reports it. */
  childRssBytes: amount,
  memoryTotalBytes: amount,
  eventLoop: z.object({ p99DelayMs: amount, utilizationRatio: amount }),
  /** Fraction of its own capacity that each stage used in the last second, 0 to 1. */
  busyRatio: z.object({ decode: amount, preprocess: amount, infer: amount, main: amount } satisfies Record<
    BusyStage,
    typeof amount
  >),
  bottleneck: z.enum(BUSY_STAGES),
  device: deviceReport,
  batch: batchReport,
  /** Absent from older hosts. */
  sinks: z.array(sinkReport).max(MAX_COUNTERS).optional(),
});
/** The figures of a host: device, batches, processor, sinks. */
export interface HostReport extends Omit<Wire<typeof hostReport>, 'sinks'> {
  readonly sinks?: readonly SinkReport[];
}
