import { lstat, mkdir, readdir, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileFailure } from '../../../after/sinks/sink-failure.ts';
import { openedPath } from '../../../base/disk/real-path.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';

/**
 * The folder for the segment results of one job, `OUT/.parts/KEY`. Others may write to the output folder as well: neither `.parts`
 * nor the folder itself may be a link, and both are looked at again before each file is created, renamed or deleted.
 */
export class SegmentFolder {
  readonly path: string;
  readonly #outDir: string;
  readonly #admit: () => Promise<string>;

  /**
   * @param outDir - real path of the output folder, as admitted.
   * @param key - name of the job's folder.
   * @param admit - admits the output folder again. @throws SOURCE_FORBIDDEN
   */
  constructor(outDir: string, key: string, admit: () => Promise<string>) {
    this.#outDir = outDir;
    this.path = join(outDir, '.parts', key);
    this.#admit = admit;
  }

  /** Creates it if it is missing. @throws SINK_FAILED, SOURCE_FORBIDDEN */
  async make(): Promise<void> {
    await this.#admitAgain();
    await mkdir(this.#outDir, { recursive: true });
    for (const folder of this.#folders) {
      await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      await requireFolder(folder);
    }
    // Another program may have made a missing folder as a link.
    await this.#admitAgain();
  }

  /**
   * @returns false if it does not exist.
   * @throws SINK_FAILED if it is a link or leads elsewhere, SOURCE_FORBIDDEN.
   */
  async check(): Promise<boolean> {
    await this.#admitAgain();
    for (const folder of this.#folders) if (!(await requireFolder(folder))) return false;
    return true;
  }

  /** Checks that an open file lies in it, even if the folders have changed since. @throws SINK_FAILED */
  async requireInside(fd: number, name: string): Promise<void> {
    const opened = await openedPath(fd);
    if (opened !== null && opened !== join(this.path, name)) throw leadsElsewhere(this.path);
  }

  /** @returns whether it has an entry of this name, of any kind. @throws as `check` */
  async has(name: string): Promise<boolean> {
    return (await this.check()) && (await kindOf(join(this.path, name))) !== null;
  }

  /** Deletes files; ignores missing ones, and folders. @throws as `check` */
  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) {
      if (!(await this.check())) return;
      await unlink(join(this.path, basename(name))).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT' && error.code !== 'EISDIR' && error.code !== 'EPERM') throw error;
      });
    }
  }

  /** @throws as `check` */
  async names(): Promise<string[]> {
    return (await this.check()) ? await readdir(this.path).catch(() => []) : [];
  }

  /** Deletes the folder, and the one for all jobs, if they are empty. */
  async removeEmpty(): Promise<void> {
    if (!(await this.check())) return;
    for (const folder of this.#folders.toReversed()) await rmdir(folder).catch(() => undefined);
  }

  get #folders(): readonly string[] {
    return [dirname(this.path), this.path];
  }

  async #admitAgain(): Promise<void> {
    if ((await this.#admit()) !== this.#outDir) throw leadsElsewhere(this.#outDir);
  }
}

/** @returns false if there is nothing. @throws SINK_FAILED if it is not a folder. */
async function requireFolder(path: string): Promise<boolean> {
  const kind = await kindOf(path);
  if (kind !== null && kind !== 'folder') throw leadsElsewhere(path);
  return kind !== null;
}

async function kindOf(path: string): Promise<'folder' | 'other' | null> {
  try {
    return (await lstat(path)).isDirectory() ? 'folder' : 'other';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw fileFailure('job', path, error as Error);
  }
}

function leadsElsewhere(path: string): SightlineError {
  return new SightlineError(
    'SINK_FAILED',
    `job: cannot write to ${path}: expected a folder of this job, found a link, a file, or a folder that was exchanged`,
    { path },
  );
}
