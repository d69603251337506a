import type { StreamLease } from '../../../base/core/stream-lease.ts';
import type { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';

export interface RunnerReport {
  /** Inferences a second over the last few seconds, of live streams and of segments. */
  readonly liveFps: number;
  readonly bulkFps: number;
  /** Segments being processed. */
  readonly segments: number;
  /** Inferences a second that the host can do, as seen in an overload; absent if there was none lately. */
  readonly capacityFps?: number;
  /** What is short, and what helps; absent unless it is overloaded. */
  readonly overload?: string;
  /** Second stages of jobs that the host could not load lately, by their hashes. */
  readonly unfit?: readonly string[];
}

/** What a host agent needs from the runtime: to start, change and stop single streams. Calls for one stream never overlap. */
export interface StreamRunner {
  /**
   * Starts a stream. An unreachable live source is not an error: the stream reconnects by itself.
   *
   * @param config - its `maxFps` is the rate that the fleet allows.
   * @throws SightlineError if it cannot run as ordered; it is removed completely then.
   */
  start(config: StreamConfig, lease: StreamLease): Promise<void>;
  /**
   * Starts a stream while another host still has its lease, so that it runs without a gap once `lease` becomes valid. Until then its
   * results are dropped.
   *
   * @returns false, and starts nothing, if its first frames must not be lost: a file.
   * @throws as `start`.
   */
  standBy(config: StreamConfig, lease: StreamLease): Promise<boolean>;
  /** Whether a stream that stands by has a result. */
  hasResult(streamId: string): boolean;
  /** Changes the settings under the same lease. @throws as `start`; the stream then continues with its old settings. */
  change(config: StreamConfig): Promise<void>;
  /** Stops a stream; resolves when it has ended. Does nothing if there is no such stream. */
  stop(streamId: string): Promise<void>;
  /** Returns why a started stream has stopped permanently; null if it runs or is unknown. */
  failureOf(streamId: string): SightlineError | null;
  report(): RunnerReport;
}
