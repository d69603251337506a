import { join } from 'node:path';
import type { SinkFile, SinkFiles } from './sink-files.ts';
import { checksum } from './spool-line.ts';

const NAME = 'position';
/** The two places are written in turn, so that one of them is intact at any time. */
const PLACE_BYTES = 64;

/** The number of the last record that needs no sending any more, in a file of two places. */
export class SpoolPosition {
  readonly #file: SinkFile;
  #seq: number;
  #savedSeq: number;
  /** Index of the place to write next: the older one. */
  #place: number;
  #saving: Promise<void> | null = null;

  /** @param places - the number in each place. */
  private constructor(file: SinkFile, places: readonly number[]) {
    this.#file = file;
    this.#seq = Math.max(...places);
    this.#savedSeq = this.#seq;
    this.#place = places.indexOf(Math.min(...places));
  }

  /** Opens or creates the file. If both places are damaged it begins at 0: records are repeated, not lost. */
  static async open(folder: string, files: SinkFiles): Promise<SpoolPosition> {
    const path = join(folder, NAME);
    const file = await files.open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return files.open(path, 'w+');
      throw error;
    });
    const bytes = Buffer.alloc(2 * PLACE_BYTES);
    await file.read(bytes, 0, bytes.length, 0).catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
    const places = [0, 1].map((place) => readPlace(bytes.subarray(place * PLACE_BYTES, (place + 1) * PLACE_BYTES)));
    return new SpoolPosition(file, places);
  }

  /** Number of the last record that needs no sending any more. */
  get seq(): number {
    return this.#seq;
  }

  /** Saves a new position soon. If that fails, records are sent again after a restart. */
  advance(seq: number): void {
    this.#seq = seq;
    this.#saving ??= this.#save().finally(() => {
      this.#saving = null;
    });
  }

  /** Saves the position and closes the file. */
  async close(): Promise<void> {
    await this.#saving;
    await this.#save();
    await this.#file.datasync().catch(() => undefined);
    await this.#file.close();
  }

  async #save(): Promise<void> {
    while (this.#savedSeq !== this.#seq) {
      const seq = this.#seq;
      const place = Buffer.from(`${checksum(`${seq}`)} ${seq}`.padEnd(PLACE_BYTES - 1).concat('\n'));
      try {
        await this.#file.write(place, 0, place.length, this.#place * PLACE_BYTES);
      } catch {
        // The spool reports the disk's failure. The next change tries again.
        return;
      }
      this.#place = 1 - this.#place;
      this.#savedSeq = seq;
    }
  }

  /** Deletes the file. */
  static remove(folder: string, files: SinkFiles): Promise<void> {
    return files.remove(join(folder, NAME));
  }
}

/** Returns 0 if the place is damaged or was never written. */
function readPlace(bytes: Buffer): number {
  const [sum, seq] = bytes.toString('latin1').trimEnd().split(' ');
  return seq !== undefined && checksum(seq) === sum ? Number(seq) : 0;
}
