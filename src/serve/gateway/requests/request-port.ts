import type { Detection } from '../../../base/core/detection.ts';
import type { Picture } from '../../../base/core/picture.ts';
import type { RequestsConfig } from '../../../settings/config/requests.ts';

/** A version of the pipeline's model that is loaded. */
export interface ServedVersion {
  /** Number of the version, such as `3` of `people@3`. */
  readonly version: string;
  /** Answers requests that name none, but for the share of a candidate. */
  readonly isActive: boolean;
}

export interface DetectOptions {
  /** Absent: the active one, or the candidate of a roll-out for its share of the pictures. */
  readonly version?: string | undefined;
  /** Ends the work; its reason is thrown. */
  readonly signal: AbortSignal;
}

/** What was found in the picture of a request. */
export interface DetectedPicture {
  readonly version: string;
  readonly width: number;
  readonly height: number;
  /** Best score first. */
  readonly detections: readonly Detection[];
  readonly warnings: readonly string[];
  /** An equal picture had the same result before. */
  readonly isCached: boolean;
  /** The candidate of a roll-out had failed, and the active version answered. */
  readonly isFallback?: boolean;
}

/** What the gateway needs to answer requests with pictures. */
export interface RequestPort {
  /** Name of the pipeline: it is that of the model in KServe. */
  readonly name: string;
  readonly settings: RequestsConfig;
  /** Oldest first. */
  versions(): readonly ServedVersion[];
  /**
   * @throws MODEL_NOT_FOUND for a version that is not loaded, SOURCE_UNREADABLE, SOURCE_TOO_LARGE, LIMIT_REACHED, ENGINE_FAILED; the
   *   reason of the signal
   */
  detect(picture: Exclude<Picture, string>, options: DetectOptions): Promise<DetectedPicture>;
}
