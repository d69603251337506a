import { FILE_ACCESS } from './allowed-formats.ts';
import { ENCODER_OPTIONS, type VideoEncoderName } from './encode-command.ts';
import { ffmpegArguments, INSPECTING, NO_TAGS, passthrough, seconds } from './ffmpeg-arguments.ts';

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
  return ffmpegArguments(INSPECTING, {
    input: url,
    inputOptions: [...FILE_ACCESS, ...spanOptions(span)],
    outputOptions: ['-map 0:v:0', ...again, '-c copy', ...every, ...NO_TAGS],
    format: 'framecrc',
    output: 'pipe:1',
  });
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
  return ffmpegArguments(INSPECTING, {
    input: url,
    inputOptions: [...FILE_ACCESS, `-ss ${seconds(fromUs)}`, '-copyts', '-start_at_zero'],
    outputOptions: [...COPY, `-frames:v ${packets}`, '-avoid_negative_ts make_zero'],
    format: container,
    output: `file:${path}`,
  });
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
  return ffmpegArguments(INSPECTING, {
    input: url,
    inputOptions: [...FILE_ACCESS],
    outputOptions: [...COPY, ...segments(cutsUs, container)],
    format: 'segment',
    output: `file:${pattern}`,
  });
}

/** Joins files of the same codec. @param list - path of a text file in the syntax of ffmpeg's `concat`. */
export function joinArguments(list: string, container: BlockContainer, path: string): string[] {
  return ffmpegArguments(INSPECTING, {
    input: `file:${list}`,
    inputOptions: ['-f concat', '-safe 0'],
    outputOptions: [...COPY],
    format: container,
    output: `file:${path}`,
  });
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
  return ffmpegArguments(INSPECTING, {
    input: url,
    inputOptions: [...FILE_ACCESS, ...(seeks ? [`-ss ${seconds(startsUs[0]!)}`, '-copyts', '-start_at_zero'] : [])],
    filters: [end, `select=${within.join('+')}`],
    outputOptions: [
      ...['-map 0:v:0', '-an', '-sn', '-dn', ...NO_TAGS, ...passthrough(ffmpegMajor)],
      // By default times are rounded to the nominal rate, and a key frame may be forced on the frame before its part.
      `-enc_time_base 1/${ENCODER_OPTIONS[encoder].ticks}`,
      ...[`-c:v ${encoder}`, ...NEARLY_LOSSLESS[encoder], `-force_key_frames ${startsUs.map(seconds).join(',')}`],
      ...segments(startsUs.slice(1), 'matroska'),
    ],
    format: 'segment',
    output: `file:${pattern}`,
  });
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
