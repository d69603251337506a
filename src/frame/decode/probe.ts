import { redact } from '../../base/core/redact.ts';
import type { SourceInput } from '../../base/core/source.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { decodeArguments } from './decode-command.ts';
import { explainExit, FfmpegLog, type FrameHeader } from './ffmpeg-log.ts';
import { FfmpegProcess, startFailure } from './ffmpeg-process.ts';
import { headersPlan } from './headers-plan.ts';
import { accessOf } from './sandbox-access.ts';

export interface ProbeResult {
  /** Display size of the first frame. */
  readonly width: number;
  readonly height: number;
  /** Length as the container states it; null if it does not. */
  readonly durationUs: number | null;
}

/** Options of `watchHeaders`. */
export interface HeaderWatch {
  /** Milliseconds to read after the first frame; 0 reads that one only. */
  readonly readMs: number;
  /** Receives each line of ffmpeg's log, which may hold text of the media. */
  readonly onLine?: (line: string) => void;
  /** Receives each frame. @returns whether to continue. */
  readonly onFrame?: (frame: FrameHeader) => boolean;
}

/**
 * Decodes the first frame of a source to find its display size. Only needed for full-size pictures: the model's input does
 * not depend on the source.
 *
 * @throws SOURCE_* with the cause, FFMPEG_MISSING.
 */
export function probeSource(ffmpeg: Ffmpeg, source: SourceInput, timeoutMs: number): Promise<ProbeResult> {
  return watchHeaders(ffmpeg, source, timeoutMs, { readMs: 0 });
}

/**
 * Reads times and sizes of the first frames of a source. Resolves when the time is over or the source ends after at least one frame.
 *
 * @param timeoutMs - longest wait for the first frame.
 * @throws SOURCE_* with the cause, FFMPEG_MISSING.
 */
export async function watchHeaders(
  ffmpeg: Ffmpeg,
  source: SourceInput,
  timeoutMs: number,
  { readMs, onLine, onFrame }: HeaderWatch,
): Promise<ProbeResult> {
  const plan = headersPlan(ffmpeg.major);
  const log = new FfmpegLog(source.url, plan.headerTag);
  const problems: string[] = [];
  let durationUs: number | null = null;
  let size: { width: number; height: number } | null = null;
  const sink = new Uint8Array(12);
  return await new Promise<ProbeResult>((resolve, reject) => {
    let child: FfmpegProcess | null = null;
    let isOver = false;
    const end = (): void => {
      isOver = true;
      child?.kill();
    };
    let timer = setTimeout(end, timeoutMs);
    FfmpegProcess.start(ffmpeg, decodeArguments(source, plan), accessOf(source), {
      nextBuffer: () => sink,
      onBytes: () => undefined,
      onLogLine: (line) => {
        onLine?.(line);
        const event = log.read(line);
        if (event?.kind === 'problem') problems.push(redact(event.text));
        else if (event?.kind === 'duration') durationUs = event.durationUs;
        else if (event?.kind === 'frame' && !isOver) {
          const goesOn = onFrame?.(event.frame) ?? true;
          if (size === null) {
            size = { width: event.frame.width, height: event.frame.height };
            clearTimeout(timer);
            if (readMs > 0) timer = setTimeout(end, readMs);
          }
          if (readMs === 0 || !goesOn) end();
        }
      },
      onExit: () => {
        clearTimeout(timer);
        if (size !== null) resolve({ ...size, durationUs });
        else if (isOver) reject(timeoutError(source, timeoutMs));
        else reject(probeFailure(source, problems));
      },
    }).then(
      (started) => {
        child = started;
        if (isOver) started.kill();
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(startFailure(ffmpeg, error));
      },
    );
  });
}

function timeoutError(source: SourceInput, timeoutMs: number): SightlineError {
  return new SightlineError('SOURCE_UNREACHABLE', `${source.label}: no frame within ${timeoutMs} ms`, {
    source: source.label,
  });
}

function probeFailure(source: SourceInput, problems: readonly string[]): SightlineError {
  const { code, cause, said } = explainExit(problems);
  return new SightlineError(
    code === 'DECODE_EXITED' ? 'SOURCE_NO_VIDEO' : code,
    `${source.label}: ${cause} (ffmpeg: ${said})`,
    { source: source.label },
  );
}
