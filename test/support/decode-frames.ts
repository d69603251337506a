import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import type { SourceInput } from '../../src/base/core/source.ts';
import { type DecodePlan, decodeArguments } from '../../src/frame/decode/decode-command.ts';
import type { FfmpegBinary } from '../../src/frame/decode/ffmpeg-binary.ts';
import { FfmpegLog, type FrameHeader, type LogEvent, newHeaderTag } from '../../src/frame/decode/ffmpeg-log.ts';
import { LOOK_PIPE } from '../../src/frame/decode/look-filters.ts';
import { parseSource } from '../../src/frame/source/parse-source.ts';

const SIZE = { width: 80, height: 48 };

export interface Decoded {
  readonly frames: readonly FrameHeader[];
  /** Hashes of the pictures. */
  readonly pictures: readonly string[];
  readonly pulses: number;
  /** Packets that ffmpeg read, and up to which time; null if it does not say. */
  readonly read: Extract<LogEvent, { kind: 'read' }> | null;
}

/** The source of a file that is read once, as fast as possible. */
export function fileSource(path: string): SourceInput {
  return parseSource(path, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 });
}

/** Everything that the product's ffmpeg command outputs. */
export async function decodeFrames(
  ffmpeg: FfmpegBinary,
  source: SourceInput,
  choice: Partial<Pick<DecodePlan, 'every' | 'maxFps' | 'afterUs' | 'takesCommands' | 'decode'>> = {},
): Promise<Decoded> {
  const headerTag = newHeaderTag();
  const args = decodeArguments(source, {
    ffmpegMajor: ffmpeg.major,
    headerTag,
    canvas: { ...SIZE, fit: { mode: 'stretch' } },
    every: 1,
    maxFps: null,
    afterUs: null,
    takesCommands: false,
    hwaccel: 'none',
    threads: 1,
    ...choice,
  });
  // Nobody reads looks here, and there is no descriptor for them.
  const looks = args.indexOf(`pipe:${LOOK_PIPE}`);
  if (looks >= 0) args.splice(looks - 1, 2, 'null', '-');
  const { stdout, stderr } = await promisify(execFile)(ffmpeg.path, args, { encoding: 'buffer', maxBuffer: 2 ** 29 });
  const log = new FfmpegLog('', headerTag);
  const events = stderr
    .toString()
    .split('\n')
    .map((line) => log.read(line));
  const bytes = SIZE.width * SIZE.height * 3;
  return {
    frames: events.flatMap((event) => (event?.kind === 'frame' ? [event.frame] : [])),
    read: events.findLast((event) => event?.kind === 'read') ?? null,
    pulses: events.filter((event) => event?.kind === 'pulse').length,
    pictures: Array.from({ length: stdout.length / bytes }, (_, i) =>
      createHash('sha256')
        .update(stdout.subarray(i * bytes, (i + 1) * bytes))
        .digest('hex'),
    ),
  };
}
