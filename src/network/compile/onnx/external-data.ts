import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { isBelow } from '../../../base/disk/real-path.ts';
import { invalid } from '../refusals.ts';

/** Location of a constant's data outside the ONNX file. */
export interface ExternalPlace {
  /** As in the file: relative to the folder of the ONNX file. */
  readonly location: string;
  readonly offset: number;
  /** Absent: to the end of the file. */
  readonly length: number | undefined;
}

/**
 * Reads constants from the files beside an ONNX file. Models are untrusted, so they must not name arbitrary files of this machine:
 * only relative paths inside the model's folder are allowed, also after following links.
 */
export class ExternalData {
  readonly #folder: string;
  /**
   * Data read so far, by path, offset and size: constants may share it. Paths are resolved, since a file can be named in many ways.
   */
  readonly #read = new Map<string, Uint8Array>();
  readonly #bytesRead = new Map<string, number>();

  constructor(modelPath: string) {
    this.#folder = dirname(modelPath);
  }

  /**
   * @param bytes - size of the constant according to its type and dimensions.
   * Throws MODEL_INVALID if the path leads out of the folder, the file does not exist, or is too short; or if overlapping parts add
   * up to more than the file, so that a small file cannot provide many large constants.
   */
  read(place: ExternalPlace, bytes: number, where: string): Uint8Array {
    const { location, offset, length = bytes } = place;
    if (length !== bytes)
      throw invalid(where, `expected ${bytes} bytes for its type and sizes, received ${length} in ${location}`);
    const path = this.resolve(location, where);
    const key = `${offset} ${bytes} ${path}`;
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(descriptor);
      if (!stats.isFile()) throw invalid(where, `expected data in a file, received ${location}, which is not a file`);
      if (!(offset >= 0) || offset + bytes > stats.size) {
        const wanted = `bytes ${offset} to ${offset + bytes}`;
        throw invalid(where, `expected ${wanted} in ${location}, received a file of ${stats.size} bytes`);
      }
      const total = (this.#bytesRead.get(path) ?? 0) + bytes;
      if (total > stats.size) throw invalid(where, `the constants in ${location} overlap`);
      this.#bytesRead.set(path, total);
      const memory = new Uint8Array(bytes);
      let read = 0;
      while (read < bytes) {
        const got = readSync(descriptor, memory, read, bytes - read, offset + read);
        if (got === 0) throw invalid(where, `${location} became shorter while it was read`);
        read += got;
      }
      this.#read.set(key, memory);
      return memory;
    } finally {
      closeSync(descriptor);
    }
  }

  /** Returns the path of a file beside the model. Throws MODEL_INVALID if it leads out of the folder or does not exist. */
  resolve(location: string, where: string): string {
    const parts = location.split(/[\\/]/);
    if (
      location === '' ||
      location.includes('\0') ||
      isAbsolute(location) ||
      /^[A-Za-z]:/.test(location) ||
      parts[0] === ''
    )
      throw invalid(where, `expected data in a relative path, received ${JSON.stringify(location)}`);
    if (parts.includes('..'))
      throw invalid(where, `expected data inside the folder of the model, received ${JSON.stringify(location)}`);
    let folder: string;
    let path: string;
    try {
      folder = realpathSync(this.#folder);
      path = realpathSync(join(folder, location));
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error);
      throw invalid(where, `its data is in ${location}, which cannot be read (${reason})`);
    }
    if (path === folder || !isBelow(path, folder))
      throw invalid(where, `its data is in ${location}, a link that leads out of the folder of the model`);
    return path;
  }
}
