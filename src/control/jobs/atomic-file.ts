import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Writable } from 'node:stream';
import { syncFolder } from '../../sinks/output-names.ts';
import { fileFailure } from '../../sinks/sink-failure.ts';
import { TextOutput } from '../../sinks/text-output.ts';

/** Another task may remove the folder, empty for a moment, between our making it and our using it. */
const FOLDER_TRIES = 100;

/**
 * A text file that is there whole or not at all: written under another name, brought to the disk, then renamed. Whoever
 * renames last wins, so two that write the same may.
 */
export class AtomicFile {
  readonly #id: string;
  readonly #path: string;
  readonly #temporaryPath: string;
  readonly #handle: FileHandle;
  readonly #output: TextOutput;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(id: string, path: string, temporaryPath: string, handle: FileHandle) {
    this.#id = id;
    this.#path = path;
    this.#temporaryPath = temporaryPath;
    this.#handle = handle;
    // Node's own stream of a handle would close it before it can be synchronised.
    const stream = new Writable({
      write: (chunk: Buffer, _, done) => {
        this.#writing = handle.appendFile(chunk).then(() => done(), done);
      },
    });
    this.#output = new TextOutput({ id, path, stream, onFailure: () => undefined });
  }

  /**
   * @param id - what writes it, for messages.
   * @param stem - path that its name begins with before it is renamed; on the same file system as `path`. The folder is made
   *   where it is missing.
   * @throws SINK_FAILED
   */
  static async create(id: string, path: string, stem: string): Promise<AtomicFile> {
    const temporaryPath = `${stem}.${randomUUID()}.tmp`;
    for (let tries = 1; ; tries++) {
      try {
        await mkdir(dirname(stem), { recursive: true });
        return new AtomicFile(id, path, temporaryPath, await open(temporaryPath, 'wx'));
      } catch (error) {
        const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
        if (!isGone || tries === FOLDER_TRIES) throw fileFailure(id, path, error as Error);
      }
    }
  }

  /** @returns when to go on, a promise that never rejects; null for at once. What goes wrong is told by `commit`. */
  write(text: string, results: number): Promise<void> | null {
    return this.#output.write(text, results) ? null : this.#output.drained();
  }

  /** Makes it visible under its name. @throws SINK_FAILED; nothing of it is left then. */
  async commit(): Promise<void> {
    try {
      await this.#output.finish();
      await this.#handle.sync();
      await this.#close();
      await rename(this.#temporaryPath, this.#path);
      await syncFolder(dirname(this.#path));
    } catch (error) {
      await this.discard();
      throw (error as NodeJS.ErrnoException).errno === undefined
        ? error
        : fileFailure(this.#id, this.#path, error as Error);
    }
  }

  /** Forgets what was written. May be called at any time, and again. */
  async discard(): Promise<void> {
    await this.#close();
    await rm(this.#temporaryPath, { force: true });
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing;
    await this.#handle.close();
  }
}
