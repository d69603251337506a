import { stat } from 'node:fs/promises';

/**
 * Notices that files have changed, by looking at them: that works for renames, links and network disks alike. A change is
 * reported once nothing has changed since the look before, so that a pair of files is complete.
 */
export class WatchedFiles {
  readonly #paths: readonly string[];
  #known: string;
  #seen: string;

  private constructor(paths: readonly string[], state: string) {
    this.#paths = paths;
    this.#known = state;
    this.#seen = state;
  }

  /** Takes the present state as known. A file may be missing. Open this before reading the files, or a change is lost. */
  static async open(paths: readonly string[]): Promise<WatchedFiles> {
    return new WatchedFiles(paths, await stateOf(paths));
  }

  /** Returns whether the files have changed since this last returned true, and have been still since the last look. */
  async look(): Promise<boolean> {
    const state = await stateOf(this.#paths);
    const isStill = state === this.#seen;
    this.#seen = state;
    if (!isStill || state === this.#known) return false;
    this.#known = state;
    return true;
  }
}

async function stateOf(paths: readonly string[]): Promise<string> {
  const states = paths.map(async (path) => {
    try {
      const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      return [ino, size, mtimeNs, ctimeNs].join(' ');
    } catch {
      return 'missing';
    }
  });
  return (await Promise.all(states)).join('\n');
}
