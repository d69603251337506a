import { randomBytes } from 'node:crypto';
import type { PtsUs } from '../../base/core/units.ts';
import type { ErrorCode } from '../../base/errors/error-codes.ts';
import { lookName } from './look-filters.ts';
import { leftOutName } from './rate-filters.ts';
import { shedName } from './shed-filters.ts';

/** What the `showinfo` filter reports about one frame, before any scaling. */
export interface FrameHeader {
  readonly ptsUs: PtsUs;
  /** Display size: after rotation, and widened or narrowed by the sample aspect ratio. */
  readonly width: number;
  readonly height: number;
  /** Columns as stored, and the width of a stored pixel divided by its height; absent if pixels are square. */
  readonly stored?: { readonly width: number; readonly pixelAspect: number };
  /** Wall clock of the camera at its capture, in milliseconds since 1970; absent if the camera does not report it. */
  readonly wallMs?: number;
  /** Depends on no other frame; absent if it does. */
  readonly isKey?: true;
  /** Frames that were shed between the previous header and this one; absent if none were. */
  readonly shedBefore?: number;
}

export type LogEvent =
  | { readonly kind: 'frame'; readonly frame: FrameHeader }
  /** ffmpeg has decoded a frame, whether or not it is taken. */
  | { readonly kind: 'pulse' }
  /** ffmpeg has decoded a frame that is not taken, see `rateFilters`. */
  | { readonly kind: 'left-out' }
  /** What ffmpeg has read so far, whether or not it was decoded: packets, and up to which media time; null if it does not say. */
  | { readonly kind: 'read'; readonly packets: number; readonly untilUs: number | null; readonly isEnd: boolean }
  /** ffmpeg has decoded a frame and dropped it before scaling, see `shedFilters`. */
  | { readonly kind: 'shed' }
  /** ffmpeg has decoded a key frame, whether or not it is taken. `isNext`: as the frame before it was. */
  | { readonly kind: 'key'; readonly ptsUs: PtsUs; readonly isNext: boolean }
  /** A frame that a `LOOK_COMMAND` asked for, whether or not it is taken. */
  | { readonly kind: 'look'; readonly frame: FrameHeader }
  /** A frame header is missing or duplicated: from here on, headers and pictures no longer match. */
  | { readonly kind: 'out-of-step'; readonly text: string }
  | { readonly kind: 'duration'; readonly durationUs: number }
  | { readonly kind: 'decode-error'; readonly text: string }
  | { readonly kind: 'truncated'; readonly text: string }
  | { readonly kind: 'hwaccel'; readonly text: string }
  | { readonly kind: 'problem'; readonly text: string };

/** The beginning of a line of our filters. Its end comes after the answer to a command, which was printed in between. */
const CUT_LINE = /^\[\w+@\w+ @ (?:0x)?[0-9a-f]+\] (?:\[info\] )?$/i;
const END_OF_CUT = /^(?:\[info\] )?(?:n: *\d|frame:\d|config |color_)/;
const LONGEST_CUT = 100;
const TIME_BASE = /^config in time_base: (\d+)\/(\d+)/;
const FRAME = /^n: *(\d+) pts: *(\S+) pts_time:\S+.*?\bsar:(\d+)\/(\d+) s:(\d+)x(\d+)(?:.*? iskey:(\d))?/;
/** A line about a frame, unlike those about the filter. */
const FRAME_NUMBER = / n: *\d+ /;
const PULSE = { kind: 'pulse' } as const;
/** The first of the two lines that `metadata=print` writes about a frame. */
const PRINTED_FRAME = /\] \[info\] frame:\d/;
const SHED = { kind: 'shed' } as const;
const LEFT_OUT = { kind: 'left-out' } as const;
/** A line of `-progress`. Since version 7 the first one can be printed in the middle of another line. */
const PROGRESS = /(?:^|\] )(frame|out_time_us|progress)=(\S+)$/;
/** ffmpeg indents its own line by two spaces; tags of the container are indented further. */
const DURATION = /^ {2}Duration: (\d+):(\d+):(\d+(?:\.\d+)?)/;
/** Contexts (ffmpeg >= 6.1 prints two: `[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2]`; Windows omits 0x), then the level. */
const PREFIX = /^(?:\[[^\]]+ @ (?:0x)?[0-9a-f]+\] )*(?:\[(info|warning|error|fatal|panic)\] )?/i;
const HWACCEL =
  /hwaccel|hw_?device|hw context|vaapi|cuda|nvdec|qsv|videotoolbox|No VA display|Device creation failed|Device setup failed|Hardware device setup|Failed setup for format|No device available/i;
const DAMAGE =
  /error while decoding|corrupt|concealing|invalid data found|missing picture|decode_slice|no frame|non-existing|reference|out of range|PES packet size|error splitting|Invalid NAL|negative number|left block|top block|cabac|mb_type|sub_mb_type/i;
const NO_MEMORY = /Cannot allocate memory|\bget_buffer\(\) failed/i;
const TRUNCATED = /partial file|truncat|end of file|stream ends prematurely/i;

/**
 * Returns a new secret name for the `showinfo` filter of one ffmpeg, 128 random bits.
 *
 * ffmpeg prints text from the media (titles, service names) into the same log as the frame headers. Only a line with this
 * name is a frame header, and the author of the media cannot know it.
 */
export function newHeaderTag(): string {
  return randomBytes(16).toString('hex');
}

/** Returns the frame-header filter in filter graph syntax. */
export function headerFilter(tag: string): string {
  return `showinfo@${tag}=checksum=0`;
}

/** Returns the filters that print a line for each key frame. Register 0 says whether the frame before was one, too: those have another name. */
export function keyFilters(tag: string): string {
  const printed = [keyName(tag), nextKeyName(tag)].map((name, i) => `[k${i}]showinfo@${name}=checksum=0,nullsink`);
  return [String.raw`select=outputs=2:expr=if(key\,1+ld(0)+0*st(0\,1)\,st(0\,0))[k0][k1]`, ...printed].join(';');
}

function keyName(tag: string): string {
  return `key${tag}`;
}

function nextKeyName(tag: string): string {
  return `next${tag}`;
}

/** Time between two pulses, in seconds. Well below the shortest `staleMs`. */
const PULSE_S = 0.05;

/**
 * Returns the filters that print a line at most every 50 ms of real time while frames are decoded, and pass on only those
 * frames. Register 0 of the expression holds the time of the last one.
 */
export function pulseFilter(tag: string): string {
  const isDue = `gte(abs(time(0)-ld(0))\\,${PULSE_S})`;
  return `select=if(${isDue}\\,gt(st(0\\,time(0))\\,0)),showinfo@${pulseName(tag)}=checksum=0`;
}

/** The name must be as secret as that of the header filter, or text in the media could hide that a source is dead. */
function pulseName(tag: string): string {
  return `pulse${tag}`;
}

/**
 * Parses ffmpeg's log (`-loglevel repeat+level+info`) line by line. Every ffmpeg since 4 can print each frame's timestamp
 * and size through `showinfo`, so those lines serve as frame headers (ADR 0015).
 *
 * Text from the media cannot imitate a header. It can imitate an error message of ffmpeg, but such a line only adds to a
 * counter or to the text of a failure.
 */
export class FfmpegLog {
  readonly #url: string;
  readonly #tag: string | null;
  /** Prefix of every line of our `showinfo`; null if the command has none. */
  readonly #headerMark: string | null;
  readonly #pulseMark: string | null;
  readonly #shedMark: string | null;
  readonly #leftOutMark: string | null;
  readonly #lookMark: string | null;
  readonly #keyMarks: readonly string[];
  /** The beginning of a line, while its end is missing: since version 7 an answer to a command can be printed in the middle. */
  #cut = '';
  #timeBase = 1 / 1000;
  #lastPtsUs = 0 as PtsUs;
  /** Number that `showinfo` gives the next frame. A rebuilt filter graph starts again at 0. */
  #nextNumber = 0;
  #builds = 0;
  #packets = 0;
  #untilUs: number | null = null;

  /**
   * @param url - the input of this ffmpeg. It is removed from every line: it may hold credentials, and a file name such as
   *   `corrupt.mp4` or `401.mp4` would be mistaken for an error.
   * @param headerTag - from `newHeaderTag`, the same as in the command; null if no frame headers are expected.
   */
  constructor(url: string, headerTag: string | null) {
    this.#url = url;
    this.#tag = headerTag;
    this.#headerMark = headerTag === null ? null : `[showinfo@${headerTag} @ `;
    this.#pulseMark = headerTag === null ? null : `[showinfo@${pulseName(headerTag)} @ `;
    this.#shedMark = headerTag === null ? null : `[metadata@${shedName(headerTag)} @ `;
    this.#leftOutMark = headerTag === null ? null : `[metadata@${leftOutName(headerTag)} @ `;
    this.#lookMark = headerTag === null ? null : `[showinfo@${lookName(headerTag)} @ `;
    this.#keyMarks =
      headerTag === null ? [] : [keyName(headerTag), nextKeyName(headerTag)].map((name) => `[showinfo@${name} @ `);
  }

  /** How often ffmpeg has built its filters: at its start, and for each new picture size. Each time it forgets all commands. */
  get builds(): number {
    return this.#builds;
  }

  /** @returns the event of a line; null for a line without one, which most are. */
  read(printed: string): LogEvent | null {
    let line = printed;
    if (this.#headerMark !== null) {
      if (this.#cut !== '' && END_OF_CUT.test(line)) {
        line = this.#cut + line;
        this.#cut = '';
      } else if (line.length < LONGEST_CUT) {
        if (this.#isCut(line)) {
          this.#cut = line;
          return null;
        }
        const progress = PROGRESS.exec(line);
        const before = progress === null ? null : line.slice(0, line.lastIndexOf(`${progress[1]}=`));
        if (before === '' || (before !== null && this.#isCut(before))) return this.#progress(before, progress!);
      }
      const at = line.indexOf(this.#headerMark);
      if (at >= 0) return this.#header(line.slice(at + this.#headerMark.length));
      if (line.includes(this.#pulseMark!)) return FRAME_NUMBER.test(line) ? PULSE : null;
      if (line.includes(this.#shedMark!)) return PRINTED_FRAME.test(line) ? SHED : null;
      if (line.includes(this.#leftOutMark!)) return PRINTED_FRAME.test(line) ? LEFT_OUT : null;
      const lookAt = line.indexOf(this.#lookMark!);
      if (lookAt >= 0) return this.#look(line.slice(lookAt));
      for (const [i, mark] of this.#keyMarks.entries())
        if (line.includes(mark)) return this.#key(line.slice(line.indexOf(mark)), i === 1);
    }
    const prefix = PREFIX.exec(line);
    const level = prefix?.[1];
    if (level === undefined) return SRT_REFUSAL.test(line) ? { kind: 'problem', text: line } : null;
    const rest = line.slice(prefix![0].length);
    if (level === 'info') return duration(rest);
    // Replace only what looks like a path or a URL: a generator such as "color" may be a word of any message.
    const text = /[:/\\]/.test(this.#url) ? rest.replaceAll(this.#url, 'the source') : rest;
    if (NO_MEMORY.test(text)) return { kind: 'problem', text };
    if (TRUNCATED.test(text)) return { kind: 'truncated', text };
    if (HWACCEL.test(text)) return { kind: 'hwaccel', text };
    if (DAMAGE.test(text) && !text.endsWith('when processing input')) return { kind: 'decode-error', text };
    return level === 'warning' ? null : { kind: 'problem', text };
  }

  #isCut(line: string): boolean {
    return line.includes(this.#tag!) && CUT_LINE.test(line);
  }

  /** @param before - on the same line: the beginning of one of ours, or nothing. */
  #progress(before: string, [, key, value = '']: RegExpExecArray): LogEvent | null {
    if (before !== '') this.#cut = before;
    if (key === 'frame') this.#packets = Number(value);
    if (key === 'out_time_us') this.#untilUs = /^\d+$/.test(value) ? Number(value) : null;
    if (key !== 'progress') return null;
    return { kind: 'read', packets: this.#packets, untilUs: this.#untilUs, isEnd: value === 'end' };
  }

  /** @param rest - a line of our own `showinfo` from its address on: `0x55d7 @] [info] n:   0 pts: ...`. */
  #header(rest: string): LogEvent | null {
    const end = rest.indexOf('] [info] ');
    if (end < 0) return null;
    const text = rest.slice(end + '] [info] '.length);
    const frame = FRAME.exec(text);
    if (frame !== null) return this.#frame(frame);
    const base = TIME_BASE.exec(text);
    if (base !== null) {
      this.#timeBase = Number(base[1]) / Number(base[2]);
      this.#nextNumber = 0;
      this.#builds += 1;
    }
    return null;
  }

  #look(line: string): LogEvent | null {
    const frame = this.#printedFrame(line);
    return frame === null ? null : { kind: 'look', frame };
  }

  #key(line: string, isNext: boolean): LogEvent | null {
    const frame = this.#printedFrame(line);
    return frame === null ? null : { kind: 'key', ptsUs: frame.ptsUs, isNext };
  }

  /** Of a filter with the same time base as that of the frames: both get what the decoder gives. */
  #printedFrame(line: string): FrameHeader | null {
    const frame = FRAME.exec(line.slice(line.indexOf('] [info] ') + '] [info] '.length));
    return frame === null ? null : this.#headerOf(frame, this.#lastPtsUs);
  }

  #frame(printed: RegExpExecArray): LogEvent {
    const number = printed[1];
    if (Number(number) !== this.#nextNumber) {
      return {
        kind: 'out-of-step',
        text: `expected the header of frame ${this.#nextNumber}, received that of ${number}`,
      };
    }
    this.#nextNumber += 1;
    // A frame without a timestamp (NOPTS) gets the last known one: an invented time would be worse than an equal one.
    const frame = this.#headerOf(printed, this.#lastPtsUs);
    this.#lastPtsUs = frame.ptsUs;
    return { kind: 'frame', frame };
  }

  /** @param unknownUs - time of a frame without one. */
  #headerOf([, , pts, sarNum, sarDen, width, height, isKey]: RegExpExecArray, unknownUs: PtsUs): FrameHeader {
    const ticks = Number(pts);
    const ptsUs = Number.isFinite(ticks) ? (Math.round(ticks * this.#timeBase * 1e6) as PtsUs) : unknownUs;
    const sar = Number(sarNum) > 0 && Number(sarDen) > 0 ? Number(sarNum) / Number(sarDen) : 1;
    const displayWidth = Math.max(1, Math.round(Number(width) * sar));
    const frame: FrameHeader = {
      ptsUs,
      width: displayWidth,
      height: Number(height),
      ...(isKey === '1' ? { isKey: true } : {}),
    };
    return sar === 1 ? frame : { ...frame, stored: { width: Number(width), pixelAspect: sar } };
  }
}

function duration(text: string): LogEvent | null {
  const match = DURATION.exec(text);
  if (match === null) return null;
  const seconds = Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3]);
  return { kind: 'duration', durationUs: Math.round(seconds * 1e6) };
}

/** The SRT library writes its own log, with the time and the name of a thread. */
const SRT_REFUSAL = /^[\d:.]+\/SRT:.*Incorrect passphrase/;

/** In a cause, `$1` stands for the first group of the pattern. */
const CAUSES: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [
    /Picture size (\d+x\d+) exceeds specified max pixel count (\d+)/,
    'SOURCE_TOO_LARGE',
    'its pictures are $1, and decoder.maxPixels allows $2 pixels',
  ],
  [NO_MEMORY, 'SOURCE_TOO_LARGE', 'it did not get the memory for its pictures (decoder.memoryMib limits it)'],
  [
    /Format not on whitelist/i,
    'SOURCE_FORBIDDEN',
    'it is a playlist, or of another kind that can name further files, and only the video itself may be opened',
  ],
  [/Protocol '.*' not on whitelist/i, 'SOURCE_FORBIDDEN', 'it leads to an address that may not be opened'],
  [
    /matches no streams|does not contain any stream|Output file #0 does not contain/i,
    'SOURCE_NO_VIDEO',
    'it holds no video stream',
  ],
  // The number alone would match a file called clip-401.mp4.
  [
    /\b401 Unauthorized|\b403 Forbidden|authorization failed|access denied/i,
    'SOURCE_UNAUTHORIZED',
    'the server refuses the credentials',
  ],
  [/Incorrect passphrase/, 'SOURCE_UNAUTHORIZED', 'the server refuses the credentials'],
  [/Protocol not found/i, 'SOURCE_UNREADABLE', 'this build of ffmpeg cannot read such an address (ffmpeg -protocols)'],
  [/method \w+ failed: 404\b/i, 'SOURCE_UNREACHABLE', 'the camera has no such path'],
  [/\b404 Not Found/i, 'SOURCE_UNREACHABLE', 'the server has nothing at this address'],
  [
    /method \w+ failed: [45]\d\d\b|Server returned [45]|HTTP error/i,
    'SOURCE_UNREACHABLE',
    'the server answers with an error',
  ],
  [
    /Connection refused|timed out|Connection reset|Network is unreachable|No route to host|Host is down|Failed to resolve|Name or service not known|Input\/output error|Immediate exit|Broken pipe/i,
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

/** Derives why ffmpeg failed from the last problems that it printed. */
export function explainExit(problems: readonly string[]): { code: ErrorCode; cause: string; said: string } {
  const said = problems.at(-1) ?? 'nothing';
  const all = problems.join('\n');
  for (const [pattern, code, cause] of CAUSES) {
    const found = pattern.exec(all);
    if (found !== null) return { code, cause: cause.replace(/\$(\d)/g, (_, group) => found[group]!), said };
  }
  return { code: 'DECODE_EXITED', cause: 'ffmpeg ended early', said };
}
