import type { HostObservation, Rollout, Version } from '../../../wire/protocol/rollout-records.ts';

/** Which of two versions is the control and which the candidate, by hash. */
export interface Sides {
  readonly control: string;
  readonly candidate: string;
}

/**
 * What a roll-out needs from the host that runs the streams: several versions loaded side by side, and the version of each
 * stream. A call that changes nothing costs nothing: the follower repeats its calls every second.
 */
export interface RolloutTarget {
  /** Names of the streams that this host runs now. */
  streams(): readonly string[];
  /** Hash of the version that a stream uses. */
  versionOf(stream: string): string;
  /** Returns whether a version is loaded and warm. */
  isLoaded(hash: string): boolean;
  /**
   * Loads and warms a version beside the others. Resolves at once if it is loaded.
   *
   * @throws MODEL_*, ENGINE_UNAVAILABLE, and what a lack of memory causes.
   */
  load(version: Version): Promise<void>;
  /** Makes a loaded version the one that new streams and jobs use, and that reports of the host describe. */
  adopt(hash: string): void;
  /** Unloads a version that no stream uses. Does nothing if new streams use it. */
  unload(hash: string): Promise<void>;
  /**
   * Changes the version of a stream, between two frames if the lane need not do anything else. Both versions must be loaded.
   *
   * @param beside - version that infers some of its frames, or the next ones, as well: the frames suit both. null: none does.
   */
  assign(stream: string, hash: string, beside: string | null): void;
  /** What a turn costs a stream: nothing, or its source is opened again. null while it is not known. */
  turnCost(stream: string): 'none' | 'reopening' | null;
  /**
   * Lets a second version infer a share of a stream's frames; only the first one's results are published. Gives way to live
   * work.
   *
   * @param hash - null ends it. @param ratio - share of the frames, 0 to 1. @param scoreSlack - boxes that are this much too weak
   *   to be published are observed as well.
   */
  shadow(stream: string, hash: string | null, ratio: number, scoreSlack: number): void;
  /** Says that the candidate carries all streams, without turns or shadow frames, so that its cost can be measured. */
  measureCost(isAlone: boolean): void;
  /** Says which sides the observations are of; null while there is no roll-out, and then none are made. */
  compare(sides: Sides | null): void;
  /**
   * Runs both versions of a roll-out over what this host has recorded of its streams, beside the live work, and reports with each call what
   * was found so far. null ends it.
   *
   * @param nowMs - the control plane's time.
   */
  tryRecorded(rollout: Rollout | null, nowMs: number): void;
  /** Called about once a second for each stream and side, and once for each frame that both sides inferred. */
  onObservation(listener: (observation: HostObservation) => void): () => void;
}
