import type { PublishedFrame } from '../core/frame.ts';
import type { EventMessage } from '../protocol/feed.ts';
import type { FleetReport } from '../protocol/fleet-report.ts';
import type { HostReport, StreamReport } from '../protocol/report.ts';

export interface RuntimeReport {
  readonly timeMs: number;
  readonly streams: readonly StreamReport[];
  readonly host: HostReport;
  /** Only where the port shows a fleet. */
  readonly fleet?: FleetReport;
}

export interface PreviewPicture {
  readonly frame: PublishedFrame;
  readonly jpeg: Uint8Array;
}

/** What the gateway needs of a running pipeline: facts to show, and the handful of things an operator may do. */
export interface RuntimePort {
  /** The newest report; made once a second whether or not anybody looks. */
  report(): RuntimeReport;
  /** Can work be done? False while the engine loads or is down, with the reason. */
  readiness(): { readonly isReady: boolean; readonly reason: string };

  /** `stream` is unchecked user input; throws CONFIG_INVALID, STREAM_EXISTS, SOURCE_*. */
  addStream(stream: unknown): Promise<StreamReport>;
  /** `patch` holds the keys to change, unchecked; throws CONFIG_INVALID, STREAM_NOT_FOUND. */
  changeStream(id: string, patch: unknown): Promise<StreamReport>;
  pauseStream(id: string): Promise<StreamReport>;
  resumeStream(id: string): Promise<StreamReport>;
  removeStream(id: string): Promise<void>;

  /** Each listener is called on the main thread and must not block; the return value unsubscribes. */
  onReport(listener: (report: RuntimeReport) => void): () => void;
  onPublished(listener: (frame: PublishedFrame) => void): () => void;
  onEvent(listener: (event: EventMessage) => void): () => void;
  onPreview(listener: (picture: PreviewPicture) => void): () => void;
  /** Pictures cost CPU: they are made only for the streams that somebody watches. Replaces the earlier set. */
  watchPreviews(streamIds: ReadonlySet<string>): void;
  /**
   * Streams whose detections some client wants; replaces the earlier set. A port that fetches results from elsewhere
   * fetches only these; one that has them at hand leaves this out and tells of all.
   */
  watchDetections?(streamIds: ReadonlySet<string>): void;
}
