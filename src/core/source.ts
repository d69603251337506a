/** A place that frames come from, understood and ready for ffmpeg. Plain data: crosses threads. */
export interface SourceInput {
  readonly kind: 'file' | 'http' | 'rtsp' | 'device' | 'synthetic';
  /** What ffmpeg opens; may hold credentials, so it is never printed. */
  readonly url: string;
  /** The same for people, credentials redacted. */
  readonly label: string;
  /** A live source is opened again when it ends or stalls; a file is read once, to its end. */
  readonly isLive: boolean;
  /** Where a TCP connection must succeed before ffmpeg is worth starting; null where that cannot be known. */
  readonly probeAddress: { readonly host: string; readonly port: number } | null;
  readonly options: SourceOptions;
  /** Only this stretch of a file; all of it where absent. */
  readonly window?: SourceWindow;
}

/**
 * A stretch of a file that begins and ends at key frames from which decoding gives what it gives in an uninterrupted run.
 * Times are those of that run: microseconds since the start of the file.
 */
export interface SourceWindow {
  /** Media time of its first frame; null for the start of the file. */
  readonly fromUs: number | null;
  /** Media time that no frame of it reaches; null for the end of the file. */
  readonly toUs: number | null;
  /** Frames before it, so that taking every n-th goes on in step. */
  readonly firstFrame: number;
}

export interface SourceOptions {
  /** Start again at the end of a file, for ever. */
  readonly loop: boolean;
  /** Read no faster than the media's own clock. */
  readonly realtime: boolean;
  readonly rtspTransport: 'tcp' | 'udp';
  /** A network read that takes longer ends ffmpeg. */
  readonly readTimeoutMs: number;
}
