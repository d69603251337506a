import type { ErrorCode } from '../errors/error-codes.ts';

/** One frame as ffmpeg's showinfo filter prints it, before any scaling. */
export interface FrameLine {
  readonly ptsUs: number;
  /** Display size: after rotation, and widened or narrowed by the sample aspect ratio. */
  readonly width: number;
  readonly height: number;
}

export type LogEvent =
  | { readonly kind: 'frame'; readonly frame: FrameLine }
  | { readonly kind: 'duration'; readonly durationUs: number }
  | { readonly kind: 'decode-error'; readonly text: string }
  | { readonly kind: 'truncated'; readonly text: string }
  | { readonly kind: 'hwaccel'; readonly text: string }
  | { readonly kind: 'problem'; readonly text: string };

const TIME_BASE = /config in time_base: (\d+)\/(\d+)/;
const FRAME = /\bn: *\d+ pts: *(\S+) pts_time:\S+.*?\bsar:(\d+)\/(\d+) s:(\d+)x(\d+)/;
const DURATION = /^ *Duration: (\d+):(\d+):(\d+(?:\.\d+)?)/;
/** Contexts (ffmpeg >= 6.1 prints two, as in `[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2]`; Windows has no 0x), then the level. */
const PREFIX = /^(?:\[[^\]]+ @ (?:0x)?[0-9a-f]+\] )*(?:\[(info|warning|error|fatal|panic)\] )?/i;
const HWACCEL =
  /hwaccel|hw_?device|vaapi|cuda|nvdec|qsv|videotoolbox|No VA display|Device creation failed|Device setup failed|Hardware device setup|Failed setup for format|No device available/i;
const DAMAGE =
  /error while decoding|corrupt|concealing|invalid data found|missing picture|decode_slice|no frame|non-existing|reference|out of range|PES packet size|error splitting|Invalid NAL|negative number|left block|top block|cabac|mb_type|sub_mb_type/i;
const TRUNCATED = /partial file|truncat|end of file|stream ends prematurely/i;

/**
 * Reads ffmpeg's log (`-loglevel repeat+level+info`), line by line. The showinfo lines are the one place where every
 * ffmpeg since 4 tells each frame's own timestamp and size, so they serve as the frames' headers.
 */
export class FfmpegLog {
  readonly #url: string;
  #timeBase = 1 / 1000;
  #lastPtsUs = 0;

  /**
   * @param url - what ffmpeg was told to open. It is taken out of every line: it may hold credentials, and a file may be
   * called `corrupt.mp4` or `401.mp4`, which says nothing about what happened.
   */
  constructor(url = '') {
    this.#url = url;
  }

  /** @returns what the line means; null for the many that mean nothing to us. */
  read(line: string): LogEvent | null {
    const prefix = PREFIX.exec(line);
    const level = prefix?.[1];
    if (level === undefined) return null;
    const rest = line.slice(prefix![0].length);
    if (level === 'info') return this.#info(rest);
    // Only what looks like a path or a URL: a graph such as "color" may be a word of any message.
    const text = /[:/\\]/.test(this.#url) ? rest.replaceAll(this.#url, 'the source') : rest;
    if (TRUNCATED.test(text)) return { kind: 'truncated', text };
    if (HWACCEL.test(text)) return { kind: 'hwaccel', text };
    if (DAMAGE.test(text) && !text.endsWith('when processing input')) return { kind: 'decode-error', text };
    return level === 'warning' ? null : { kind: 'problem', text };
  }

  #info(text: string): LogEvent | null {
    const frame = FRAME.exec(text);
    if (frame !== null) return { kind: 'frame', frame: this.#frame(frame) };
    const base = TIME_BASE.exec(text);
    if (base !== null) this.#timeBase = Number(base[1]) / Number(base[2]);
    const duration = DURATION.exec(text);
    if (duration === null) return null;
    const seconds = Number(duration[1]) * 3600 + Number(duration[2]) * 60 + Number(duration[3]);
    return { kind: 'duration', durationUs: Math.round(seconds * 1e6) };
  }

  #frame([, pts, sarNum, sarDen, width, height]: RegExpExecArray): FrameLine {
    const ticks = Number(pts);
    // A frame without a timestamp (NOPTS) takes the last one known: invented times would be worse than equal ones.
    if (Number.isFinite(ticks)) this.#lastPtsUs = Math.round(ticks * this.#timeBase * 1e6);
    const sar = Number(sarNum) > 0 && Number(sarDen) > 0 ? Number(sarNum) / Number(sarDen) : 1;
    return { ptsUs: this.#lastPtsUs, width: Math.max(1, Math.round(Number(width) * sar)), height: Number(height) };
  }
}

const CAUSES: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [
    /matches no streams|does not contain any stream|Output file #0 does not contain/i,
    'SOURCE_NO_VIDEO',
    'it holds no video stream',
  ],
  // With the words that belong to the number: a file may well be called clip-401.mp4.
  [
    /\b401 Unauthorized|\b403 Forbidden|authorization failed|access denied/i,
    'SOURCE_UNAUTHORIZED',
    'the server refuses the credentials',
  ],
  [
    /Connection refused|timed out|Connection reset|Network is unreachable|No route to host|Host is down|Failed to resolve|Name or service not known|\b404 Not Found|Server returned|HTTP error|Input\/output error|Immediate exit|Broken pipe/i,
    'SOURCE_UNREACHABLE',
    'the server does not answer',
  ],
  [/No such file or directory/i, 'SOURCE_NOT_FOUND', 'there is no such file'],
  [/Permission denied/i, 'SOURCE_UNREADABLE', 'permission denied'],
  [/moov atom not found/i, 'SOURCE_UNREADABLE', 'it is not a video, or its index (moov atom) is missing'],
  [
    /Invalid data found|could not find codec parameters|Unknown format|misdetection/i,
    'SOURCE_UNREADABLE',
    'it is not a video that ffmpeg knows',
  ],
  [
    /Error opening filter|No such filter|Invalid argument|Option .* not found|Unrecognized option|Unknown input format/i,
    'SOURCE_UNREADABLE',
    'ffmpeg does not accept the request',
  ],
];

/** Tells the cause of an ffmpeg that ended without success, from the last problems it printed. */
export function explainExit(problems: readonly string[]): { code: ErrorCode; cause: string; said: string } {
  const said = problems.at(-1) ?? 'nothing';
  const all = problems.join('\n');
  for (const [pattern, code, cause] of CAUSES) if (pattern.test(all)) return { code, cause, said };
  return { code: 'DECODE_EXITED', cause: 'ffmpeg ended early', said };
}
