import ffmpeg from 'fluent-ffmpeg';
import type { ResizeKernel, ResizeRule } from '../core/model.ts';
import type { SourceInput, SourceWindow } from '../core/source.ts';
import { ROUNDING_SLACK } from '../geometry/placement.ts';
import { cropFilter, isWhole, type View } from '../geometry/views.ts';
import { headerFilter, pulseFilter } from './ffmpeg-log.ts';

/** What ffmpeg does with the pixels of one source. */
export interface DecodePlan {
  readonly ffmpegMajor: number;
  /** Secret name of the filter that prints the frame headers, from `newHeaderTag`. `FfmpegLog` needs the same one. */
  readonly headerTag: string;
  /**
   * The picture that ffmpeg writes: u8 rgb24 `[height, width, 3]`, the source fitted into it by `fit`. Its size stays the
   * same even if the source changes its own. With views it is `[views * height, width, 3]`.
   */
  readonly canvas: {
    readonly width: number;
    readonly height: number;
    readonly fit: ResizeRule;
    /** Rectangles of the source, each fitted into a canvas of its own, written one below the other; absent: all of it. */
    readonly views?: readonly View[] | undefined;
  };
  /** Take every n-th frame. */
  readonly every: number;
  /** Take at most this many frames per second; null for all. */
  readonly maxFps: number | null;
  /**
   * Only frames after the one at this media time, which counts for `every` and `maxFps` as taken; null for all. Unlike a
   * number of frames, a time stays right when ffmpeg builds its filters again for another picture size.
   */
  readonly afterUs: number | null;
  /** `-hwaccel` name, `auto`, or none. */
  readonly hwaccel: string;
  /** Decoder threads; 0 lets ffmpeg choose. */
  readonly threads: number;
}

/**
 * Builds the arguments of the ffmpeg that decodes one source: rgb24 frames on standard output, one header line per frame on
 * standard error (ADR 0015). fluent-ffmpeg is used in this file only, and only to build arguments; spawn, watchdog and kill
 * are our own.
 */
export function decodeArguments(source: SourceInput, plan: DecodePlan): string[] {
  const command = ffmpeg(source.url)
    .inputOptions(inputOptions(source, plan))
    .videoFilters(filters(plan, source.window))
    .outputOptions(['-map 0:v:0', ...NO_TAGS, ...passthrough(plan.ffmpegMajor), '-an', '-sn', '-dn', ...ONE_THREAD])
    .format('rawvideo')
    .output('pipe:1');
  const built = (command as unknown as { _getArguments(): string[] })._getArguments();
  return ['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'repeat+level+info', ...built];
}

/**
 * Pictures this small do not gain from threads inside the filters: synchronisation costs more than it saves. By default the
 * raw video "encoder" runs one thread per core and emits a frame only when the next one arrives, which delays every camera
 * frame by a frame interval and costs 1 % more CPU.
 */
const ONE_THREAD = ['-filter_threads 1', '-threads 1'] as const;

/** Drops titles and other tags of the media, which ffmpeg would otherwise print again for its output. */
const NO_TAGS = ['-map_metadata -1', '-map_chapters -1'] as const;

function inputOptions(source: SourceInput, plan: DecodePlan): string[] {
  const { options } = source;
  const list: string[] = [];
  if (plan.threads > 0) list.push(`-threads ${plan.threads}`);
  if (plan.hwaccel !== 'none') list.push(`-hwaccel ${plan.hwaccel}`);
  if (needsPacing(source)) list.push('-re');
  if (options.loop && source.kind === 'file') list.push('-stream_loop -1');
  const timeoutUs = options.readTimeoutMs * 1000;
  switch (source.kind) {
    case 'rtsp':
      list.push(`-rtsp_transport ${options.rtspTransport}`, '-flags low_delay', ...SHORT_PROBE);
      list.push(`${plan.ffmpegMajor >= 5 ? '-timeout' : '-stimeout'} ${timeoutUs}`);
      break;
    case 'http':
      list.push(`-rw_timeout ${timeoutUs}`);
      if (source.isLive && !needsPacing(source)) list.push(...SHORT_PROBE);
      break;
    case 'device':
      list.push(`-f ${captureFormat()}`, '-fflags nobuffer');
      break;
    case 'synthetic':
      list.push('-f lavfi');
      break;
    case 'file':
      list.push(...seekOptions(source.window));
      break;
  }
  return list;
}

/**
 * Starts decoding at the key frame itself and keeps the timestamps of an uninterrupted run: ffmpeg seeks by time since the
 * start of the file, and `-copyts -start_at_zero` counts from there instead of from the seek position.
 */
function seekOptions(window: SourceWindow | undefined): string[] {
  if (window === undefined || window.fromUs === null) return [];
  return [`-ss ${seconds(window.fromUs)}`, '-copyts', '-start_at_zero'];
}

function seconds(us: number): string {
  return (us / 1e6).toFixed(6);
}

/**
 * Limits how long ffmpeg analyses a live source before it decodes. By default it reads five seconds of MPEG-TS first, and
 * 20 frames to guess a rate that we do not use. Measured to the first frame: 5.3 s by default, 0.8 s with these options for
 * MPEG-TS over HTTP; 1.7 s and 0.4 s for RTSP. `-fflags nobuffer` is no alternative: it discards the analysed packets,
 * including the key frame.
 */
const SHORT_PROBE = ['-analyzeduration 500000', '-fpsprobesize 0'];

/** Recordings, recognised by their extension: they arrive as fast as the network allows. */
const RECORDING = /\.(?:mp4|m4v|mov|mkv|webm|avi|flv|wmv|mxf)$/i;

/**
 * Returns whether ffmpeg must read at the media's own rate (`-re`). True for a recording played as if it were a camera, and
 * for HLS, whose segments arrive whole: a burst, then seconds of silence. False for an endless feed: it arrives in real
 * time anyway, and pacing would turn what was read while probing into a permanent delay (measured: 5 s).
 */
function needsPacing({ kind, url, isLive, options }: SourceInput): boolean {
  if (kind === 'rtsp') return false;
  if (kind !== 'http') return options.realtime;
  const path = new URL(url).pathname;
  return path.toLowerCase().endsWith('.m3u8') ? isLive : options.realtime && RECORDING.test(path);
}

function captureFormat(): string {
  if (process.platform === 'darwin') return 'avfoundation';
  return process.platform === 'win32' ? 'dshow' : 'v4l2';
}

/** Outputs every decoded frame exactly once: none repeated or dropped to reach a nominal rate. */
function passthrough(ffmpegMajor: number): string[] {
  return ffmpegMajor >= 6 ? ['-fps_mode passthrough'] : ['-vsync passthrough'];
}

function filters(plan: DecodePlan, window: SourceWindow | undefined): string[] {
  const list: string[] = [];
  // The first frame at or after `toUs` also ends ffmpeg.
  if (window !== undefined && window.toUs !== null) list.push(`trim=end=${seconds(window.toUs)}`);
  const chosen = [...chooseFilters(plan, window), headerFilter(plan.headerTag), ...viewFilters(plan.canvas)];
  if (!isThinned(plan)) return [...list, ...chosen];
  const pulse = ['split[pulse][all]', `[pulse]${pulseFilter(plan.headerTag)},nullsink`, `[all]${chosen.join(',')}`];
  return [...list, pulse.join(';')];
}

/** True if ffmpeg may decode for long without a frame that is taken: then only pulses show that it works. */
function isThinned({ every, maxFps, afterUs }: DecodePlan): boolean {
  return every > 1 || maxFps !== null || afterUs !== null;
}

function chooseFilters({ every, maxFps, afterUs }: DecodePlan, window: SourceWindow | undefined): string[] {
  const list: string[] = [];
  if (afterUs !== null) list.push(`select=gte(t\\,${((afterUs - HALF_US) / 1e6).toFixed(7)})`);
  const phase = afterUs === null ? (window?.firstFrame ?? 0) % every : 0;
  if (every > 1) list.push(`select=not(mod(n${phase === 0 ? '' : `+${phase}`}\\,${every}))`);
  // Selects the first frame in each interval of 1/maxFps; the half tick tolerates rounded timestamps. Where time steps back
  // or is missing, a frame is taken: otherwise none would be until the old time is reached again.
  if (maxFps !== null) {
    const interval = (time: string): string => `floor(${time}*${maxFps}+0.5)`;
    const isNext = `gt(${interval('t')}\\,${interval('prev_selected_t')})`;
    list.push(`select=isnan(t)+isnan(prev_selected_t)+lt(t\\,prev_selected_t)+${isNext}`);
  }
  if (afterUs !== null) list.push(`select=gt(t\\,${((afterUs + HALF_US) / 1e6).toFixed(7)})`);
  return list;
}

/** Times are rounded to microseconds, and no two frames share one. */
const HALF_US = 0.5;

/**
 * Returns the filters that make the canvas of each view and stack them. `vstack` pairs frames in the order in which they
 * arrive, also where the media repeat their timestamps, go back in time or have none.
 */
function viewFilters(canvas: DecodePlan['canvas']): string[] {
  const { views } = canvas;
  if (views === undefined) return canvasFilters(canvas);
  const branches = views.map((view) => [...(isWhole(view) ? [] : [cropFilter(view)]), ...canvasFilters(canvas)]);
  if (branches.length === 1) return branches[0]!;
  const labels = (name: string): string => views.map((_, i) => `[${name}${i}]`).join('');
  const graph = [
    `split=${views.length}${labels('view')}`,
    ...branches.map((branch, i) => `[view${i}]${branch.join(',')}[input${i}]`),
    `${labels('input')}vstack=inputs=${views.length}`,
  ];
  return [graph.join(';')];
}

/**
 * Converts to RGB after scaling instead of in the same step: swscale's scaler to packed RGB is plain C, while these two
 * steps have vector code. 960x540 to 455x256: 2.5 instead of 3.8 ms of CPU per frame, decoding included. AP over 100 COCO
 * pictures in two steps and in one: 0.324 and 0.323 (yolox-nano), 0.375 and 0.373 (deimv2-femto), 0.322 and 0.323
 * (centernet), all bilinear at the time.
 */
const TO_RGB = ['format=yuv420p', 'format=rgb24'] as const;

/**
 * swscale's flag for each kernel. swscale widens all its kernels when it shrinks a picture, so none equals OpenCV's. Each
 * entry is the one that costs a detector trained with that kernel the least AP (figures: docs/adr/0018).
 */
const SCALER_FLAGS: Readonly<Record<ResizeKernel, string>> = {
  linear: 'bicubic+accurate_rnd',
  'antialiased-linear': 'bilinear',
  area: 'area',
  cubic: 'bicubic+accurate_rnd',
  'vips-linear': 'bicubic+accurate_rnd',
};

/** Returns the arithmetic of `fitInto` as ffmpeg expressions, which ffmpeg re-evaluates when the picture size changes. */
function canvasFilters({ width, height, fit }: DecodePlan['canvas']): string[] {
  const flags = SCALER_FLAGS[fit.kernel ?? 'antialiased-linear'];
  if (fit.mode === 'stretch') return [`scale=w=${width}:h=${height}:flags=${flags}`, ...TO_RGB, 'setsar=1'];
  const ratio = `min(${width}/round(iw*sar)\\,${height}/ih)`;
  const half = fit.rounding === 'floor' ? ROUNDING_SLACK.toFixed(6) : '0.5';
  const w = `min(${width}\\,max(1\\,floor(round(iw*sar)*${ratio}+${half})))`;
  const h = `min(${height}\\,max(1\\,floor(ih*${ratio}+${half})))`;
  const at = fit.anchor === 'center' ? 'x=floor((ow-iw)/2):y=floor((oh-ih)/2)' : 'x=0:y=0';
  const grey = fit.padValue.toString(16).padStart(2, '0');
  return [
    `scale=w=${w}:h=${h}:flags=${flags}`,
    ...TO_RGB,
    `pad=w=${width}:h=${height}:${at}:color=0x${grey}${grey}${grey}`,
    'setsar=1',
  ];
}

/**
 * Builds the arguments of the ffmpeg that fits one image file into a canvas as if it were a video frame: converted to
 * yuv420p in limited range first, then through the same filters.
 */
export function stillArguments(path: string, canvas: DecodePlan['canvas']): string[] {
  const command = ffmpeg(`file:${path}`)
    .inputOptions(['-f image2', '-pattern_type none'])
    .videoFilters(['scale=out_range=tv', 'format=yuv420p', ...viewFilters(canvas)])
    .outputOptions(['-map 0:v:0', '-frames:v 1', ...ONE_THREAD])
    .format('rawvideo')
    .output('pipe:1');
  const built = (command as unknown as { _getArguments(): string[] })._getArguments();
  return ['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error', ...built];
}

/**
 * Builds the arguments of the ffmpeg that lists the packets of a file's first video stream in decoding order, without
 * decoding them: one `framecrc` line each. `-copyts` is not set, so timestamps equal those of a decoding run.
 *
 * @param unitTypes - NAL unit types in the syntax of `filter_units`, `5` or `16-21`: packets that hold such a unit are
 *   listed a second time, as stream 1. Null if the codec has no such units.
 * @param span - only this part, from the key frame where ffmpeg starts to read for it; absent: the whole file.
 */
export function listArguments(url: string, unitTypes: string | null, span?: MediaSpan): string[] {
  const again = unitTypes === null ? [] : ['-map 0:v:0', `-bsf:v:1 filter_units=pass_types=${unitTypes}`];
  const every = span === undefined ? ['-copyinkf', '-copypriorss 1'] : [];
  const command = ffmpeg(url)
    .inputOptions(spanOptions(span))
    .outputOptions(['-map 0:v:0', ...again, '-c copy', ...every, ...NO_TAGS])
    .format('framecrc')
    .output('pipe:1');
  const built = (command as unknown as { _getArguments(): string[] })._getArguments();
  return ['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'repeat+level+info', ...built];
}

/** A part of a file, in media time since its start. */
export interface MediaSpan {
  readonly fromUs: number;
  readonly durationUs: number;
}

/** Times stay those of an uninterrupted run, as in `seekOptions`. */
function spanOptions(span: MediaSpan | undefined): string[] {
  if (span === undefined) return [];
  return [`-ss ${seconds(span.fromUs)}`, '-copyts', '-start_at_zero', `-t ${seconds(span.durationUs)}`];
}

export type BlockContainer = 'mov' | 'matroska';

/** Copies packets from the key frame where ffmpeg starts to read for `fromUs`; the file begins at time 0. */
export function copyArguments(
  url: string,
  { fromUs, packets }: { readonly fromUs: number; readonly packets: number },
  container: BlockContainer,
  path: string,
): string[] {
  const command = ffmpeg(url)
    .inputOptions([`-ss ${seconds(fromUs)}`, '-copyts', '-start_at_zero'])
    .outputOptions([...COPY, `-frames:v ${packets}`, '-avoid_negative_ts make_zero'])
    .format(container)
    .output(`file:${path}`);
  return inspecting(command);
}

/**
 * Copies a whole file into several, cut at key frames. Lists them on standard output: name, start and end in seconds.
 *
 * @param cutsUs - times of the key frames at which all files but the first begin.
 * @param pattern - path of the files, with `%04d` for their number from 0.
 */
export function splitArguments(
  url: string,
  cutsUs: readonly number[],
  container: BlockContainer,
  pattern: string,
): string[] {
  const command = ffmpeg(url)
    .outputOptions([...COPY, ...segments(cutsUs, container)])
    .format('segment')
    .output(`file:${pattern}`);
  return inspecting(command);
}

/** Joins files of the same codec. @param list - path of a text file in the syntax of ffmpeg's `concat`. */
export function joinArguments(list: string, container: BlockContainer, path: string): string[] {
  const command = ffmpeg(`file:${list}`)
    .inputOptions(['-f concat', '-safe 0'])
    .outputOptions([...COPY])
    .format(container)
    .output(`file:${path}`);
  return inspecting(command);
}

/**
 * Encodes parts of a file again, nearly without loss, each into a Matroska file of its own. Lists them as `splitArguments` does.
 *
 * @param seeks - true for one part: ffmpeg decodes from the key frame before it. False: it decodes from the start of the file.
 * @param pattern - path of the files, with `%04d` for their number from 0.
 */
export function reencodeArguments(
  url: string,
  spans: readonly MediaSpan[],
  seeks: boolean,
  { ffmpegMajor, encoder }: { readonly ffmpegMajor: number; readonly encoder: VideoEncoderName },
  pattern: string,
): string[] {
  const startsUs = spans.map(({ fromUs }) => fromUs);
  const within = spans.map(
    ({ fromUs, durationUs }) => `gte(t\\,${seconds(fromUs)})*lt(t\\,${seconds(fromUs + durationUs)})`,
  );
  const last = spans.at(-1)!;
  // Stops reading behind the last part.
  const end = `trim=end=${seconds(last.fromUs + last.durationUs)}`;
  const command = ffmpeg(url)
    .inputOptions(seeks ? [`-ss ${seconds(startsUs[0]!)}`, '-copyts', '-start_at_zero'] : [])
    .videoFilters([end, `select=${within.join('+')}`])
    .outputOptions([
      ...['-map 0:v:0', '-an', '-sn', '-dn', ...NO_TAGS, ...passthrough(ffmpegMajor)],
      // By default times are rounded to the nominal rate, and a key frame may be forced on the frame before its part.
      `-enc_time_base 1/${ENCODER_OPTIONS[encoder].ticks}`,
      ...[`-c:v ${encoder}`, ...NEARLY_LOSSLESS[encoder], `-force_key_frames ${startsUs.map(seconds).join(',')}`],
      ...segments(startsUs.slice(1), 'matroska'),
    ])
    .format('segment')
    .output(`file:${pattern}`);
  return inspecting(command);
}

/**
 * Fast, and visibly the same: PSNR 52 to 63 dB on five clips (docs/adr/0032). No B-frames, so that a file has all frames up to
 * its end.
 */
const NEARLY_LOSSLESS: Readonly<Record<VideoEncoderName, readonly string[]>> = {
  libx264: ['-preset ultrafast', '-crf 10', '-bf 0', '-g 250', '-pix_fmt yuv420p'],
  mpeg4: ['-q:v 2', '-bf 0', '-pix_fmt yuv420p'],
  mjpeg: ['-q:v 2', '-pix_fmt yuvj420p'],
};

const COPY = ['-map 0:v:0', '-c copy', ...NO_TAGS] as const;

/** A key frame qualifies for a cut if its time is not below the stated one; half a millisecond absorbs rounded times. */
const CUT_SLACK_US = 500;

function segments(cutsUs: readonly number[], container: BlockContainer): string[] {
  const times = cutsUs.map((us) => seconds(us - CUT_SLACK_US)).join(',');
  // Without a time ffmpeg cuts every two seconds.
  const where = cutsUs.length === 0 ? '-segment_time 1000000' : `-segment_times ${times}`;
  return [
    where,
    `-segment_format ${container}`,
    '-reset_timestamps 1',
    '-segment_list pipe:1',
    '-segment_list_type csv',
  ];
}

/** Adds the options of every ffmpeg that `runFfmpeg` starts. */
function inspecting(command: ReturnType<typeof ffmpeg>): string[] {
  const built = (command as unknown as { _getArguments(): string[] })._getArguments();
  return ['-y', '-hide_banner', '-nostdin', '-nostats', '-loglevel', 'repeat+level+info', ...built];
}

/** How raw pictures are encoded into a video file. */
export interface EncodePlan {
  readonly ffmpegMajor: number;
  readonly encoder: VideoEncoderName;
  readonly container: VideoContainer;
  readonly path: string;
}

export type VideoEncoderName = 'libx264' | 'mpeg4' | 'mjpeg';
export type VideoContainer = 'mp4' | 'mov' | 'matroska';

/**
 * Quality and speed of each encoder. No B-frames, so that a truncated file has no gap at its start. `ticks` per second: the
 * largest time base that the encoder accepts and that the usual rates (24, 25, 30, 50, 60 and their 1000/1001) divide.
 */
const ENCODER_OPTIONS: Readonly<Record<VideoEncoderName, { options: readonly string[]; ticks: number }>> = {
  libx264: { options: ['-preset veryfast', '-crf 23', '-bf 0', '-pix_fmt yuv420p'], ticks: 120_000 },
  mpeg4: { options: ['-q:v 4', '-bf 0', '-pix_fmt yuv420p'], ticks: 60_000 },
  mjpeg: { options: ['-q:v 4', '-pix_fmt yuvj420p'], ticks: 60_000 },
};

/** A truncated file loses at most this much. */
const KEY_FRAME_SECONDS = 2;

/**
 * Builds the arguments of the ffmpeg that encodes one video. Input: Matroska with rgb24 pictures and their timestamps, on
 * standard input. Output: a file that is playable at any time up to what has been written (fragmented MP4, or Matroska).
 * Each picture keeps its own timestamp; none is repeated or dropped for a constant rate.
 */
export function encodeArguments({ ffmpegMajor, encoder, container, path }: EncodePlan): string[] {
  const { options, ticks } = ENCODER_OPTIONS[encoder];
  const range = encoder === 'mjpeg' ? 'pc' : 'tv';
  const isMov = container !== 'matroska';
  const command = ffmpeg('pipe:0')
    .inputOptions(['-f matroska', '-fpsprobesize 0', '-analyzeduration 0'])
    .videoFilters([`scale=out_color_matrix=bt709:out_range=${range}`])
    .outputOptions([
      ...['-map 0:v:0', ...passthrough(ffmpegMajor), `-enc_time_base 1/${ticks}`, `-c:v ${encoder}`, ...options],
      ...['-colorspace bt709', '-color_primaries bt709', '-color_trc bt709', `-color_range ${range}`],
      ...[`-force_key_frames expr:gte(t,n_forced*${KEY_FRAME_SECONDS})`, '-flush_packets 1'],
      ...(isMov ? ['-movflags +frag_keyframe+empty_moov+default_base_moof', `-video_track_timescale ${ticks}`] : []),
    ])
    .format(container)
    .output(`file:${path}`);
  const built = (command as unknown as { _getArguments(): string[] })._getArguments();
  return ['-y', '-hide_banner', '-nostats', '-loglevel', 'error', ...built];
}

/** Builds the arguments that copy a fragmented video into one with its index at the front, without re-encoding. */
export function indexArguments(container: VideoContainer, fromPath: string, toPath: string): string[] {
  const command = ffmpeg(`file:${fromPath}`)
    .outputOptions(['-map 0:v:0', '-c copy', '-movflags +faststart', '-use_editlist 0'])
    .format(container)
    .output(`file:${toPath}`);
  const built = (command as unknown as { _getArguments(): string[] })._getArguments();
  return ['-y', '-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error', ...built];
}

/** Where a virtual camera's pictures come from. `raw`: grey u8 `[height, width]` pictures on standard input. */
export type CameraPictures =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'test' }
  | { readonly kind: 'raw' };

export interface CameraEncoding {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly pictures: CameraPictures;
  /** Encode this many frames; null for as long as there are pictures. */
  readonly frames: number | null;
}

/**
 * Builds the arguments of the ffmpeg that encodes a virtual camera's pictures: H.264 without B-frames, a key frame each
 * second, in FLV on standard output. Raw pictures are encoded one by one, without delay.
 */
export function cameraArguments({ width, height, fps, pictures, frames }: CameraEncoding): string[] {
  const size = `${width}x${height}`;
  const isRaw = pictures.kind === 'raw';
  const input = {
    file: () => ({ url: `file:${pictures.kind === 'file' ? pictures.path : ''}`, options: ['-stream_loop -1'] }),
    test: () => ({ url: `testsrc2=size=${size}:rate=${fps}`, options: ['-f lavfi'] }),
    raw: () => ({
      url: 'pipe:0',
      options: ['-f rawvideo', '-pix_fmt gray', `-video_size ${size}`, `-framerate ${fps}`, ...NO_PROBE],
    }),
  }[pictures.kind]();
  const scale = isRaw ? [] : [`fps=${fps}`, `scale=${width}:${height}:flags=bilinear`];
  const command = ffmpeg(input.url)
    .inputOptions(input.options)
    .videoFilters([...scale, 'setsar=1', 'format=yuv420p'])
    .outputOptions([
      ...['-map 0:v:0', ...NO_TAGS, '-an', '-sn', '-dn', ...ONE_THREAD, '-c:v libx264', '-bf 0', '-sc_threshold 0'],
      `-g ${Math.max(1, Math.round(fps))}`,
      ...(isRaw ? ['-preset ultrafast', '-tune zerolatency', '-crf 18', '-flush_packets 1'] : ['-preset veryfast']),
      ...(frames === null ? [] : [`-frames:v ${frames}`]),
    ])
    .format('flv')
    .output('pipe:1');
  const built = (command as unknown as { _getArguments(): string[] })._getArguments();
  return ['-hide_banner', ...(isRaw ? [] : ['-nostdin']), '-nostats', '-loglevel', 'error', ...built];
}

const NO_PROBE = ['-probesize 32', '-analyzeduration 0', '-fpsprobesize 0'] as const;
