import { open, rename, rm, stat } from 'node:fs/promises';
import { syncFile } from '../../base/disk/replace-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { FedChild } from '../../base/process/fed-child.ts';
import type { VideoFilePlan } from '../../wire/protocol/annotate.ts';
import { checkReplaceable, moveToFinalName } from './output-names.ts';
import { fileFailure } from './sink-failure.ts';
import { matroskaHeader, pictureHeader } from './video-matroska.ts';

/** Seconds that ffmpeg may take for one picture, or to finish, before it counts as hung. */
const MAX_STALL_SECONDS = 60;

/** ffmpeg's messages for system errors, and their codes. */
const SYSTEM_ERRORS: readonly (readonly [RegExp, string])[] = [
  [/No space left on device/i, 'ENOSPC'],
  [/Disk quota exceeded/i, 'EDQUOT'],
  [/Permission denied/i, 'EACCES'],
  [/Read-only file system/i, 'EROFS'],
  [/File too large/i, 'EFBIG'],
];

export interface EncoderEvents {
  onChildStarted(pid: number): void;
  onChildGone(pid: number): void;
  /** Called once; later calls of `write` and `finish` reject with the same error. */
  onFailed(error: SightlineError): void;
}

/**
 * Writes one video file through an ffmpeg child. The file grows under `partialPath` and gets its final name when it is
 * complete.
 */
export class VideoEncoder {
  readonly #file: VideoFilePlan;
  readonly #events: EncoderEvents;
  readonly #child: FedChild;
  readonly #failed: Promise<never>;
  #fail!: (error: SightlineError) => void;
  #failing: Promise<SightlineError> | null = null;
  #isEnding = false;
  readonly #ended: Promise<void>;
  readonly #watch: NodeJS.Timeout;
  #stalledSeconds = 0;
  #pendingWrites = 0;
  #pictures = 0;
  #isDiscarded = false;

  private constructor(file: VideoFilePlan, width: number, height: number, events: EncoderEvents) {
    this.#file = file;
    this.#events = events;
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#failed.catch(() => undefined);
    this.#child = this.#start(file.encodeArgs);
    this.#child.input.write(matroskaHeader(width, height));
    // Counts ticks, not elapsed time: if this whole process was suspended, ffmpeg has not stalled.
    this.#watch = setInterval(() => this.#checkStall(), 1000);
    this.#ended = this.#child.ended.then(async ({ isSuccess, message }) => {
      if (!this.#isDiscarded && !(this.#isEnding && isSuccess)) await this.#failWith(systemError(message));
    });
  }

  /**
   * Checks that the file can be written, then starts ffmpeg.
   *
   * @throws SINK_FAILED
   */
  static async open(
    file: VideoFilePlan,
    picture: { readonly width: number; readonly height: number },
    events: EncoderEvents,
  ): Promise<VideoEncoder> {
    try {
      await checkReplaceable(file.path);
      // Never overwrite an existing partial file: it may be the only copy of an earlier run's output.
      await (await open(file.partialPath, 'wx')).close();
    } catch (error) {
      throw fileFailure(file.id, file.path, error as Error);
    }
    return new VideoEncoder(file, picture.width, picture.height, events);
  }

  /**
   * Writes one picture. Times must increase.
   *
   * @param pixels - must not change until the promise settles.
   * @throws SINK_FAILED
   */
  async write(pixels: Uint8Array, timeUs: number): Promise<void> {
    if (this.#failing !== null) throw await this.#failing;
    const { input } = this.#child;
    this.#pictures += 1;
    this.#pendingWrites += 1;
    const written = new Promise<void>((resolve) => {
      input.cork();
      input.write(pictureHeader(timeUs, pixels.length));
      // Errors are handled when ffmpeg exits, because its output has the reason.
      input.write(pixels, (error) => {
        if (!error) resolve();
      });
      input.uncork();
    });
    await Promise.race([written, this.#failed]);
    this.#pendingWrites -= 1;
    this.#stalledSeconds = 0;
  }

  /**
   * Ends the stream, waits for ffmpeg, and renames the file to its final name.
   *
   * @param isComplete - see `NamingPlan`.
   * @returns the path of the file; null if there is none, because it was stopped before the first picture.
   * @throws SINK_FAILED
   */
  async finish(isComplete: boolean): Promise<string | null> {
    // A stream of a service may end before its camera has answered.
    const mayBeEmpty = !isComplete || this.#file.keepsEarlier;
    if (this.#pictures === 0 && mayBeEmpty && this.#failing === null) return this.#discard();
    this.#isEnding = true;
    this.#child.input.end();
    await this.#ended;
    clearInterval(this.#watch);
    if (this.#failing !== null) throw await this.#failing;
    return this.#rename(isComplete);
  }

  /** Kills ffmpeg; the file stays as far as it was written. */
  abort(): void {
    clearInterval(this.#watch);
    this.#child.kill();
  }

  /** ffmpeg cannot complete a file without pictures. */
  async #discard(): Promise<null> {
    this.#isDiscarded = true;
    this.abort();
    await this.#ended;
    const { id, path, partialPath } = this.#file;
    await rm(partialPath, { force: true }).catch((error: Error) => {
      throw fileFailure(id, path, error);
    });
    return null;
  }

  async #rename(isComplete: boolean): Promise<string> {
    const { finish, partialPath, path, keepsEarlier } = this.#file;
    try {
      if (finish !== null) {
        const { isSuccess, message } = await this.#start(finish.args).ended;
        if (!isSuccess) throw systemError(message);
      }
      const wholePath = finish?.outputPath ?? partialPath;
      await syncFile(wholePath);
      // This replaces the partial file first: otherwise a crash before its removal would leave the same video twice.
      if (finish !== null) await rename(wholePath, partialPath);
      return await moveToFinalName({ path, partialPath, isComplete, keepsEarlier });
    } catch (error) {
      if (finish !== null) await rm(finish.outputPath, { force: true });
      throw await this.#failWith(error as Error);
    }
  }

  #start(args: readonly string[]): FedChild {
    const child = new FedChild(this.#file.ffmpeg, args);
    const { pid } = child;
    if (pid !== null) {
      this.#events.onChildStarted(pid);
      void child.ended.then(() => this.#events.onChildGone(pid));
    }
    return child;
  }

  #checkStall(): void {
    if (this.#pendingWrites === 0 && !this.#isEnding) return;
    this.#stalledSeconds += 1;
    if (this.#stalledSeconds < MAX_STALL_SECONDS) return;
    void this.#failWith(systemError(`it accepted no data for ${MAX_STALL_SECONDS} seconds`));
    this.#child.kill();
  }

  #failWith(cause: Error): Promise<SightlineError> {
    this.#failing ??= this.#makeFailure(cause);
    return this.#failing;
  }

  async #makeFailure(cause: Error): Promise<SightlineError> {
    clearInterval(this.#watch);
    const { id, path, partialPath } = this.#file;
    const { code, message, details } = fileFailure(id, path, cause);
    const isKept = (await sizeOf(partialPath)) > 0;
    if (!isKept) await rm(partialPath, { force: true }).catch(() => undefined);
    // The message names the partial file, so that the user can find it.
    const failure = isKept
      ? new SightlineError(code, `${message}; the output so far is in ${partialPath}`, details, { cause })
      : new SightlineError(code, message, details, { cause });
    this.#fail(failure);
    this.#events.onFailed(failure);
    return failure;
  }
}

function systemError(message: string): Error {
  const known = SYSTEM_ERRORS.find(([pattern]) => pattern.test(message));
  const error = new Error(`the encoder ended: ${message}`);
  return known === undefined ? error : Object.assign(error, { code: known[1] });
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
