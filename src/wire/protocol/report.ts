/**
 * The report that telemetry makes once a second: the shape of `stats`, of `GET /api/streams` and of a command's summary. The
 * schemas validate reports of other hosts from the bus; unknown keys from newer hosts are left out. The interfaces are made of them.
 */
import { z } from 'zod';
import { BLIND_SIGNS } from '../../base/core/blind-sign.ts';
import { DROP_REASONS } from '../../base/core/frame.ts';
import { BLIND_REASONS } from './blind-reasons.ts';
import { amount, count, countsBy, durationMs, id, KNOWN_KEYS, name, RECORDS, record, text, timeMs } from './bounds.ts';
import { forStages, latencyCounts, latencyHistogram } from './latency.ts';
import { loweredReport, overloadReport } from './overload.ts';
import { powerFigures } from './power-report.ts';
import { secondStageFigures } from './second-stage-report.ts';
import { tracingFigures } from './tracing-figures.ts';

export type {
  AlertFigures,
  BatchReport,
  DeviceReport,
  EventFigures,
  FrameCounters,
  HostReport,
  LineCount,
  Percentiles,
  PlacedLine,
  PlacedZone,
  RestreamReport,
  ResultCounters,
  SeeingReport,
  SinkReport,
  SnapshotFigures,
  StreamReport,
} from './keys/reports.ts';

/** Percentiles of `count` samples, in milliseconds; all 0 if there is none. */
const percentiles = record('Percentiles', {
  count: count.describe('Number of samples.'),
  p50: durationMs.describe('Median, in milliseconds.'),
  p95: durationMs.describe('95th percentile, in milliseconds.'),
  p99: durationMs.describe('99th percentile, in milliseconds.'),
  max: durationMs.describe('Largest sample, in milliseconds.'),
});

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

/** How long a live stream was watched since its start: totalMs = watchedMs + sum of blindMs, exactly. */
const seeingReport = record('SeeingReport', {
  totalMs: amount.describe('Time since its start.'),
  watchedMs: amount.describe('Of which its results showed the scene.'),
  blindMs: z
    .record(name, amount)
    .register(KNOWN_KEYS, { keys: BLIND_REASONS })
    .describe('By reason: `down`, `paused`, `shed`, `black`, `frozen`.'),
});
/** What the rules of a stream did: raised = ended + those that are open. */
const eventFigures = record('EventFigures', {
  raised: count.describe('Events so far.'),
  ended: count.describe('Of which are over.'),
  suppressed: z
    .object({ times: count, cooldown: count, when: count })
    .describe(
      'Met, but not raised. `times`: at another time of the week; `cooldown`: too soon after an event; `when`: the expression was false.',
    ),
});
/** What became of the pictures that follow the messages of a channel. */
const snapshotFigures = record('SnapshotFigures', {
  sent: count.describe('Delivered.'),
  failed: count.describe('Given up, or there was no picture.'),
  pending: count.describe('Its clip is not over yet, or it waits for the channel.'),
});
/**
 * What became of the events that a channel was to tell: raised = sent + grouped + sum of suppressed + failed + pending,
 * exactly.
 */
const alertFigures = record('AlertFigures', {
  raised: count.describe('Events that an alert matched, and what waited for the channel when the host started.'),
  sent: count.describe('Messages that the channel delivered.'),
  grouped: count.describe('Told in the message of another event.'),
  suppressed: z
    .object({ hold: count, quiet: count })
    .describe('Not told. `hold`: too soon after the last message; `quiet`: at a quiet time.'),
  failed: count.describe('Messages that were given up.'),
  pending: count.describe('To be told: waits for the end of a group, or for the channel.'),
  snapshots: snapshotFigures.optional().describe('Pictures of what it told; absent if it sends none.'),
});
/**
 * Frames since the stream began, by what became of them: in = published + sum of dropped + inFlight, exactly, at any
 * time.
 */
const frameCounters = record('FrameCounters', {
  in: count.describe('Frames that entered.'),
  published: count.describe('Frames whose result was published.'),
  inFlight: count.describe('Frames that have entered and are neither published nor dropped.'),
  dropped: countsBy(Object.keys(DROP_REASONS)).describe(
    'Frames that were dropped, by reason. Newer hosts may send unknown reasons.',
  ),
});

/** Published frames by the origin of their results: `published` = inferred + tracked + unchanged. */
const resultCounters = record('ResultCounters', {
  inferred: count.describe('Frames that the detector saw, `cached` included.'),
  tracked: count.describe('Frames whose boxes the tracker predicted.'),
  unchanged: count.describe('Frames that repeat the last inferred result, because the picture had not changed.'),
  cached: count.describe(
    'Frames that needed no inference, because an equal picture had been inferred before; they count as inferred, too.',
  ),
});

export const zoneCount = z.object({
  id: id.describe('Name of the zone.'),
  inside: count.describe('Number of tracked objects inside.'),
});

/** Crossings of a line since the start, looking along it from its first to its second point. */
const lineCount = record('LineCount', {
  id: id.describe('Name of the line.'),
  leftToRight: count.describe('Objects that crossed from left to right.'),
  rightToLeft: count.describe('Objects that crossed from right to left.'),
});

/** A point of the picture, 0 to 1 of its width and height. */
const point = z.tuple([z.number().min(0).max(1), z.number().min(0).max(1)]).register(RECORDS, { id: 'RatioPoint' });
/** Most points of all zones of a stream. A report with more has no polygons: it is sent every second. */
export const MAX_POINTS = 2000;

/** How the packets of a stream are pushed on: each frame is sent, skipped, or on its way. */
const restreamReport = record('RestreamReport', {
  to: text.describe('Address of the media server, credentials redacted.'),
  state: z
    .enum(['waiting', 'connecting', 'sending'])
    .describe(
      '`waiting`: for video, or for the time of the next attempt; `connecting`; `sending`: it takes the video.',
    ),
  connections: count.describe('Times that it began to take the video.'),
  sentFrames: count.describe('Frames that ffmpeg has handed to the network.'),
  skippedFrames: count.describe('Frames that were not sent: it was away, refused, or was slow.'),
  problem: text.nullable().describe('Why it does not take the video, in one sentence; null if nothing is wrong.'),
});

/** Objects inside a zone in the newest frame, and where the zone is. */
const placedZone = record('PlacedZone', {
  ...zoneCount.shape,
  polygon: z
    .array(point)
    .max(MAX_POINTS)
    .optional()
    .describe('Corners. Absent from older hosts, and for streams with very many points.'),
});

/** Crossings of a line since the start, and where the line is. */
const placedLine = record('PlacedLine', {
  ...lineCount.shape,
  from: point.optional().describe('First end. Absent from older hosts.'),
  to: point.optional().describe('Second end. Absent from older hosts.'),
});

/** Maximum number of zones, and of lines, of a stream. */
export const MAX_COUNTERS = 1000;

/**
 * The figures of a stream: state, rates in frames per second, latencies in milliseconds, frames by what became of them.
 */
export const streamReport = record('StreamReport', {
  id: id.describe('Name of the stream.'),
  source: text.describe('Where the pixels come from, credentials redacted.'),
  state: z.enum(STREAM_STATES).describe('What the stream does now.'),
  model: z
    .string()
    .max(64)
    .optional()
    .describe("Name of its detector among `models` of the pipeline; absent: the pipeline's own."),
  sign: z
    .object({
      name: z.enum(BLIND_SIGNS).describe('What its pictures are.'),
      sinceMs: timeMs.describe('Since when, wall clock, milliseconds since 1970.'),
    })
    .nullable()
    .optional()
    .describe('Why the camera sees nothing although pictures come; null if nothing says so. Absent from older hosts.'),
  canTellFrozen: z
    .boolean()
    .nullable()
    .optional()
    .describe(
      'Whether frozen pictures can be told where the encoder writes each a bit differently: false if they have too little noise of their own, or light that varies all the time; null while that is not known yet, or not looked for. Absent from older hosts.',
    ),
  lateMs: durationMs
    .nullable()
    .optional()
    .describe(
      'How much later the pictures of its camera come than they did at best, in milliseconds; null if they are not 5 s late. Absent from older hosts.',
    ),
  lastFrameAgeMs: durationMs
    .nullable()
    .optional()
    .describe(
      'Time since the last frame was decoded, in milliseconds; null before the first one. Absent from older hosts.',
    ),
  policy: z
    .enum(['live', 'file'])
    .describe('What happens to frames that cannot be handled at once: `live` drops the oldest, `file` waits.'),
  seq: count.describe('Incremented with each report of this stream.'),
  insecureTls: z
    .literal(true)
    .optional()
    .describe('True if certificates of the source are not verified; absent if they are.'),
  fps: z
    .object({
      in: amount.describe('Frames that enter.'),
      inferred: amount.describe('Frames that the detector sees.'),
      published: amount.describe('Frames whose result is published.'),
    })
    .describe('Frames per second, measured over a sliding window; not the rate that the source declares.'),
  target: z
    .object({
      fps: amount.nullable().describe('Published frames per second, at least; null if none are expected.'),
      latencyMs: amount
        .nullable()
        .describe('99th percentile of the latency in milliseconds, at most; null without a limit.'),
    })
    .describe('What the operator expects, see `TargetSettings`.'),
  isMissing: z
    .object({
      fps: z.boolean().describe('True while too few frames are published.'),
      latency: z.boolean().describe('True while frames are published too late.'),
    })
    .describe('Which targets have been missed for some seconds and are still missed.'),
  missReasons: z
    .object({
      fps: text
        .nullable()
        .describe('One phrase, such as "publishes 2.0 of 25 frames/s because maxFps is 2"; null if it is met.'),
      latency: text.nullable().describe('One phrase; null if it is met.'),
    })
    .optional()
    .describe('Why each target is missed. Absent from older hosts.'),
  latencyMs: z
    .object({
      window: percentiles.describe('Of the newest frames.'),
      total: percentiles.describe('Of all frames since the stream began.'),
      counted: latencyCounts.optional().describe('The same by their length; absent from older hosts.'),
    })
    .describe('Time from captured to published, in milliseconds.'),
  stagesMs: z
    .object(forStages(() => percentiles))
    .describe('The parts of the latency of the newest frames, in milliseconds, see `LatencyStage`.'),
  seeing: seeingReport
    .optional()
    .describe('How long it was watched; absent before its first report, and from older hosts.'),
  events: eventFigures.optional().describe('What its rules did; absent before its first report, and from older hosts.'),
  restream: restreamReport.optional().describe('How its video is pushed to a media server; only if it is.'),
  frames: frameCounters.describe('Frames since the stream began, by what became of them.'),
  results: resultCounters.optional().describe('How the published frames got their results; absent from older hosts.'),
  decode: z
    .object({
      frames: z.enum(['reference', 'key']).describe('Which frames are decoded.'),
      skipped: count
        .nullable()
        .describe('Frames that were not decoded since the stream began; they do not enter. null if it is not known.'),
    })
    .optional()
    .describe('Only if not all frames are decoded, see `decode` of a stream.'),
  detectEvery: z
    .object({
      now: count.describe('Now.'),
      longest: count.describe('The most since the start.'),
    })
    .optional()
    .describe('Every how many frames one is inferred; only if the tracker predicts the frames between.'),
  queueDepth: count.describe('Frames waiting for a batch now.'),
  decodeErrors: count.describe('Errors that ffmpeg reported while it decoded, since the stream began.'),
  reconnects: count.describe(
    'Connections to the source that were made again after a loss; attempts that failed do not count.',
  ),
  width: count.nullable().describe('Last known width in source pixels; null before the first frame.'),
  height: count.nullable().describe('Last known height in source pixels; null before the first frame.'),
  priority: z.number().int().describe('Streams of higher priority are served first.'),
  weight: amount.describe('Share of the detector relative to other streams of the same priority.'),
  zones: z.array(placedZone).max(MAX_COUNTERS).describe('Objects inside each zone in the newest frame.'),
  lines: z.array(placedLine).max(MAX_COUNTERS).describe('Crossings of each line since the start.'),
  trackProblem: text
    .optional()
    .describe(
      'Why its tracks and the counts of its lines cannot be right, and what to do; absent if nothing is known.',
    ),
  lastError: text.nullable().describe('The last error in one sentence; null if there was none.'),
  lastErrorAtMs: timeMs
    .nullable()
    .optional()
    .describe(
      'Since when that is the error, wall clock, milliseconds since 1970; attempts that end with the same one do not change it. null if there was none; absent from older hosts.',
    ),
  startFailure: z
    .object({
      code: name.describe('Code of the error, see docs/errors.md.'),
      attempts: count.describe('Attempts to start it so far.'),
      retryAtMs: timeMs
        .nullable()
        .describe('When it is tried again, wall clock, milliseconds since 1970; null if it is not.'),
    })
    .optional()
    .describe('Only if it could not be started, for the reason in `lastError`.'),
  host: id.optional().describe('In a fleet, the host that runs it; absent if none does.'),
  fence: count
    .optional()
    .describe('In a fleet, the fence of the lease that it runs under; increases with every new holder.'),
});

/** Stages whose busy ratio is published. */
export const BUSY_STAGES = ['decode', 'preprocess', 'infer', 'main'] as const;
/** From this ratio on, the busiest stage limits the host; below it, all stages have room. The page has the same number. */
export const BOTTLENECK_RATIO = 0.8;
/** A stage whose busy ratio is published. */
export type BusyStage = (typeof BUSY_STAGES)[number];

/** Sizes of batches, in model inputs. */
const batchReport = record('BatchReport', {
  histogram: z
    .record(z.string().regex(/^\d{1,6}$/), count)
    .refine((sizes) => Object.keys(sizes).length <= 1024, 'expected at most 1024 sizes')
    .describe('Number of batches since the start by their model inputs, without padding.'),
  maxBatch: count.describe('Largest size that is allowed.'),
  settledSize: count.nullable().describe('Size that the batcher settled on; null while it measures.'),
  reason: text.describe('The reason for the size, with the figures.'),
});

/** What runs the model. */
const deviceReport = record('DeviceReport', {
  engine: name.describe('Library that runs the network: `onnx`, `openvino`, `tensorflow` or `wasm`.'),
  provider: name.describe('Execution provider or backend, e.g. `cpu`, `cuda`.'),
  device: name.describe('Name of the device.'),
  precision: name.describe('Number format that the engine computes in: f32, f16, bf16 or int8.'),
  threads: count.describe('Inference threads.'),
  model: name.describe('Name of the detector.'),
  inputWidth: count.describe('Width of a model input, in pixels.'),
  inputHeight: count.describe('Height of a model input, in pixels.'),
  comparison: text
    .optional()
    .describe('Time of a frame on each engine that `auto` compared, fastest first; absent if it compared none.'),
});

/**
 * Why a sink lost results. overflow: it could not keep up, or was broken for too long; failed: it does not write any more;
 * refused: the receiver does not want them; damaged: they could not be read back from the spool.
 */
export const LOSS_REASONS = ['overflow', 'failed', 'refused', 'damaged'] as const;
/** Why a sink lost a result, see `LOSS_REASONS`. */
export type LossReason = (typeof LOSS_REASONS)[number];

/** A sink since its start. A video counts pictures, all others count results. */
const sinkReport = record('SinkReport', {
  id: name.describe('Name of the sink.'),
  problem: text.nullable().describe('Why nothing can be written now, in one sentence; null if it can.'),
  sent: count.describe('Results that were written or delivered.'),
  waiting: count.describe('Results accepted and not sent yet, those of earlier runs in a spool included.'),
  retried: count.describe('Attempts after a failure.'),
  lost: countsBy(LOSS_REASONS).describe('Results that were lost, by reason. Newer hosts may send unknown reasons.'),
});

/** The figures of a host: device, batches, processor, sinks. */
export const hostReport = record('HostReport', {
  ...powerFigures.shape,
  ...secondStageFigures.shape,
  uptimeS: amount.describe('Seconds since its start.'),
  cores: count.describe('Processor cores of the machine.'),
  cpuCores: amount.describe('CPU used by this process and its ffmpeg children, 1 = one core.'),
  rssBytes: amount.describe('Resident memory of this process, in bytes.'),
  childRssBytes: amount.describe(
    'Resident memory of the ffmpeg children, in bytes; 0 if the system does not report it.',
  ),
  memoryTotalBytes: amount.describe('Memory of the machine, in bytes.'),
  eventLoop: z
    .object({
      p99DelayMs: amount.describe('99th percentile of its delay, in milliseconds.'),
      utilizationRatio: amount.describe('Share of the time that it was busy, 0 to 1.'),
    })
    .describe('The event loop of the main thread in the last second.'),
  busyRatio: z
    .object({ decode: amount, preprocess: amount, infer: amount, main: amount } satisfies Record<
      BusyStage,
      typeof amount
    >)
    .describe('Share of its own capacity that each stage used in the last second, 0 to 1.'),
  bottleneck: z.enum(BUSY_STAGES).describe('The busiest stage.'),
  device: deviceReport.describe('What runs the model.'),
  batch: batchReport.describe('Sizes of batches.'),
  overload: overloadReport
    .optional()
    .describe('What is short while more is asked of it than it can do, and what helps; absent otherwise.'),
  lowered: loweredReport
    .optional()
    .describe(
      'What was lowered while it was overloaded, and how to take that back; absent if nothing is. Not kept over a restart.',
    ),
  sinks: z.array(sinkReport).max(MAX_COUNTERS).optional().describe('Each sink; absent from older hosts.'),
  stageHistograms: z
    .object(forStages(() => latencyHistogram))
    .optional()
    .describe('The stages of all its frames since its start, by their length; absent from older hosts.'),
  failedInferences: count
    .optional()
    .describe('Frames whose inference failed; one that is tried again can fail again. Absent from older hosts.'),
  tracing: z
    .object({ spans: tracingFigures, logs: tracingFigures })
    .optional()
    .describe('What became of spans and log records that are sent to a collector; absent unless `tracing` is set.'),
  alerts: z
    .record(name, alertFigures)
    .optional()
    .describe('What became of the events that each channel of alerts was to tell, by its name; absent without alerts.'),
});
