import type { StreamConfig } from '../../config/stream.ts';
import type { SightlineError } from '../../errors/sightline-error.ts';

/** The right to run one stream. It is asked for every frame that is to be published. */
export interface RunLease {
  readonly fence: number;
  /** False from the moment that another host may have it; reads the monotonic clock, so a process that slept is not fooled. */
  isValid(): boolean;
}

export interface RunnerReport {
  /** Inferences a second over the last seconds, of live streams and of segments. */
  readonly liveFps: number;
  readonly bulkFps: number;
  /** Segments that are being done. */
  readonly segments: number;
}

/** What a host agent needs of the host: to open, change and end single streams. Calls for one stream never overlap. */
export interface StreamRunner {
  /**
   * Opens a stream. A live source that does not answer is no failure: it reconnects by itself.
   *
   * @param config - with the rate that the fleet allows as its `maxFps`.
   * @throws SightlineError where it cannot be opened as it is ordered; nothing of it is left then.
   */
  start(config: StreamConfig, lease: RunLease): Promise<void>;
  /** Goes over to other settings under the same lease. @throws as `start`; the stream goes on as it was then. */
  change(config: StreamConfig): Promise<void>;
  /** Ends a stream; resolves when nothing of it runs. One that is not there is no error. */
  stop(streamId: string): Promise<void>;
  /** Why a stream that was started has stopped for good; null where it runs, or is none of these. */
  failureOf(streamId: string): SightlineError | null;
  report(): RunnerReport;
}
