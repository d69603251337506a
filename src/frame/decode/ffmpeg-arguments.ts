import ffmpeg from 'fluent-ffmpeg';

/** One call of ffmpeg: an input, filters, an output. Each option is a name, or a name and its value. */
export interface FfmpegCall extends FfmpegOutput {
  readonly input: string;
  readonly inputOptions?: readonly string[];
  /** Each is a filter or a graph of filters. */
  readonly filters?: readonly string[];
  /** Instead: a graph with labels, which the outputs map. */
  readonly graph?: string;
  readonly second?: FfmpegOutput;
  /** Arguments of another output, which comes first. */
  readonly firstOutput?: readonly string[];
  /** Arguments of another output, which comes last. */
  readonly lastOutput?: readonly string[];
}

interface FfmpegOutput {
  readonly outputOptions: readonly string[];
  readonly format: string;
  readonly output: string;
}

/**
 * Returns the arguments of the call, built by fluent-ffmpeg, which only this file uses. The library is archived (May 2025), so its version
 * is exact and `test/unit/frame/decode/ffmpeg-arguments.test.ts` holds its output. Its own `run` would start ffmpeg without our confinement,
 * watchdog and kill, so we take the arguments by `_getArguments`, which is how the library itself gets them before it spawns.
 *
 * @param globalOptions - arguments that come first.
 */
export function ffmpegArguments(globalOptions: readonly string[], call: FfmpegCall): string[] {
  const command = ffmpeg(call.input).inputOptions([...(call.inputOptions ?? [])]);
  if (call.filters !== undefined) command.videoFilters([...call.filters]);
  if (call.graph !== undefined) command.complexFilter(call.graph);
  for (const { outputOptions, format, output } of [call, ...(call.second === undefined ? [] : [call.second])])
    command
      .output(output)
      .outputOptions([...outputOptions])
      .format(format);
  const args = (command as unknown as { _getArguments(): string[] })._getArguments();
  args.splice(args.indexOf('-i') + 2, 0, ...(call.firstOutput ?? []));
  return [...globalOptions, ...args, ...(call.lastOutput ?? [])];
}

/**
 * Pictures this small do not gain from threads inside the filters: synchronisation costs more than it saves. By default the
 * raw video "encoder" runs one thread per core and emits a frame only when the next one arrives, which delays every camera
 * frame by a frame interval and costs 1 % more CPU.
 */
export const ONE_THREAD = ['-filter_threads 1', '-threads 1'] as const;

/** For calls that read a whole file, or a part of one, beside the streams. */
export const INSPECTING = ['-y', '-hide_banner', '-nostdin', '-nostats', '-loglevel', 'repeat+level+info'] as const;

/** Drops titles and other tags of the media, which ffmpeg would otherwise print again for its output. */
export const NO_TAGS = ['-map_metadata -1', '-map_chapters -1'] as const;

/** Outputs every decoded frame exactly once: none repeated or dropped to reach a nominal rate. */
export function passthrough(ffmpegMajor: number): string[] {
  return ffmpegMajor >= 6 ? ['-fps_mode passthrough'] : ['-vsync passthrough'];
}

/** A time as ffmpeg's options take it, in seconds. */
export function seconds(us: number): string {
  return (us / 1e6).toFixed(6);
}
