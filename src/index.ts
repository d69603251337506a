/** Sightline as a library: `Sightline.open`. Importing it starts nothing, reads no environment and opens no socket. */

// First, so that an old Node.js and a bundle fail with words.
import './base/errors/suitable-node.ts';
import './base/core/worker-entry.ts';

export type { CustomSink } from './after/sinks/object-sink.ts';
export type { QueuePolicy } from './after/sinks/result-queue.ts';
export { BLIND_SIGNS, type BlindSign } from './base/core/blind-sign.ts';
export type { Attribute, Box, Detection, Mask, RatioPoint } from './base/core/detection.ts';
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
} from './base/core/frame.ts';
export type { Picture, RawPicture } from './base/core/picture.ts';
export { ERROR_CODES, type ErrorCode } from './base/errors/error-codes.ts';
export { type ErrorDetails, type KnownDetails, SightlineError, type WireError } from './base/errors/sightline-error.ts';
export type { RuntimeReport } from './frame/runtime/runtime-options.ts';
export type { FakeDetect, FakeFrame } from './frame/runtime/stream/stream-port.ts';
export {
  COCO_FIGURES,
  type CocoFigures,
  type Figures,
  scoreDetections,
  scoreResults,
} from './network/evaluate/average-precision.ts';
export type {
  CocoAnnotation,
  CocoAnnotations,
  CocoBox,
  CocoCategory,
  CocoImage,
  CocoResult,
  CocoShape,
} from './network/evaluate/coco-dataset.ts';
export { readAnnotations, readResults } from './network/evaluate/coco-files.ts';
export { IOU_TYPES, type IouType } from './network/evaluate/coco-rules.ts';
export type { Gateway } from './serve/gateway/gateway-options.ts';
export type { DetectOptions, TraceOptions } from './serve/host/call-options.ts';
export type { EngineStreams, PushedStreamSettings } from './serve/host/engine-streams.ts';
export type { PictureResult } from './serve/host/picture-detector.ts';
export type { PushedStream, PushOptions } from './serve/host/pushed-stream.ts';
export type { TimesSettings } from './settings/config/keys/event-keys.ts';
export type * from './settings/config/keys/gateway-keys.ts';
export type * from './settings/config/keys/pipeline-keys.ts';
export type * from './settings/config/keys/sink-keys.ts';
export type * from './settings/config/keys/stream-keys.ts';
export {
  type ResultsOptions,
  type ServeOptions,
  Sightline,
  type SightlineEvents,
  type SightlineOptions,
} from './sightline.ts';
export { BLIND_REASONS, type BlindReason } from './wire/protocol/blind-reasons.ts';
export type { Frozen } from './wire/protocol/bounds.ts';
export { EVENT_KINDS, type EventKind, type EventMessage } from './wire/protocol/feed.ts';
export type { LatencyCounts, LatencyHistogram, LatencyStage } from './wire/protocol/latency.ts';
export type { GpuReport, PowerFigures, PowerReport } from './wire/protocol/power-report.ts';
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
} from './wire/protocol/report.ts';
export type { ResultRecord } from './wire/protocol/result-record.ts';
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
} from './wire/protocol/rule-event.ts';
export { type SecondStageReport, SKIP_REASONS, type SkipReason } from './wire/protocol/second-stage-report.ts';
export type { TracingFigures } from './wire/protocol/tracing-figures.ts';
