import type { SourceInput, SourceWindow } from '../../base/core/source.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import { FILE_ACCESS, HTTP_ACCESS, RTMP_ACCESS, rtspAccess, SRT_ACCESS } from './allowed-formats.ts';
import { seconds } from './ffmpeg-arguments.ts';

/** How ffmpeg decodes what it reads. */
export interface InputPlan {
  readonly ffmpegMajor: number;
  /** `-hwaccel` name, `auto`, or none; `cuda_scale`: cuda, and frames are scaled before they leave the GPU, see `scalesOnDevice`. */
  readonly hwaccel: string;
  /** Decoder threads; 0 lets ffmpeg choose. */
  readonly threads: number;
  /** Which frames are decoded; absent: all. */
  readonly decode?: StreamConfig['decode'];
}

/** The `hwaccel` that scales on the GPU as well. */
export const SCALED = 'cuda_scale';

/**
 * Returns the options that make ffmpeg open the source: transport, time limits, pacing, where to start.
 */
export function inputOptions(source: SourceInput, plan: InputPlan & { readonly staysOnDevice?: boolean }): string[] {
  const { options } = source;
  const list: string[] = [];
  if (plan.threads > 0) list.push(`-threads ${plan.threads}`);
  if (skipsFrames(source, plan)) list.push(...SKIPPED[plan.decode]);
  if (plan.hwaccel !== 'none') list.push(`-hwaccel ${plan.hwaccel === SCALED ? 'cuda' : plan.hwaccel}`);
  if (plan.staysOnDevice === true) list.push('-hwaccel_output_format cuda');
  if (needsPacing(source)) list.push('-re');
  if (options.loop && source.kind === 'file') list.push('-stream_loop -1');
  const timeoutUs = options.readTimeoutMs * 1000;
  switch (source.kind) {
    case 'rtsp':
      list.push(
        ...rtspAccess(options.rtspTransport),
        `-rtsp_transport ${options.rtspTransport}`,
        '-flags low_delay',
        ...SHORT_PROBE,
      );
      list.push(`${plan.ffmpegMajor >= 5 ? '-timeout' : '-stimeout'} ${timeoutUs}`);
      break;
    case 'rtmp':
      list.push(...RTMP_ACCESS, '-flags low_delay', ...SHORT_PROBE);
      if (source.tcUrl !== undefined) list.push(`-rtmp_tcurl ${source.tcUrl}`);
      break;
    case 'srt':
      list.push(...SRT_ACCESS, `-timeout ${timeoutUs}`, '-flags low_delay', ...SHORT_PROBE);
      break;
    case 'http':
      list.push(...HTTP_ACCESS, `-rw_timeout ${timeoutUs}`);
      if (source.proxyUrl !== undefined) list.push(`-http_proxy ${source.proxyUrl}`);
      if (source.isLive && !needsPacing(source)) list.push(...SHORT_PROBE);
      break;
    case 'device':
      list.push(`-f ${captureFormat()}`, '-fflags nobuffer');
      break;
    case 'synthetic':
      list.push('-f lavfi');
      break;
    case 'file':
      list.push(...FILE_ACCESS, ...seekOptions(source.window));
      break;
  }
  return list;
}

/**
 * A decoder that only gets key frames has nothing to put in order. Nevertheless that of H.264 holds back as many as the video says that
 * its B-frames need.
 */
const SKIPPED = { reference: ['-skip_frame noref'], key: ['-skip_frame nokey', '-flags low_delay'] } as const;

/** Returns whether some frames are not decoded. Those of test pictures and of most devices depend on no other. */
export function skipsFrames<P extends Pick<InputPlan, 'decode'>>(
  { kind }: Pick<SourceInput, 'kind'>,
  plan: P,
): plan is P & { readonly decode: keyof typeof SKIPPED } {
  return (plan.decode ?? 'all') !== 'all' && kind !== 'synthetic' && kind !== 'device';
}

/**
 * Starts decoding at the key frame itself and keeps the timestamps of an uninterrupted run: ffmpeg seeks by time since the
 * start of the file, and `-copyts -start_at_zero` counts from there instead of from the seek position.
 */
function seekOptions(window: SourceWindow | undefined): string[] {
  if (window === undefined || window.fromUs === null) return [];
  return [`-ss ${seconds(window.fromUs)}`, '-copyts', '-start_at_zero'];
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
  if (kind === 'rtsp' || kind === 'rtmp' || kind === 'srt') return false;
  if (kind !== 'http') return options.realtime;
  const path = new URL(url).pathname;
  return path.toLowerCase().endsWith('.m3u8') ? isLive : options.realtime && RECORDING.test(path);
}

function captureFormat(): string {
  if (process.platform === 'darwin') return 'avfoundation';
  return process.platform === 'win32' ? 'dshow' : 'v4l2';
}
