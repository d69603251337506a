import { readFile, rm } from 'node:fs/promises';
import { z } from 'zod';
import { writeWholeFile } from '../../../base/disk/replace-file.ts';

const content = z.object({ rollout: z.string(), starts: z.number().int().nonnegative() });

/**
 * Counts the starts of a host during one roll-out that were not followed by an orderly end, in a file: a candidate that kills its
 * process while it is loaded would do so again at each start.
 */
export class StartLog {
  readonly #path: string;
  readonly #onNotice: (text: string) => void;

  /** @param path - its folder exists. */
  constructor(path: string, onNotice: (text: string) => void) {
    this.#path = path;
    this.#onNotice = onNotice;
  }

  /**
   * Counts a start. Never rejects: a host must start with a full disk too. Then the next start does not know of this one.
   *
   * @returns starts of this host in a row during this roll-out, this one included.
   */
  async note(rollout: string): Promise<number> {
    const starts = (await this.#read(rollout)) + 1;
    await writeWholeFile(this.#path, JSON.stringify({ rollout, starts })).catch((error: Error) =>
      this.#onNotice(`${this.#path}: this start is not counted: ${error.message}`),
    );
    return starts;
  }

  /** Called when the host has run for a while, or shuts down. Never rejects. */
  async forget(): Promise<void> {
    await rm(this.#path, { force: true }).catch((error: Error) =>
      this.#onNotice(`${this.#path}: earlier starts still count: ${error.message}`),
    );
  }

  async #read(rollout: string): Promise<number> {
    try {
      const known = content.parse(JSON.parse(await readFile(this.#path, 'utf8')));
      return known.rollout === rollout ? known.starts : 0;
    } catch {
      return 0;
    }
  }
}
