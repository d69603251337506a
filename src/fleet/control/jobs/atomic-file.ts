import { randomUUID } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { LineFile, type LineTarget } from '../../../after/sinks/line-file.ts';
import { LineLog } from '../../../after/sinks/line-log.ts';
import { fileFailure } from '../../../after/sinks/sink-failure.ts';
import { moveFile } from '../../../base/disk/replace-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { SegmentFolder } from './segment-folder.ts';

/** Attempts to create a file: another task may remove the still empty folder between `mkdir` and `open`. */
const FOLDER_TRIES = 100;

/**
 * A text file that appears complete or not at all: it is written under another name, synced to disk, then renamed. The last
 * rename wins, so two tasks may write the same file.
 */
export class AtomicFile {
  readonly #id: string;
  readonly #path: string;
  readonly #temporaryPath: string;
  readonly #folder: SegmentFolder;
  readonly #output: LineLog;
  #closing: Promise<void> | null = null;

  private constructor({
    id,
    path,
    temporaryPath,
    folder,
    handle,
  }: {
    readonly id: string;
    readonly path: string;
    readonly temporaryPath: string;
    readonly folder: SegmentFolder;
    readonly handle: FileHandle;
  }) {
    this.#id = id;
    this.#path = path;
    this.#temporaryPath = temporaryPath;
    this.#folder = folder;
    const file = LineFile.of(temporaryPath, handle);
    const open = async (): Promise<LineFile> => file;
    const seal = async (file: LineTarget, isComplete: boolean): Promise<void> => {
      if (isComplete) await file.sync();
    };
    this.#output = new LineLog({ id, path, open, seal, retries: 'never', sync: 'never', onFailure: () => undefined });
  }

  /**
   * @param id - of the writer, for messages.
   * @param stem - start of the temporary path, in `folder`; on the same file system as `path`.
   * @param folder - is created if it is missing.
   * @throws SINK_FAILED
   */
  static async create(id: string, path: string, stem: string, folder: SegmentFolder): Promise<AtomicFile> {
    const { temporaryPath, handle } = await createTemporary(id, path, stem, folder);
    return new AtomicFile({ id, path, temporaryPath, folder, handle });
  }

  /**
   * @returns a promise to await before the next write, which never rejects; null if there is none. Failures are thrown by `commit`.
   */
  write(line: string): Promise<void> | null {
    return this.#output.write(line, 1) ? null : this.#output.drained();
  }

  /** Makes the file visible under its name. @throws SINK_FAILED, after which nothing is left on disk. */
  async commit(): Promise<void> {
    try {
      await this.#close(true);
      await this.#folder.check();
      await moveFile(this.#temporaryPath, this.#path);
    } catch (error) {
      await this.discard();
      throw (error as NodeJS.ErrnoException).errno === undefined
        ? error
        : fileFailure(this.#id, this.#path, error as Error);
    }
  }

  /** Deletes what was written, if the disk permits. May be called at any time. Idempotent; never rejects. */
  async discard(): Promise<void> {
    try {
      await this.#close(false).catch(() => undefined);
      await this.#folder.remove([basename(this.#temporaryPath)]);
    } catch {
      // The caller already has the error that matters.
    }
  }

  #close(isComplete: boolean): Promise<void> {
    this.#closing ??= this.#output.finish(isComplete);
    return this.#closing;
  }
}

/** Creates the file that becomes `path`, see `AtomicFile.create`. @throws SINK_FAILED */
export async function createTemporary(
  id: string,
  path: string,
  stem: string,
  folder: SegmentFolder,
): Promise<{ readonly temporaryPath: string; readonly handle: FileHandle }> {
  const temporaryPath = `${stem}.${randomUUID()}.tmp`;
  for (let tries = 1; ; tries++) {
    let handle: FileHandle | null = null;
    try {
      await folder.make();
      handle = await open(temporaryPath, 'ax+');
      await folder.requireInside(handle.fd, basename(temporaryPath));
      return { temporaryPath, handle };
    } catch (error) {
      await handle?.close();
      if (error instanceof SightlineError) throw error;
      const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!isGone || tries === FOLDER_TRIES) throw fileFailure(id, path, error as Error);
    }
  }
}
