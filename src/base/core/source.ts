/** A source of frames, parsed and ready for ffmpeg. Plain data: crosses threads. */
export interface SourceInput {
  readonly kind: 'file' | 'http' | 'rtsp' | 'rtmp' | 'srt' | 'device' | 'synthetic';
  /** What ffmpeg opens; may hold credentials, so it is never printed. */
  readonly url: string;
  /** The URL for display, credentials redacted. */
  readonly label: string;
  /** A live source is opened again when it ends or stalls; a file is read once, to its end. */
  readonly isLive: boolean;
  /** Address that must accept a TCP connection before ffmpeg is started; null if there is none to probe. */
  readonly probeAddress: { readonly host: string; readonly port: number } | null;
  readonly options: SourceOptions;
  /** HTTP proxy on this machine that ffmpeg asks for everything it opens; absent before the source is opened, see `openSource`. */
  readonly proxyUrl?: string;
  /** Application of an RTMP server as it knows it, with its own name; absent before the source is opened. */
  readonly tcUrl?: string;
  /** Only this stretch of a file; all of it if absent. */
  readonly window?: SourceWindow;
}

/**
 * A stretch of a file that begins and ends at key frames from which decoding gives the same frames as an uninterrupted
 * run. Times are those of that run: microseconds since the start of the file.
 */
export interface SourceWindow {
  /** Media time of its first frame; null for the start of the file. */
  readonly fromUs: number | null;
  /** Exclusive end, in media time; null for the end of the file. */
  readonly toUs: number | null;
  /** Frames before it, so that taking every n-th frame stays in phase. */
  readonly firstFrame: number;
}

export interface SourceOptions {
  /** Restart at the end of a file, for ever. */
  readonly loop: boolean;
  /** Read no faster than the media's own clock. */
  readonly realtime: boolean;
  readonly rtspTransport: 'tcp' | 'udp';
  /** ffmpeg ends if a network read takes longer. */
  readonly readTimeoutMs: number;
  /** Absent: as `FREE_ACCESS`. */
  readonly access?: SourceAccess;
}

/** What a source, and everything that it leads to, may open. */
export interface SourceAccess {
  /** Folders below which a file must lie, links resolved; null for anywhere. */
  readonly roots: readonly string[] | null;
  /** Networks (CIDR) that connections may go to; null for all. */
  readonly networks: readonly string[] | null;
  /** PEM text of certificate authorities to trust besides the usual ones; null for none. */
  readonly authorities: string | null;
  /** Certificates are not verified. */
  readonly isTlsInsecure: boolean;
}

/** Every address may be opened; certificates are verified. */
export const FREE_ACCESS: SourceAccess = { roots: null, networks: null, authorities: null, isTlsInsecure: false };
