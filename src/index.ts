/** Sightline as a library: `Sightline.open`. Importing it starts nothing, reads no environment and opens no socket. */

// First, so that an old Node.js and a bundle fail with words.
import './errors/suitable-node.ts';
import './core/worker-entry.ts';

export type { TimesSettings } from './config/keys/event-keys.ts';
export type * from './config/keys/gateway-keys.ts';
export type * from './config/keys/pipeline-keys.ts';
export type * from './config/keys/sink-keys.ts';
export type * from './config/keys/stream-keys.ts';
export { BLIND_SIGNS, type BlindSign } from './core/blind-sign.ts';
export type { Attribute, Box, Detection, Mask, RatioPoint } from './core/detection.ts';
export {
  CAPTURE_CLOCKS,
  type CaptureClock,
  CROSSING_DIRECTIONS,
  type CrossingDirection,
  DROP_REASONS,
  type DropReason,
  type FrameResult,
  type LineCrossing,
  RESULT_ORIGINS,
  type ResultOrigin,
  type ZoneCount,
} from './core/frame.ts';
export type { Picture, RawPicture } from './core/picture.ts';
export { ERROR_CODES, type ErrorCode } from './errors/error-codes.ts';
export { type ErrorDetails, type KnownDetails, SightlineError, type WireError } from './errors/sightline-error.ts';
export {
  COCO_FIGURES,
  type CocoFigures,
  type Figures,
  scoreDetections,
  scoreResults,
} from './evaluate/average-precision.ts';
export type {
  CocoAnnotation,
  CocoAnnotations,
  CocoBox,
  CocoCategory,
  CocoImage,
  CocoResult,
  CocoShape,
} from './evaluate/coco-dataset.ts';
export { readAnnotations, readResults } from './evaluate/coco-files.ts';
export { IOU_TYPES, type IouType } from './evaluate/coco-rules.ts';
export type { Gateway } from './gateway/gateway-options.ts';
export type { DetectOptions, TraceOptions } from './host/call-options.ts';
export type { EngineStreams, PushedStreamSettings } from './host/engine-streams.ts';
export type { PictureResult } from './host/picture-detector.ts';
export type { PushedStream, PushOptions } from './host/pushed-stream.ts';
export { BLIND_REASONS, type BlindReason } from './protocol/blind-reasons.ts';
export type { Frozen } from './protocol/bounds.ts';
export { EVENT_KINDS, type EventKind, type EventMessage } from './protocol/feed.ts';
export type { LatencyCounts, LatencyHistogram, LatencyStage } from './protocol/latency.ts';
export type { GpuReport, PowerFigures, PowerReport } from './protocol/power-report.ts';
export {
  type AlertFigures,
  type BatchReport,
  type BusyStage,
  type DeviceReport,
  type EventFigures,
  type FrameCounters,
  type HostReport,
  type LineCount,
  LOSS_REASONS,
  type LossReason,
  type Percentiles,
  type PlacedLine,
  type PlacedZone,
  type RestreamReport,
  type ResultCounters,
  type SeeingReport,
  type SinkReport,
  type SnapshotFigures,
  STREAM_STATES,
  type StreamReport,
  type StreamState,
} from './protocol/report.ts';
export type { ResultRecord } from './protocol/result-record.ts';
export {
  type BlindBefore,
  type CloudEvent,
  cloudEvent,
  type EventEnd,
  type EventMoment,
  type EventPhase,
  type EventPicture,
  type RuleEvent,
  type RuleKind,
  type Snapshot,
} from './protocol/rule-event.ts';
export { type SecondStageReport, SKIP_REASONS, type SkipReason } from './protocol/second-stage-report.ts';
export type { TracingFigures } from './protocol/tracing-figures.ts';
export type { RuntimeReport } from './runtime/runtime-options.ts';
export type { FakeDetect, FakeFrame } from './runtime/stream/stream-port.ts';
export {
  type ResultsOptions,
  type ServeOptions,
  Sightline,
  type SightlineEvents,
  type SightlineOptions,
} from './sightline.ts';
export type { CustomSink } from './sinks/object-sink.ts';
export type { QueuePolicy } from './sinks/result-queue.ts';
