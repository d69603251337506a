import { redact } from '../../base/core/redact.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { ChildExit } from '../../base/process/child-group.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import { lowerPriority } from '../../base/process/lower-priority.ts';
import type { Access } from '../../base/process/sandbox-view.ts';
import { explainExit, FfmpegLog } from './ffmpeg-log.ts';
import { FfmpegProcess, startFailure } from './ffmpeg-process.ts';
import { accessOfUrl } from './sandbox-access.ts';

/** Bounds one read to about a thousand lines, which take about a millisecond of the main thread. */
const BUFFER_BYTES = 32 * 1024;

/** Receives the output of one ffmpeg. */
export interface FfmpegListener {
  /** A chunk of standard output. */
  onText(text: string): void;
  onLogLine(line: string): void;
}

/**
 * Runs an ffmpeg that inspects a file, at low priority, and waits for its end.
 *
 * @param url - its input.
 * @param access - if it needs more than its input.
 * @throws SOURCE_*, DECODE_EXITED with the cause, FFMPEG_MISSING; the signal's reason if it aborts.
 */
export async function runFfmpeg(
  ffmpeg: Ffmpeg,
  url: string,
  args: readonly string[],
  signal: AbortSignal,
  listener: FfmpegListener,
  access: Access = accessOfUrl(url),
): Promise<void> {
  signal.throwIfAborted();
  const log = new FfmpegLog(url, null);
  const problems: string[] = [];
  const buffer = Buffer.alloc(BUFFER_BYTES);
  const { promise: exited, resolve } = withResolver<ChildExit>();
  let child: FfmpegProcess;
  try {
    child = await FfmpegProcess.start(ffmpeg, args, access, {
      nextBuffer: () => buffer,
      onBytes: (bytes) => listener.onText(buffer.toString('latin1', 0, bytes)),
      onLogLine: (line) => {
        listener.onLogLine(line);
        const event = log.read(line);
        if (event?.kind === 'problem') problems.push(redact(event.text));
      },
      onExit: resolve,
    });
  } catch (error) {
    throw startFailure(ffmpeg, error);
  }
  lowerPriority(child.pid);
  const onAbort = (): void => child.kill();
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  const exit = await exited;
  signal.removeEventListener('abort', onAbort);
  signal.throwIfAborted();
  if (exit.code === 0) return;
  const { code, cause, said } = explainExit(problems);
  throw new SightlineError(
    code,
    `${redact(url)}: ${cause} (ffmpeg: ${said}; ${exit.signal ?? `exit code ${exit.code}`})`,
  );
}

function withResolver<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
