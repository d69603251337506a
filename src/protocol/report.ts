/**
 * The report that telemetry makes once a second: the shape of `stats`, of `GET /api/streams` and of a command's summary. The
 * schemas validate reports of other hosts from the bus; unknown keys from newer hosts are left out. The interfaces have the same keys,
 * with what an editor shows about them.
 */
import { z } from 'zod';
import { BLIND_SIGNS, type BlindSign } from '../core/blind-sign.ts';
import type { RatioPoint } from '../core/detection.ts';
import type { DropReason, ZoneCount } from '../core/frame.ts';
import { amount, count, durationMs, id, name, text, timeMs } from './bounds.ts';
import type { LatencyCounts, LatencyHistogram, LatencyStage } from './latency.ts';
import { forStages, latencyCounts, latencyHistogram } from './latency.ts';
import { type LoweredReport, loweredReport, type OverloadReport, overloadReport } from './overload.ts';
import { type PowerFigures, powerFigures } from './power-report.ts';
import { type SecondStageFigures, secondStageFigures } from './second-stage-report.ts';
import { type TracingFigures, tracingFigures } from './tracing-figures.ts';

/** Percentiles of `count` samples, in milliseconds; all 0 if there is none. */
export interface Percentiles {
  /** Number of samples. */
  readonly count: number;
  /** Median, in milliseconds. */
  readonly p50: number;
  /** 95th percentile, in milliseconds. */
  readonly p95: number;
  /** 99th percentile, in milliseconds. */
  readonly p99: number;
  /** Largest sample, in milliseconds. */
  readonly max: number;
}
const percentiles = z.object({ count, p50: durationMs, p95: durationMs, p99: durationMs, max: durationMs });

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
 * Why a stream was not watched. down: its source gave no frames; paused: somebody paused it; shed: frames came, but no result, as when
 * the detector is overloaded or restarts; black, frozen: the picture showed nothing, see its signs.
 */
export const BLIND_REASONS = ['down', 'paused', 'shed', 'black', 'frozen'] as const;
/** One of `BLIND_REASONS`. */
export type BlindReason = (typeof BLIND_REASONS)[number];

/** How long a live stream was watched since its start: totalMs = watchedMs + sum of blindMs, exactly. */
export interface SeeingReport {
  /** Time since its start. */
  readonly totalMs: number;
  /** Of which its results showed the scene. */
  readonly watchedMs: number;
  /** By reason: `down`, `paused`, `shed`, `black`, `frozen`. */
  readonly blindMs: Readonly<Partial<Record<BlindReason, number>>>;
}

/** What the rules of a stream did: raised = ended + those that are open. */
export interface EventFigures {
  /** Events so far. */
  readonly raised: number;
  /** Of which are over. */
  readonly ended: number;
  /** Met, but not raised. `times`: at another time of the week; `cooldown`: too soon after an event; `when`: the expression was false. */
  readonly suppressed: Readonly<Record<'times' | 'cooldown' | 'when', number>>;
}

/** What became of the events that a channel was to tell: raised = sent + grouped + sum of suppressed + failed + pending, exactly. */
export interface AlertFigures {
  /** Events that an alert matched, and what waited for the channel when the host started. */
  readonly raised: number;
  /** Messages that the channel delivered. */
  readonly sent: number;
  /** Told in the message of another event. */
  readonly grouped: number;
  /** Not told. `hold`: too soon after the last message; `quiet`: at a quiet time. */
  readonly suppressed: Readonly<Record<'hold' | 'quiet', number>>;
  /** Messages that were given up. */
  readonly failed: number;
  /** To be told: waits for the end of a group, or for the channel. */
  readonly pending: number;
}

/** Frames since the stream began, by what became of them: in = published + sum of dropped + inFlight, exactly, at any time. */
export interface FrameCounters {
  /** Frames that entered. */
  readonly in: number;
  /** Frames whose result was published. */
  readonly published: number;
  /** Frames that have entered and are neither published nor dropped. */
  readonly inFlight: number;
  /** Frames that were dropped, by reason. Newer hosts may send unknown reasons. */
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>;
}
const frameCounters = z.object({
  in: count,
  published: count,
  inFlight: count,
  dropped: z.record(name, count).refine((reasons) => Object.keys(reasons).length <= 64, 'expected at most 64 reasons'),
});

/** Published frames by the origin of their results: `published` = inferred + tracked + unchanged. */
export interface ResultCounters {
  /** Frames that the detector saw, `cached` included. */
  readonly inferred: number;
  /** Frames whose boxes the tracker predicted. */
  readonly tracked: number;
  /** Frames that repeat the last inferred result, because the picture had not changed. */
  readonly unchanged: number;
  /** Frames that needed no inference, because an equal picture had been inferred before; they count as inferred, too. */
  readonly cached: number;
}
const resultCounters = z.object({ inferred: count, tracked: count, unchanged: count, cached: count });

export const zoneCount = z.object({ id, inside: count });

/** Crossings of a line since the start, looking along it from its first to its second point. */
export interface LineCount {
  /** Name of the line. */
  readonly id: string;
  /** Objects that crossed from left to right. */
  readonly leftToRight: number;
  /** Objects that crossed from right to left. */
  readonly rightToLeft: number;
}
const lineCount = z.object({ id, leftToRight: count, rightToLeft: count });

/** A point of the picture, 0 to 1 of its width and height. */
const point = z.tuple([z.number().min(0).max(1), z.number().min(0).max(1)]);
/** Most points of all zones of a stream. A report with more has no polygons: it is sent every second. */
export const MAX_POINTS = 2000;

/** Objects inside a zone in the newest frame, and where the zone is. */
export interface PlacedZone extends ZoneCount {
  /** Corners. Absent from older hosts, and for streams with very many points. */
  readonly polygon?: readonly RatioPoint[];
}
const placedZone = zoneCount.extend({ polygon: z.array(point).max(MAX_POINTS).optional() });

/** Crossings of a line since the start, and where the line is. */
export interface PlacedLine extends LineCount {
  /** First end. Absent from older hosts. */
  readonly from?: RatioPoint;
  /** Second end. Absent from older hosts. */
  readonly to?: RatioPoint;
}
const placedLine = lineCount.extend({ from: point.optional(), to: point.optional() });

/** Maximum number of zones, and of lines, of a stream. */
export const MAX_COUNTERS = 1000;

/** The figures of a stream: state, rates in frames per second, latencies in milliseconds, frames by what became of them. */
export interface StreamReport {
  /** Name of the stream. */
  readonly id: string;
  /** Where the pixels come from, credentials redacted. */
  readonly source: string;
  /** What the stream does now. */
  readonly state: StreamState;
  /** Why the camera sees nothing although pictures come; null if nothing says so. Absent from older hosts. */
  readonly sign?: {
    /** What its pictures are. */
    readonly name: BlindSign;
    /** Since when, wall clock, milliseconds since 1970. */
    readonly sinceMs: number;
  } | null;
  /** Time since the last frame was decoded, in milliseconds; null before the first one. Absent from older hosts. */
  readonly lastFrameAgeMs?: number | null;
  /** Name of its detector among `models` of the pipeline; absent: the pipeline's own. */
  readonly model?: string;
  /** What happens to frames that cannot be handled at once: `live` drops the oldest, `file` waits. */
  readonly policy: 'live' | 'file';
  /** Incremented with each report of this stream. */
  readonly seq: number;
  /** True if certificates of the source are not verified; absent if they are. */
  readonly insecureTls?: true;
  /** Frames per second, measured over a sliding window; not the rate that the source declares. */
  readonly fps: {
    /** Frames that enter. */
    readonly in: number;
    /** Frames that the detector sees. */
    readonly inferred: number;
    /** Frames whose result is published. */
    readonly published: number;
  };
  /** What the operator expects, see `TargetSettings`. */
  readonly target: {
    /** Published frames per second, at least; null if none are expected. */
    readonly fps: number | null;
    /** 99th percentile of the latency in milliseconds, at most; null without a limit. */
    readonly latencyMs: number | null;
  };
  /** Which targets have been missed for some seconds and are still missed. */
  readonly isMissing: {
    /** True while too few frames are published. */
    readonly fps: boolean;
    /** True while frames are published too late. */
    readonly latency: boolean;
  };
  /** Why each target is missed. Absent from older hosts. */
  readonly missReasons?: {
    /** One phrase, such as "publishes 2.0 of 25 frames/s because maxFps is 2"; null if it is met. */
    readonly fps: string | null;
    /** One phrase; null if it is met. */
    readonly latency: string | null;
  };
  /** Time from captured to published, in milliseconds. */
  readonly latencyMs: {
    /** Of the newest frames. */
    readonly window: Percentiles;
    /** Of all frames since the stream began. */
    readonly total: Percentiles;
    /** The same by their length; absent from older hosts. */
    readonly counted?: LatencyCounts;
  };
  /** The parts of the latency of the newest frames, in milliseconds, see `LatencyStage`. */
  readonly stagesMs: Readonly<Record<LatencyStage, Percentiles>>;
  /** How long it was watched; absent before its first report, and from older hosts. */
  readonly seeing?: SeeingReport;
  /** What its rules did; absent before its first report, and from older hosts. */
  readonly events?: EventFigures;
  /** Frames since the stream began, by what became of them. */
  readonly frames: FrameCounters;
  /** How the published frames got their results; absent from older hosts. */
  readonly results?: ResultCounters;
  /** Only if not all frames are decoded, see `decode` of a stream. */
  readonly decode?: {
    /** Which frames are decoded. */
    readonly frames: 'reference' | 'key';
    /** Frames that were not decoded since the stream began; they do not enter. null if it is not known. */
    readonly skipped: number | null;
  };
  /** Every how many frames one is inferred; only if the tracker predicts the frames between. */
  readonly detectEvery?: {
    /** Now. */
    readonly now: number;
    /** The most since the start. */
    readonly longest: number;
  };
  /** Frames waiting for a batch now. */
  readonly queueDepth: number;
  /** Errors that ffmpeg reported while it decoded, since the stream began. */
  readonly decodeErrors: number;
  /** Connections to the source that were made again after a loss; attempts that failed do not count. */
  readonly reconnects: number;
  /** Last known width in source pixels; null before the first frame. */
  readonly width: number | null;
  /** Last known height in source pixels; null before the first frame. */
  readonly height: number | null;
  /** Streams of higher priority are served first. */
  readonly priority: number;
  /** Share of the detector relative to other streams of the same priority. */
  readonly weight: number;
  /** Objects inside each zone in the newest frame. */
  readonly zones: readonly PlacedZone[];
  /** Crossings of each line since the start. */
  readonly lines: readonly PlacedLine[];
  /** Why its tracks and the counts of its lines cannot be right, and what to do; absent if nothing is known. */
  readonly trackProblem?: string;
  /** The last error in one sentence; null if there was none. */
  readonly lastError: string | null;
  /**
   * Since when that is the error, wall clock, milliseconds since 1970; attempts that end with the same one do not change it. null if there
   * was none; absent from older hosts.
   */
  readonly lastErrorAtMs?: number | null;
  /** Only if it could not be started, for the reason in `lastError`. */
  readonly startFailure?: {
    /** Code of the error, see docs/errors.md. */
    readonly code: string;
    /** Attempts to start it so far. */
    readonly attempts: number;
    /** When it is tried again, wall clock, milliseconds since 1970; null if it is not. */
    readonly retryAtMs: number | null;
  };
  /** In a fleet, the host that runs it; absent if none does. */
  readonly host?: string;
  /** In a fleet, the fence of the lease that it runs under; increases with every new holder. */
  readonly fence?: number;
}
export const streamReport = z.object({
  id,
  source: text,
  state: z.enum(STREAM_STATES),
  model: z.string().max(64).optional(),
  sign: z
    .object({ name: z.enum(BLIND_SIGNS), sinceMs: timeMs })
    .nullable()
    .optional(),
  lastFrameAgeMs: durationMs.nullable().optional(),
  policy: z.enum(['live', 'file']),
  seq: count,
  insecureTls: z.literal(true).optional(),
  fps: z.object({ in: amount, inferred: amount, published: amount }),
  target: z.object({ fps: amount.nullable(), latencyMs: amount.nullable() }),
  isMissing: z.object({ fps: z.boolean(), latency: z.boolean() }),
  missReasons: z.object({ fps: text.nullable(), latency: text.nullable() }).optional(),
  latencyMs: z.object({ window: percentiles, total: percentiles, counted: latencyCounts.optional() }),
  stagesMs: z.object(forStages(() => percentiles)),
  seeing: z.object({ totalMs: amount, watchedMs: amount, blindMs: z.record(name, amount) }).optional(),
  events: z
    .object({ raised: count, ended: count, suppressed: z.object({ times: count, cooldown: count, when: count }) })
    .optional(),
  frames: frameCounters,
  results: resultCounters.optional(),
  decode: z.object({ frames: z.enum(['reference', 'key']), skipped: count.nullable() }).optional(),
  detectEvery: z.object({ now: count, longest: count }).optional(),
  queueDepth: count,
  decodeErrors: count,
  reconnects: count,
  width: count.nullable(),
  height: count.nullable(),
  priority: z.number().int(),
  weight: amount,
  zones: z.array(placedZone).max(MAX_COUNTERS),
  lines: z.array(placedLine).max(MAX_COUNTERS),
  trackProblem: text.optional(),
  lastError: text.nullable(),
  lastErrorAtMs: timeMs.nullable().optional(),
  startFailure: z.object({ code: name, attempts: count, retryAtMs: timeMs.nullable() }).optional(),
  host: id.optional(),
  fence: count.optional(),
});

/** Stages whose busy ratio is published. */
export const BUSY_STAGES = ['decode', 'preprocess', 'infer', 'main'] as const;
/** From this ratio on, the busiest stage limits the host; below it, all stages have room. The page has the same number. */
export const BOTTLENECK_RATIO = 0.8;
/** A stage whose busy ratio is published. */
export type BusyStage = (typeof BUSY_STAGES)[number];

/** Sizes of batches, in model inputs. */
export interface BatchReport {
  /** Number of batches since the start by their model inputs, without padding. */
  readonly histogram: Readonly<Record<string, number>>;
  /** Largest size that is allowed. */
  readonly maxBatch: number;
  /** Size that the batcher settled on; null while it measures. */
  readonly settledSize: number | null;
  /** The reason for the size, with the figures. */
  readonly reason: string;
}
const batchReport = z.object({
  histogram: z
    .record(z.string().regex(/^\d{1,6}$/), count)
    .refine((sizes) => Object.keys(sizes).length <= 1024, 'expected at most 1024 sizes'),
  maxBatch: count,
  settledSize: count.nullable(),
  reason: text,
});

/** What runs the model. */
export interface DeviceReport {
  /** Library that runs the network: `onnx`, `openvino`, `tensorflow` or `wasm`. */
  readonly engine: string;
  /** Execution provider or backend, e.g. `cpu`, `cuda`. */
  readonly provider: string;
  /** Name of the device. */
  readonly device: string;
  /** Number format that the engine computes in: f32, f16, bf16 or int8. */
  readonly precision: string;
  /** Inference threads. */
  readonly threads: number;
  /** Name of the detector. */
  readonly model: string;
  /** Width of a model input, in pixels. */
  readonly inputWidth: number;
  /** Height of a model input, in pixels. */
  readonly inputHeight: number;
  /** Time of a frame on each engine that `auto` compared, fastest first; absent if it compared none. */
  readonly comparison?: string;
}
const deviceReport = z.object({
  engine: name,
  provider: name,
  device: name,
  precision: name,
  threads: count,
  model: name,
  inputWidth: count,
  inputHeight: count,
  comparison: text.optional(),
});

/**
 * Why a sink lost results. overflow: it could not keep up, or was broken for too long; failed: it does not write any more;
 * refused: the receiver does not want them; damaged: they could not be read back from the spool.
 */
export const LOSS_REASONS = ['overflow', 'failed', 'refused', 'damaged'] as const;
/** Why a sink lost a result, see `LOSS_REASONS`. */
export type LossReason = (typeof LOSS_REASONS)[number];

/** A sink since its start. A video counts pictures, all others count results. */
export interface SinkReport {
  /** Name of the sink. */
  readonly id: string;
  /** Why nothing can be written now, in one sentence; null if it can. */
  readonly problem: string | null;
  /** Results that were written or delivered. */
  readonly sent: number;
  /** Results accepted and not sent yet, those of earlier runs in a spool included. */
  readonly waiting: number;
  /** Attempts after a failure. */
  readonly retried: number;
  /** Results that were lost, by reason. Newer hosts may send unknown reasons. */
  readonly lost: Readonly<Partial<Record<LossReason, number>>>;
}
const sinkReport = z.object({
  id: name,
  problem: text.nullable(),
  sent: count,
  waiting: count,
  retried: count,
  lost: z.record(name, count).refine((reasons) => Object.keys(reasons).length <= 64, 'expected at most 64 reasons'),
});

/** The figures of a host: device, batches, processor, sinks. */
export interface HostReport extends PowerFigures, SecondStageFigures {
  /** Seconds since its start. */
  readonly uptimeS: number;
  /** Processor cores of the machine. */
  readonly cores: number;
  /** CPU used by this process and its ffmpeg children, 1 = one core. */
  readonly cpuCores: number;
  /** Resident memory of this process, in bytes. */
  readonly rssBytes: number;
  /** Resident memory of the ffmpeg children, in bytes; 0 if the system does not report it. */
  readonly childRssBytes: number;
  /** Memory of the machine, in bytes. */
  readonly memoryTotalBytes: number;
  /** The event loop of the main thread in the last second. */
  readonly eventLoop: {
    /** 99th percentile of its delay, in milliseconds. */
    readonly p99DelayMs: number;
    /** Share of the time that it was busy, 0 to 1. */
    readonly utilizationRatio: number;
  };
  /** Share of its own capacity that each stage used in the last second, 0 to 1. */
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  /** The busiest stage. */
  readonly bottleneck: BusyStage;
  /** What runs the model. */
  readonly device: DeviceReport;
  /** Sizes of batches. */
  readonly batch: BatchReport;
  /** What is short while more is asked of it than it can do, and what helps; absent otherwise. */
  readonly overload?: OverloadReport;
  /** What was lowered while it was overloaded, and how to take that back; absent if nothing is. Not kept over a restart. */
  readonly lowered?: LoweredReport;
  /** Each sink; absent from older hosts. */
  readonly sinks?: readonly SinkReport[];
  /** The stages of all its frames since its start, by their length; absent from older hosts. */
  readonly stageHistograms?: Readonly<Record<LatencyStage, LatencyHistogram>>;
  /** Frames whose inference failed; one that is tried again can fail again. Absent from older hosts. */
  readonly failedInferences?: number;
  /** What became of spans and log records that are sent to a collector; absent unless `tracing` is set. */
  readonly tracing?: Readonly<Record<'spans' | 'logs', TracingFigures>>;
  /** What became of the events that each channel of alerts was to tell, by its name; absent without alerts. */
  readonly alerts?: Readonly<Record<string, AlertFigures>>;
}
export const hostReport = z.object({
  uptimeS: amount,
  cores: count,
  cpuCores: amount,
  rssBytes: amount,
  childRssBytes: amount,
  memoryTotalBytes: amount,
  eventLoop: z.object({ p99DelayMs: amount, utilizationRatio: amount }),
  busyRatio: z.object({ decode: amount, preprocess: amount, infer: amount, main: amount } satisfies Record<
    BusyStage,
    typeof amount
  >),
  bottleneck: z.enum(BUSY_STAGES),
  device: deviceReport,
  batch: batchReport,
  overload: overloadReport.optional(),
  lowered: loweredReport.optional(),
  ...{ ...powerFigures, ...secondStageFigures },
  sinks: z.array(sinkReport).max(MAX_COUNTERS).optional(),
  stageHistograms: z.object(forStages(() => latencyHistogram)).optional(),
  failedInferences: count.optional(),
  tracing: z.object({ spans: tracingFigures, logs: tracingFigures }).optional(),
  alerts: z
    .record(
      name,
      z.object({
        ...{ raised: count, sent: count, grouped: count, failed: count, pending: count },
        suppressed: z.object({ hold: count, quiet: count }),
      }),
    )
    .optional(),
});
