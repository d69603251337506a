/**
 * A client of a gateway, for browsers and for Node.js: the feed as async iterables, and the REST API. Its types are those of the
 * wire; `docs/reports.md` describes each field. A number has its unit in its name.
 */

export type { BlindSign } from '../../base/core/blind-sign.ts';
export type { Box, Detection, Mask, RatioPoint } from '../../base/core/detection.ts';
export type {
  CaptureClock,
  CrossingDirection,
  DropReason,
  FrameResult,
  LineCrossing,
  ResultOrigin,
  ZoneCount,
} from '../../base/core/frame.ts';
export type { ErrorCode } from '../../base/errors/error-codes.ts';
export { type ErrorDetails, SightlineError, type WireError } from '../../base/errors/sightline-error.ts';
export type { AlertDelivery, AlertsReply, DeliveryState } from '../protocol/alert-delivery.ts';
export type { BlindReason } from '../protocol/blind-reasons.ts';
export type { EventPictureFacts, PictureMoment } from '../protocol/event-picture.ts';
export type {
  DetectionsMessage,
  ErrorMessage,
  EventKind,
  EventMessage,
  FeedFormat,
  HelloMessage,
  PreviewMessage,
  Role,
  ServerMessage,
  ShadowMessage,
  StatsMessage,
  SubscribeMessage,
  Topic,
} from '../protocol/feed.ts';
export type { DeadLetter, HostCard, JobOrder, JobReport, JobState, JobTracking } from '../protocol/fleet.ts';
export type {
  FleetHost,
  FleetHostState,
  FleetReport,
  PlacementReport,
  QueueReport,
  ScaleReport,
} from '../protocol/fleet-report.ts';
export type { LatencyCounts, LatencyHistogram, LatencyStage } from '../protocol/latency.ts';
export type { OfferedCamera, OfferedStream } from '../protocol/offered-camera.ts';
export type {
  BrokenRules,
  LoweredReport,
  OverloadReport,
  Remedy,
  RemedyBody,
  RemedyChange,
} from '../protocol/overload.ts';
export type { GpuReport, PowerFigures, PowerReport } from '../protocol/power-report.ts';
export type { EventClip, RecordedElsewhere, RecordedSpan, RecordingsReply } from '../protocol/recordings-reply.ts';
export type {
  AlertFigures,
  BatchReport,
  BusyStage,
  DeviceReport,
  EventFigures,
  FrameCounters,
  HostReport,
  LineCount,
  LossReason,
  Percentiles,
  PlacedLine,
  PlacedZone,
  RestreamReport,
  ResultCounters,
  SeeingReport,
  SinkReport,
  SnapshotFigures,
  StreamReport,
  StreamState,
} from '../protocol/report.ts';
export type {
  CountRow,
  CountsReply,
  EventsReply,
  HealthReply,
  HeatReply,
  HistoryReply,
  JobRequest,
  JobView,
  KeptObject,
  ModelSummary,
  OccupancyReply,
  OccupancyRow,
  PipelineReport,
  PipelineSummary,
  ReadyReply,
  RolloutRequest,
  RolloutVerb,
  ScaleReply,
  SeenReply,
  SeenRow,
  SeenStep,
  SimilarObject,
  SimilarReply,
  StreamChange,
  StreamDetails,
  StreamRequest,
  StreamsReply,
} from '../protocol/rest.ts';
export type { ResultRecord } from '../protocol/result-record.ts';
export type {
  Decision,
  DecisionKind,
  Gain,
  GuardReport,
  GuardVerdict,
  LabelledVerdict,
  LossInterval,
  Prediction,
  RolloutReport,
  RolloutState,
  StreamChanges,
  StreamFinding,
  StreamPatch,
  VersionReport,
} from '../protocol/rollout-records.ts';
export type {
  BlindBefore,
  CloudEvent,
  EventEnd,
  EventMoment,
  EventPhase,
  EventPicture,
  RuleEvent,
  RuleKind,
  Snapshot,
} from '../protocol/rule-event.ts';
export { type Pose, poseOf } from '../protocol/skeleton.ts';
export type { SourceTest } from '../protocol/source-test.ts';
export type { TracingFigures } from '../protocol/tracing-figures.ts';
export type { RuleTrialReply, TriedEvent, TriedRule } from '../protocol/tried-rules.ts';
export type { FeedState, SocketConstructor, SocketLike } from './feed-connection.ts';
export type { FeedSettings, FeedSubscription } from './feed-subscription.ts';
export {
  type ChangeCallOptions,
  type DetectorCallOptions,
  type EventPageSearch,
  type EventSearch,
  GatewayApi,
  type HistorySpan,
  type RolloutCallOptions,
  type SimilarSearch,
} from './gateway-api.ts';
export type { FeedMessage, Jpeg, Preview } from './read-message.ts';
export type { CallOptions, GatewayRequest, SendRequest } from './send-request.ts';
export {
  type ClientOptions,
  type FeedOptions,
  type PreviewOptions,
  type ResultOptions,
  SightlineClient,
} from './sightline-client.ts';
