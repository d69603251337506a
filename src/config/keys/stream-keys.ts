// Made from the schemas in src/config by: UPDATE_DOCS=1 npx vitest run test/rules/documented-settings.test.ts

/** Settings of every stream that does not set them itself. In a pipeline file: `defaults`. */
export type StreamDefaults = Omit<StreamSettings, 'id' | 'source'>;

/** All settings of this section. In a pipeline file: `streams[].region`. */
export interface RegionSettings {
  /** Left edge, 0 to 1 of the picture. Accepts: number from 0 to 1. */
  readonly x: number;
  /** Top edge, 0 to 1 of the picture. Accepts: number from 0 to 1. */
  readonly y: number;
  /** Width, 0 to 1 of the picture. Accepts: number from 0.01 to 1. */
  readonly width: number;
  /** Height, 0 to 1 of the picture. Accepts: number from 0.01 to 1. */
  readonly height: number;
}

/**
 * Infers the picture, or its region, in parts, to find small objects; each part costs an inference. Not divided if
 * absent. In a pipeline file: `streams[].tiles`.
 */
export interface TilesSettings {
  /** Tiles side by side. Accepts: whole number from 1 to 16. */
  readonly columns: number;
  /** Tiles one below the other. Accepts: whole number from 1 to 16. */
  readonly rows: number;
  /**
   * Share of a tile that the next one shows as well. Accepts: number from 0 to 0.5.
   * @defaultValue `0.2`
   */
  readonly overlap?: number | undefined;
  /**
   * Infer the picture or region as a whole, too, for large objects.
   * @defaultValue `true`
   */
  readonly whole?: boolean | undefined;
}

/** What the operator expects; a miss that lasts 5 s raises an event. In a pipeline file: `streams[].target`. */
export interface TargetSettings {
  /** Published frames per second that the stream should reach. Accepts: number from 0.1 to 1000, per second. */
  readonly fps?: number | undefined;
  /**
   * Upper limit for the 99th percentile of the time from captured to published. Accepts: number from 1 to 60000,
   * milliseconds.
   */
  readonly latencyMs?: number | undefined;
}

/** All settings of this section. In a pipeline file: `streams[].track`. */
export interface TrackSettings {
  /**
   * Detections with at least this score are matched first. If absent: 0.4, or `newScore` if that is lower. Accepts:
   * number from 0 to 1.
   */
  readonly highScore?: number | undefined;
  /**
   * Weaker detections with at least this score can still continue a track. Accepts: number from 0 to 1.
   * @defaultValue `0.1`
   */
  readonly lowScore?: number | undefined;
  /**
   * An unmatched detection with at least this score starts a track. If absent: the threshold of reported boxes.
   * Accepts: number from 0 to 1.
   */
  readonly newScore?: number | undefined;
  /**
   * Smallest IoU of a detection with the predicted box of its track. Accepts: number from 0 to 1.
   * @defaultValue `0.2`
   */
  readonly matchIou?: number | undefined;
  /**
   * A track that is unseen for longer, in media time, is deleted; at least the time between two frames. If absent:
   * 1000, or 2.5 times that time with a small maxFps. Accepts: whole number from 0 to 600000, milliseconds.
   */
  readonly lostMs?: number | undefined;
  /**
   * Consecutive frames that a track needs before it gets its id. Accepts: whole number from 1 to 100.
   * @defaultValue `3`
   */
  readonly minHits?: number | undefined;
}

/** All settings of this section. In a pipeline file: `streams[].skip.unchanged`. */
export interface ChangeGateSettings {
  /**
   * Longest media time without inference: after it a frame is inferred even if nothing has changed. Accepts: whole
   * number from 100 to 600000, milliseconds.
   * @defaultValue `5000`
   */
  readonly lookEveryMs?: number | undefined;
  /**
   * Smallest change of the mean level of a small block that counts without noise, 0 to 255; noise raises it up to a
   * bound. Accepts: number from 0.5 to 50.
   * @defaultValue `3`
   */
  readonly minLevels?: number | undefined;
}

/** All settings of this section. In a pipeline file: `streams[].skip.trackBetween`. */
export interface AdaptivePaceSettings {
  /**
   * Smallest n, however much moves. Accepts: whole number from 1 to 60.
   * @defaultValue `1`
   */
  readonly min?: number | undefined;
  /**
   * Largest n, however little moves. Accepts: whole number from 1 to 60.
   * @defaultValue `8`
   */
  readonly max?: number | undefined;
}

/** Frames that need no inference. In a pipeline file: `streams[].skip`. */
export interface SkipSettings {
  /**
   * Repeat the result of the last inferred frame while the picture equals it up to noise; an uncertain result for 200
   * ms only. True, or settings.
   * @defaultValue `false`
   */
  readonly unchanged?: boolean | ChangeGateSettings | undefined;
  /**
   * Infer every n-th frame, and more if an object could else be missing for over 200 ms; the tracker predicts the boxes
   * between. auto, or bounds: n follows how well it predicts. Accepts: whole number from 1 to 60, or "auto", or a
   * section.
   * @defaultValue `1`
   */
  readonly trackBetween?: number | 'auto' | AdaptivePaceSettings | undefined;
}

/**
 * Areas in which objects are counted: each reported box in the newest frame, with or without a track. In a pipeline
 * file: `streams[].zones[]`.
 */
export interface ZoneSettings {
  /** Name of the zone. */
  readonly id: string;
  /** Corners as [x, y], 0 to 1 of the picture. Accepts: list of [number from 0 to 1, number from 0 to 1]. */
  readonly polygon: readonly (readonly [number, number])[];
  /**
   * The point of a box that is tested.
   * @defaultValue `'bottom-center'`
   */
  readonly anchor?: 'bottom-center' | 'center' | undefined;
  /** Only objects with these labels; all if absent. */
  readonly labels?: readonly string[] | undefined;
}

/** Lines whose crossings are counted. In a pipeline file: `streams[].lines[]`. */
export interface LineSettings {
  /** Name of the line. */
  readonly id: string;
  /** First end as [x, y], 0 to 1 of the picture. Accepts: [number from 0 to 1, number from 0 to 1]. */
  readonly from: readonly [number, number];
  /** Second end. Accepts: [number from 0 to 1, number from 0 to 1]. */
  readonly to: readonly [number, number];
  /**
   * The point of a box that is tested.
   * @defaultValue `'bottom-center'`
   */
  readonly anchor?: 'bottom-center' | 'center' | undefined;
  /** Only objects with these labels; all if absent. */
  readonly labels?: readonly string[] | undefined;
  /**
   * An object is on neither side of the line within this distance, in picture heights (default 0.015). Accepts: number
   * from 0 to 0.5.
   */
  readonly bandRatio?: number | undefined;
  /**
   * Media time that an object must stay beyond the band to count (default 200). Accepts: whole number from 0 to 60000,
   * milliseconds.
   */
  readonly settleMs?: number | undefined;
  /** Consecutive frames in which it must be seen there (default 2). Accepts: whole number from 1 to 1000. */
  readonly settleFrames?: number | undefined;
}

/** Where pictures come from; more can be added while it runs. In a pipeline file: `streams[]`. */
export interface StreamSettings {
  /** Name of the stream. */
  readonly id: string;
  /**
   * A file, http(s)://, rtsp(s)://, device:/dev/video0, synthetic:GENERATOR (a test picture, such as
   * synthetic:testsrc2=size=1280x720:rate=30), or demo for the demonstration clip.
   */
  readonly source: string;
  /**
   * live drops frames that are too old, file waits and loses nothing; auto decides by the kind of source.
   * @defaultValue `'auto'`
   */
  readonly policy?: 'auto' | 'live' | 'file' | undefined;
  /**
   * Play a file again and again, as a live source.
   * @defaultValue `false`
   */
  readonly loop?: boolean | undefined;
  /** Read no faster than the media's own clock. If absent: true for a file that loops or is live, else false. */
  readonly realtime?: boolean | undefined;
  /**
   * Accept any certificate of an https:// or rtsps:// source. Better: its authority in `tls.caFile`.
   * @defaultValue `false`
   */
  readonly insecureTls?: boolean | undefined;
  /**
   * Transport protocol for RTSP.
   * @defaultValue `'tcp'`
   */
  readonly transport?: 'tcp' | 'udp' | undefined;
  /**
   * Take every n-th frame. Accepts: whole number from 1 to 1000.
   * @defaultValue `1`
   */
  readonly every?: number | undefined;
  /** Take at most this many frames per second. Accepts: number from 0.1 to 1000, per second. */
  readonly maxFps?: number | undefined;
  /**
   * Hardware decoder as ffmpeg names it (auto, cuda, vaapi, qsv, videotoolbox); falls back to software with a warning.
   * @defaultValue `'none'`
   */
  readonly hwaccel?: string | undefined;
  /**
   * What resizes pictures for the model if nothing needs them full-size. `ffmpeg`: faster. `sharp`: the model's own
   * kernel. `auto`: ffmpeg, unless that costs over 0.005 AP.
   * @defaultValue `'auto'`
   */
  readonly resizeBy?: 'auto' | 'ffmpeg' | 'sharp' | undefined;
  /**
   * Infer only this rectangle, or `zones` (their bounding box plus 5 %). Default: whole picture. Objects get another
   * size in the input, so other boxes are found.
   */
  readonly region?: RegionSettings | 'zones' | undefined;
  /**
   * Infers the picture, or its region, in parts, to find small objects; each part costs an inference. Not divided if
   * absent.
   */
  readonly tiles?: TilesSettings | undefined;
  /** Only objects with these labels are reported, tracked and counted; all if absent. */
  readonly labels?: readonly string[] | undefined;
  /**
   * Boxes below this are not reported: at least the threshold of the model, which holds if absent. Accepts: number from
   * 0 to 1.
   */
  readonly scoreThreshold?: number | undefined;
  /**
   * ffmpeg's decoder threads; 0 lets ffmpeg choose. Accepts: whole number from 0 to 64.
   * @defaultValue `1`
   */
  readonly decodeThreads?: number | undefined;
  /**
   * Streams of higher priority go first. Accepts: whole number from -100 to 100.
   * @defaultValue `0`
   */
  readonly priority?: number | undefined;
  /**
   * Share of the inferences among streams of the same priority. Accepts: number from 0.01 to 100.
   * @defaultValue `1`
   */
  readonly weight?: number | undefined;
  /**
   * Frames of a live stream that may wait for a batch; if more come, the oldest is dropped. Fewer wait while frames are
   * shed. Accepts: whole number from 1 to 64.
   * @defaultValue `2`
   */
  readonly queueSize?: number | undefined;
  /**
   * A live frame older than this when its batch closes is dropped. Accepts: whole number from 1 to 60000, milliseconds.
   * @defaultValue `500`
   */
  readonly maxAgeMs?: number | undefined;
  /**
   * A live source from which no frame is decoded for this long is opened again; frames that every and maxFps leave out
   * count. Accepts: whole number from 100 to 600000, milliseconds.
   * @defaultValue `3000`
   */
  readonly staleMs?: number | undefined;
  /**
   * Longest wait for the first frame of a connection. Accepts: whole number from 100 to 600000, milliseconds.
   * @defaultValue `10000`
   */
  readonly openTimeoutMs?: number | undefined;
  /** What the operator expects; a miss that lasts 5 s raises an event. */
  readonly target?: TargetSettings | undefined;
  /**
   * Follow objects from frame to frame: true, or settings of the tracker.
   * @defaultValue `false`
   */
  readonly track?: boolean | TrackSettings | undefined;
  /** Frames that need no inference. */
  readonly skip?: SkipSettings | undefined;
  /**
   * Areas in which objects are counted: each reported box in the newest frame, with or without a track.
   * @defaultValue `[]`
   */
  readonly zones?: readonly ZoneSettings[] | undefined;
  /**
   * Lines whose crossings are counted.
   * @defaultValue `[]`
   */
  readonly lines?: readonly LineSettings[] | undefined;
}
