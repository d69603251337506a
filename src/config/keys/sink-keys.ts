// Made from the schemas in src/config by: UPDATE_DOCS=1 npx vitest run test/rules/documented-settings.test.ts

/**
 * Leaves out what the reader of this sink does not need. Tracks and counts do not depend on it. In a pipeline file:
 * `sinks[type=jsonl].filter`.
 */
export interface FilterSettings {
  /** Only detections and crossings of these classes. */
  readonly labels?: readonly string[] | undefined;
  /** Only detections of at least this score. Accepts: number from 0 to 1. */
  readonly minScore?: number | undefined;
  /**
   * Frames that give a result: all, those with a detection that is left, or those with a crossing.
   * @defaultValue `'all'`
   */
  readonly frames?: 'all' | 'detections' | 'crossings' | undefined;
}

/**
 * Keeps full files as NAME.N.EXT, oldest first; without it the file grows. Nothing deletes them. In a pipeline file:
 * `sinks[type=jsonl].rotate`.
 */
export interface RotateSettings {
  /**
   * Largest size of a file in megabytes (1,000,000 bytes); a compressed one may be 0.3 larger. Accepts: number from
   * 0.01 to 1000000, megabytes.
   */
  readonly maxMb?: number | undefined;
  /**
   * A file holds results of one period of UTC: 60 begins a file at each full hour, 1440 at midnight. Accepts: whole
   * number from 1 to 10080, minutes.
   */
  readonly everyMinutes?: number | undefined;
}

/** One JSON line for each frame. In a pipeline file: `sinks[type=jsonl]`. */
export interface JsonlSinkSettings {
  /** One JSON line for each frame. */
  readonly type: 'jsonl';
  /**
   * File to append to, one JSON line for each frame; "-" for standard output. If it ends in .gz or .zst it is
   * compressed, and each start begins a new file.
   */
  readonly path: string;
  /** Only these streams; all if absent. */
  readonly streams?: readonly string[] | undefined;
  /** Leaves out what the reader of this sink does not need. Tracks and counts do not depend on it. */
  readonly filter?: FilterSettings | undefined;
  /**
   * When results are synchronised to the disk, to survive a power failure: left to the system, every five seconds, or
   * with each write (every 100 ms).
   * @defaultValue `'interval'`
   */
  readonly sync?: 'never' | 'interval' | 'batch' | undefined;
  /** Keeps full files as NAME.N.EXT, oldest first; without it the file grows. Nothing deletes them. */
  readonly rotate?: RotateSettings | undefined;
}

/** A COCO results file. In a pipeline file: `sinks[type=coco]`. */
export interface CocoSinkSettings {
  /** A COCO results file. */
  readonly type: 'coco';
  /** File to write when the pipeline ends; a file of an earlier run is kept under a numbered name. */
  readonly path: string;
  /** Only these streams; all if absent. */
  readonly streams?: readonly string[] | undefined;
  /**
   * When results are synchronised to the disk, to survive a power failure: left to the system, every five seconds, or
   * with each write (every 100 ms).
   * @defaultValue `'interval'`
   */
  readonly sync?: 'never' | 'interval' | 'batch' | undefined;
}

/** The video with boxes drawn in. In a pipeline file: `sinks[type=video]`. */
export interface VideoSinkSettings {
  /** The video with boxes drawn in. */
  readonly type: 'video';
  /** Video file to write, with boxes drawn in; a file of an earlier run is kept under a numbered name. */
  readonly path: string;
  /** The one stream that is drawn. */
  readonly streams: readonly string[];
}

/** Batches of results POSTed to a server. In a pipeline file: `sinks[type=webhook]`. */
export interface WebhookSinkSettings {
  /** Batches of results POSTed to a server. */
  readonly type: 'webhook';
  /** http or https URL where results are POSTed. */
  readonly url: string;
  /** Sent with each request, such as {Authorization: "Bearer ${env:HOOK_TOKEN}"}. */
  readonly headers?: { readonly [name: string]: string } | undefined;
  /** Only these streams; all if absent. */
  readonly streams?: readonly string[] | undefined;
  /** Leaves out what the reader of this sink does not need. Tracks and counts do not depend on it. */
  readonly filter?: FilterSettings | undefined;
  /**
   * Most frames in one request. Accepts: whole number from 1 to 1000.
   * @defaultValue `50`
   */
  readonly batchSize?: number | undefined;
  /**
   * Attempts before a request that the receiver refuses is given up. Other failures are retried until they end.
   * Accepts: whole number from 1 to 100.
   * @defaultValue `8`
   */
  readonly maxAttempts?: number | undefined;
  /** Signs each request with HMAC-SHA256; see docs/wire-protocol.md. */
  readonly secret?: string | undefined;
  /** Folder of this sink alone where results wait until they are delivered; below the cache folder if absent. */
  readonly spoolFolder?: string | undefined;
  /**
   * Most megabytes that results of live streams wait in, and as many for files; 0 keeps at most 8 in memory. Accepts:
   * number from 0 to 1000000, megabytes.
   * @defaultValue `256`
   */
  readonly spoolMaxMb?: number | undefined;
  /**
   * When results are synchronised to the disk, to survive a power failure: left to the system, every five seconds, or
   * with each write (every 100 ms).
   * @defaultValue `'interval'`
   */
  readonly sync?: 'never' | 'interval' | 'batch' | undefined;
}

/** One of several, by `type`. In a pipeline file: `sinks[]`. */
export type SinkSettings = JsonlSinkSettings | CocoSinkSettings | VideoSinkSettings | WebhookSinkSettings;
