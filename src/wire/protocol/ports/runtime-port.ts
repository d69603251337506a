import type { PreviewPicture, PublishedFrame } from '../../../base/core/frame.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { AlertDelivery } from '../alert-delivery.ts';
import type { EventMessage } from '../feed.ts';
import type { StreamReport } from '../report.ts';
import type { PipelineReport, StreamsReply } from '../rest.ts';
import type { SourceTest } from '../source-test.ts';
import type { RuleTrialReply } from '../tried-rules.ts';

export interface Readiness {
  /** Whether the pipeline can work; false while the engine loads or is down. */
  readonly isReady: boolean;
  /** It works, but a sink cannot write its results, or a stream could not be started. */
  readonly isDegraded?: boolean;
  readonly reason: string;
}

/** Settings of a stream as they were ordered, secrets included. */
export interface TaggedSettings {
  readonly settings: StreamConfig;
  /** Another text after each change. */
  readonly tag: string;
}

/** Called with the tag of the settings that are to be changed, at that moment. @throws STREAM_CHANGED */
export type TagCheck = (tag: string) => void;

export interface ChangeOptions {
  /** The request holds all settings, as that of a new stream; otherwise the keys to change. */
  readonly isWhole?: boolean;
  readonly check?: TagCheck;
}

/** What the gateway needs from a running pipeline: reports to show, and the operations of an operator. */
export interface RuntimePort {
  /** Returns the newest report. One is made every second, even if nobody reads it. */
  report(): StreamsReply;
  /** What metrics show: the report, or in a large fleet that of this host alone. Absent: the report. */
  scraped?(): StreamsReply;
  /** Somebody looks: resolves once the report is of all hosts, and keeps it so for half a minute. Absent if it always is. */
  look?(): Promise<void>;
  readiness(): Readiness;

  /** @throws STREAM_NOT_FOUND */
  streamSettings(id: string): TaggedSettings;
  pipeline(): PipelineReport;
  /** Why changes of streams do not survive a restart, in one sentence; null if they do. */
  keepingProblem(): string | null;
  /**
   * Gives streams what the pipeline file says; null: all streams. Absent if there is no overlay to reset.
   *
   * @throws STREAM_NOT_FOUND for one that the overlay does not change
   */
  resetStreams?(ids: readonly string[] | null): Promise<void>;

  /** `stream` is unchecked user input; throws CONFIG_INVALID, STREAM_EXISTS, SOURCE_*. */
  addStream(stream: unknown): Promise<StreamReport>;
  /** `request` is unchecked; throws CONFIG_INVALID, STREAM_NOT_FOUND, and what the check throws. */
  changeStream(id: string, request: unknown, options?: ChangeOptions): Promise<StreamReport>;
  /** Opens a source for a moment; `request` is unchecked, as for `addStream`. Throws CONFIG_INVALID, LIMIT_REACHED, SOURCE_*. */
  testSource(request: unknown): Promise<SourceTest>;
  /**
   * Tries rules on what the stream saw in the last hour; nothing changes. `request` is unchecked: `events`, `zones`, `lines`. Throws
   * CONFIG_INVALID as the change would, STREAM_NOT_FOUND, LIMIT_REACHED, and STREAM_STATE if another host runs the stream.
   */
  tryRules(id: string, request: unknown): Promise<RuleTrialReply>;
  /** What became of the alerts of an event that this host raised; null if it is not known any more. Absent if this port tells nobody. */
  alertsOf?(event: string): readonly AlertDelivery[] | null;
  pauseStream(id: string): Promise<StreamReport>;
  resumeStream(id: string): Promise<StreamReport>;
  removeStream(id: string, check?: TagCheck): Promise<void>;

  /**
   * Each listener is called on the main thread and must not block; the return value unsubscribes. What a listener throws is
   * caught and counted by the port: see `Listeners`.
   */
  onReport(listener: (report: StreamsReply) => void): () => void;
  onPublished(listener: (frame: PublishedFrame) => void): () => void;
  onEvent(listener: (event: EventMessage) => void): () => void;
  onPreview(listener: (picture: PreviewPicture) => void): () => void;
  /**
   * Sets the streams to make pictures for, replacing the earlier set. Pictures cost CPU, so only watched streams get them; their
   * lane makes at most `preview.fps` a second of each.
   */
  watchPreviews(streamIds: ReadonlySet<string>): void;
  /**
   * Sets the streams whose detections a client wants, replacing the earlier set. A port that fetches results from other
   * hosts fetches only these. A port with local results publishes all, and makes masks of these.
   */
  watchDetections?(streamIds: ReadonlySet<string>): void;
}
