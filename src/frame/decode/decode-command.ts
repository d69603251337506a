import type { ResizeKernel, ResizeRule } from '../../base/core/model.ts';
import type { SourceInput, SourceWindow } from '../../base/core/source.ts';
import { ROUNDING_SLACK } from '../../base/geometry/placement.ts';
import { cropFilter, isWhole, type View } from '../../base/geometry/views.ts';
import { type FfmpegCall, ffmpegArguments, NO_TAGS, ONE_THREAD, passthrough, seconds } from './ffmpeg-arguments.ts';
import { headerFilter, keyFilters, pulseFilter } from './ffmpeg-log.ts';
import { type InputPlan, inputOptions, SCALED, skipsFrames } from './input-options.ts';
import { LOOK_PIPE, lookFilters } from './look-filters.ts';
import { PACKET_OUTPUT } from './packet-tap.ts';
import { type FrameRate, rateFilters } from './rate-filters.ts';
import { shedFilters } from './shed-filters.ts';

/** What ffmpeg does with the pixels of one source. */
export interface DecodePlan extends InputPlan, FrameRate {
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
  /**
   * Only frames after the one at this media time, which counts for `every` and `maxFps` as taken; null for all. Unlike a
   * number of frames, a time stays right when ffmpeg builds its filters again for another picture size.
   */
  readonly afterUs: number | null;
  /**
   * Reads commands from its standard input that change the rate, see `rateCommand`, which share of the frames it keeps, see
   * `shedCommand`, and that ask for a decoded frame on `LOOK_PIPE`, see `LOOK_COMMAND`. Not together with `afterUs` or a window.
   */
  readonly takesCommands: boolean;
  /** Also copies the packets to `PACKET_PIPE`. */
  readonly tapsPackets?: boolean;
}

/**
 * Builds the arguments of the ffmpeg that decodes one source: rgb24 frames on standard output, one header line per frame on
 * standard error (ADR 0015).
 */
export function decodeArguments(source: SourceInput, plan: DecodePlan): string[] {
  const picture = (from: string, pipe: number): Pick<FfmpegCall, 'outputOptions' | 'format' | 'output'> => ({
    outputOptions: [`-map ${from}`, ...NO_TAGS, ...passthrough(plan.ffmpegMajor), '-an', '-sn', '-dn', ...ONE_THREAD],
    format: 'rawvideo',
    output: `pipe:${pipe}`,
  });
  const isCounted = countsPackets(source, plan);
  const progress = isCounted ? ['-progress', 'pipe:2'] : [];
  const options = [...commandOptions(plan), ...progress, '-nostats', '-loglevel', 'repeat+level+info'];
  return ffmpegArguments(['-hide_banner', ...options], {
    input: source.url,
    ...(isCounted ? { firstOutput: PACKET_COUNT } : {}),
    ...(plan.tapsPackets === true ? { lastOutput: PACKET_OUTPUT } : {}),
    inputOptions: inputOptions(source, { ...plan, staysOnDevice: scalesOnDevice(plan) }),
    ...(plan.takesCommands
      ? { graph: lookGraph(plan), ...picture('[frames]', 1), second: picture('[looks]', LOOK_PIPE) }
      : { filters: filters(plan, source.window), ...picture('0:v:0', 1) }),
  });
}

/** Returns the graph that makes frames and looks of the same decoded frames, and the same picture of each. */
function lookGraph(plan: DecodePlan): string {
  const { headerTag: tag, canvas } = plan;
  const choice = [...rateFilters(tag, plan), ...shedFilters(tag)];
  return [
    '[0:v:0]split=3[taken][seen][keys]',
    `[taken]${[...choice, headerFilter(tag), ...viewFilters(canvas, plan)].join(',')}[frames]`,
    `[seen]${[...lookFilters(tag), ...viewFilters(canvas, plan, 'look')].join(',')}[looks]`,
    `[keys]${keyFilters(tag)}`,
  ].join(';');
}

/** Reads packets and discards them: `-progress` says how many there were. From the first on, also if that is no key frame. */
const PACKET_COUNT = ['-map', '0:v:0', '-c', 'copy', '-copyinkf', '-f', 'null', '-'] as const;

/**
 * Returns whether ffmpeg says how many packets it has read: frames that are not decoded leave no other trace, not even that the source
 * lives. Not of a window, whose end this output would not see.
 */
export function countsPackets(source: SourceInput, plan: DecodePlan): boolean {
  return skipsFrames(source, plan) && (source.window?.toUs ?? null) === null;
}

/** Returns whether each decoded frame has a line in the log, so that packets less frames are the frames that were not decoded. */
export function logsEachFrame({ every, maxFps, afterUs, takesCommands }: DecodePlan): boolean {
  return takesCommands || (every === 1 && maxFps === null && afterUs === null);
}

/** Version 7 and later read commands only as often as they would print statistics, by default twice a second. */
function commandOptions({ takesCommands, ffmpegMajor }: DecodePlan): string[] {
  if (!takesCommands) return ['-nostdin'];
  return ['-filter_complex_threads', '1', ...(ffmpegMajor >= 7 ? ['-stats_period', '0.1'] : [])];
}

function filters(plan: DecodePlan, window: SourceWindow | undefined): string[] {
  const list: string[] = [];
  // The first frame at or after `toUs` also ends ffmpeg.
  if (window !== undefined && window.toUs !== null) list.push(`trim=end=${seconds(window.toUs)}`);
  const { headerTag } = plan;
  const chosen = [...chooseFilters(plan, window), headerFilter(headerTag), ...viewFilters(plan.canvas, plan)];
  if (logsEachFrame(plan)) return [...list, ...chosen];
  // ffmpeg may decode for long without a line about a frame: then only pulses show that it works.
  const pulse = ['split[pulse][all]', `[pulse]${pulseFilter(headerTag)},nullsink`, `[all]${chosen.join(',')}`];
  return [...list, pulse.join(';')];
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
 *
 * @param plan - null for a still picture.
 * @param prefix - of the labels: they are unique in a graph.
 */
function viewFilters(canvas: DecodePlan['canvas'], plan: DecodePlan | null, prefix = ''): string[] {
  const { views } = canvas;
  if (views === undefined) return canvasFilters(canvas, plan !== null && scalesOnDevice(plan));
  const branches = views.map((view) => [...(isWhole(view) ? [] : [cropFilter(view)]), ...canvasFilters(canvas)]);
  if (branches.length === 1) return branches[0]!;
  const labels = (name: string): string => views.map((_, i) => `[${prefix}${name}${i}]`).join('');
  const graph = [
    `split=${views.length}${labels('view')}`,
    ...branches.map((branch, i) => `[${prefix}view${i}]${branch.join(',')}[${prefix}input${i}]`),
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

/** What scales on the GPU with about the same kernel; absent: nothing does. Not run on a GPU, so what it costs in AP is not known. */
const CUDA_KERNELS: Readonly<Partial<Record<ResizeKernel, string>>> = {
  linear: 'bicubic',
  'antialiased-linear': 'bilinear',
  cubic: 'bicubic',
  'vips-linear': 'bicubic',
};

/**
 * Returns whether frames are scaled before they leave the GPU, so that only pictures of the model's size are copied. Not with views:
 * `crop` reads no frames of a GPU.
 */
function scalesOnDevice({ hwaccel, canvas: { fit, views } }: DecodePlan): boolean {
  return hwaccel === SCALED && views === undefined && CUDA_KERNELS[fit.kernel ?? 'antialiased-linear'] !== undefined;
}

/** Returns the arithmetic of `fitInto` as ffmpeg expressions, which ffmpeg re-evaluates when the picture size changes. */
function canvasFilters({ width, height, fit }: DecodePlan['canvas'], isOnDevice = false): string[] {
  const kernel = fit.kernel ?? 'antialiased-linear';
  const scale = (w: number | string, h: number | string): string =>
    isOnDevice
      ? `scale_cuda=w=${w}:h=${h}:interp_algo=${CUDA_KERNELS[kernel]}:format=nv12,hwdownload,format=nv12`
      : `scale=w=${w}:h=${h}:flags=${SCALER_FLAGS[kernel]}`;
  if (fit.mode === 'stretch') return [scale(width, height), ...TO_RGB, 'setsar=1'];
  if (fit.mode === 'crop') {
    const enlarged = `max(${width}/round(iw*sar)\\,${height}/ih)/${fit.share}`;
    const w = `max(${width}\\,floor(round(iw*sar)*${enlarged}+0.5))`;
    const h = `max(${height}\\,floor(ih*${enlarged}+0.5))`;
    const middle = `x=floor((iw-${width})/2):y=floor((ih-${height})/2)`;
    return [scale(w, h), ...TO_RGB, `crop=w=${width}:h=${height}:${middle}:exact=1`, 'setsar=1'];
  }
  const ratio = `min(${width}/round(iw*sar)\\,${height}/ih)`;
  const half = fit.rounding === 'floor' ? ROUNDING_SLACK.toFixed(6) : '0.5';
  const w = `min(${width}\\,max(1\\,floor(round(iw*sar)*${ratio}+${half})))`;
  const h = `min(${height}\\,max(1\\,floor(ih*${ratio}+${half})))`;
  const at = fit.anchor === 'center' ? 'x=floor((ow-iw)/2):y=floor((oh-ih)/2)' : 'x=0:y=0';
  const grey = fit.padValue.toString(16).padStart(2, '0');
  return [scale(w, h), ...TO_RGB, `pad=w=${width}:h=${height}:${at}:color=0x${grey}${grey}${grey}`, 'setsar=1'];
}

/**
 * Builds the arguments of the ffmpeg that fits one image file into a canvas as if it were a video frame: converted to
 * yuv420p in limited range first, then through the same filters.
 */
export function stillArguments(path: string, canvas: DecodePlan['canvas']): string[] {
  return ffmpegArguments(['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'error'], {
    input: `file:${path}`,
    inputOptions: ['-f image2', '-pattern_type none'],
    filters: ['scale=out_range=tv', 'format=yuv420p', ...viewFilters(canvas, null)],
    outputOptions: ['-map 0:v:0', '-frames:v 1', ...ONE_THREAD],
    format: 'rawvideo',
    output: 'pipe:1',
  });
}
