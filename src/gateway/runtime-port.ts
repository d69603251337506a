import type { PublishedFrame } from '../core/frame.ts';
import type { EventMessage } from '../protocol/feed.ts';
import type { StreamReport } from '../protocol/report.ts';
import type { StreamsReply } from '../protocol/rest.ts';

/** What a gateway shows once a second, and at `GET /api/streams`. */
export type RuntimeReport = StreamsReply;

export interface Readiness {
  /** Whether the pipeline can work; false while the engine loads or is down. */
  readonly isReady: boolean;
  /** It works, but a sink cannot write its results, or a stream could not be started. */
  readonly isDegraded?: boolean;
  readonly reason: string;
}

export interface PreviewPicture {
  readonly frame: PublishedFrame;
  readonly jpeg: Uint8Array;
}

/** What the gateway needs from a running pipeline: reports to show, and the operations of an operator. */
export interface RuntimePort {
  /** Returns the newest report. One is made every second, even if nobody reads it. */
  report(): RuntimeReport;
  readiness(): Readiness;

  /** `stream` is unchecked user input; throws CONFIG_INVALID, STREAM_EXISTS, SOURCE_*. */
  addStream(stream: unknown): Promise<StreamReport>;
  /** `patch` holds the keys to change, unchecked; throws CONFIG_INVALID, STREAM_NOT_FOUND. */
  changeStream(id: string, patch: unknown): Promise<StreamReport>;
  pauseStream(id: string): Promise<StreamReport>;
  resumeStream(id: string): Promise<StreamReport>;
  removeStream(id: string): Promise<void>;

  /**
   * Each listener is called on the main thread and must not block; the return value unsubscribes. What a listener throws is
   * caught and counted by the port: see `Listeners`.
   */
  onReport(listener: (report: RuntimeReport) => void): () => void;
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
   * hosts fetches only these. A port with local results omits this method and publishes all.
   */
  watchDetections?(streamIds: ReadonlySet<string>): void;
}
