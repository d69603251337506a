import { stat } from 'node:fs/promises';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { headerBytesOf, LineFile, type LineKind, type LineTarget } from './line-file.ts';
import { LineLog } from './line-log.ts';
import type { LineSinkOptions } from './line-sink.ts';
import { chunkOf } from './line-writer.ts';
import {
  checkReplaceable,
  incompleteText,
  isDevice,
  keepRecovered,
  moveToFinalName,
  partialPathOf,
  resolveOutput,
} from './output-names.ts';
import type { SinkFigures } from './sink.ts';
import { diskFiles, type SinkFiles, stateOrNull } from './sink-files.ts';

export interface PartialFileOptions extends LineSinkOptions {
  readonly path: string;
  readonly kind: LineKind;
  /** Completes the file, for instance closes a JSON list. Not for compressed files. */
  readonly seal?: (file: LineFile) => Promise<void>;
  /** See `NamingPlan`. If so, writing is tried again after a failure such as a full disk. */
  readonly keepsEarlier: boolean;
}

/**
 * A file of lines that is written as `NAME.partial.EXT` and renamed when it is closed. The partial file of a crashed run is
 * completed first and kept as `NAME.recovered-N.EXT`.
 */
export class PartialFile {
  readonly #options: PartialFileOptions;
  readonly #log: LineLog;
  /** The path with links resolved: the file is replaced, not the link. */
  #path: string;
  #hasLines = false;

  constructor(options: PartialFileOptions) {
    this.#options = options;
    this.#path = options.path;
    const retries = options.keepsEarlier ? 'unless-wrong-path' : 'never';
    this.#log = new LineLog({
      ...options,
      retries,
      chunk: chunkOf(options.kind),
      open: () => this.#open(),
      seal: (file, isComplete) => this.#rename(file, isComplete),
    });
  }

  /** As `LineLog.write`. */
  write(lines: string, results: number, onKept?: () => void): boolean {
    if (results > 0) this.#hasLines = true;
    return this.#log.write(lines, results, onKept);
  }

  drained(): Promise<void> {
    return this.#log.drained();
  }

  get figures(): SinkFigures {
    return this.#log.figures;
  }

  /**
   * @param isComplete - true if the inputs were read to their end. Otherwise a file without results is deleted.
   * @throws SINK_FAILED
   */
  async finish(isComplete: boolean): Promise<void> {
    try {
      await this.#log.finish(isComplete);
    } catch (error) {
      throw await this.#withPartialPath(error as SightlineError);
    }
  }

  async #rename(file: LineTarget, isComplete: boolean): Promise<void> {
    if (file.path !== partialPathOf(this.#path)) return;
    // A command that failed before its first result must not leave an empty file.
    if (!isComplete && !this.#hasLines) return this.#files.remove(file.path);
    const { id, keepsEarlier, onNotice } = this.#options;
    await this.#seal(file);
    await file.sync();
    const plan = { path: this.#path, partialPath: file.path, isComplete, keepsEarlier, files: this.#files };
    const path = await moveToFinalName(plan);
    if (path !== this.#path) onNotice?.(incompleteText(id, this.#path, path));
  }

  /** Adds the path of the partial file to a failure's message, so that the user can find it. */
  async #withPartialPath(failure: SightlineError): Promise<SightlineError> {
    const partialPath = partialPathOf(this.#path);
    const found = await stat(partialPath).catch(() => null);
    if (found === null || !found.isFile()) return failure;
    if (found.size <= this.#headerBytes) {
      await this.#files.remove(partialPath).catch(() => undefined);
      return failure;
    }
    const { code, message, details, cause } = failure;
    return new SightlineError(code, `${message}; the output so far is in ${partialPath}`, details, { cause });
  }

  async #seal(file: LineTarget): Promise<void> {
    if (file instanceof LineFile) await this.#options.seal?.(file);
  }

  async #open(): Promise<LineFile> {
    const { kind, seal } = this.#options;
    if (await isDevice(this.#path)) {
      if (seal === undefined) return LineFile.open(this.#path, kind, this.#files);
      throw new Error('it is a pipe or a device, and this format must be completed at the end; name a file');
    }
    this.#path = await resolveOutput(this.#options.path);
    await checkReplaceable(this.#path);
    const partialPath = partialPathOf(this.#path);
    await this.#keepLeft(partialPath);
    return LineFile.open(partialPath, kind, this.#files);
  }

  /** Keeps the file that a crashed run left. */
  async #keepLeft(partialPath: string): Promise<void> {
    const { id, kind, onNotice } = this.#options;
    const found = await stateOrNull(this.#files, partialPath);
    if (found === null || found.size <= this.#headerBytes) return;
    let cut = '';
    if (kind.compression == null) {
      const left = await LineFile.open(partialPath, kind, this.#files);
      try {
        if ((await left.size()) <= this.#headerBytes) return;
        await this.#seal(left);
      } finally {
        await left.close();
      }
      cut = cutText(left);
    }
    const kept = await keepRecovered(this.#path, partialPath, this.#files);
    onNotice?.(`sink ${id}: an earlier run was cut short; its results are in ${kept}${cut}`);
  }

  get #files(): SinkFiles {
    return this.#options.files ?? diskFiles;
  }

  get #headerBytes(): number {
    return headerBytesOf(this.#options.kind);
  }
}

/** Describes what the repair of a file removed, for a notice. */
export function cutText({ cutBytes }: LineFile): string {
  return cutBytes === 0 ? '' : ` (removed ${cutBytes} bytes of an incomplete last line)`;
}
