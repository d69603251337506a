import { rm, stat } from 'node:fs/promises';
import { SightlineError } from '../errors/sightline-error.ts';
import { LineFile, type LineFileOptions } from './line-file.ts';
import { LineLog } from './line-log.ts';
import { checkReplaceable, isDevice, keepRecovered, partialPathOf, resolveOutput, takeName } from './output-names.ts';
import type { SinkFailureListener } from './sink.ts';

export interface PartialFileOptions {
  readonly id: string;
  readonly path: string;
  readonly kind: LineFileOptions;
  /** Makes a whole file of whole lines. */
  readonly seal?: (file: LineFile) => Promise<void>;
  /** See `NamingPlan`. */
  readonly keepsEarlier: boolean;
  /** See `LineLogOptions`. */
  readonly goesOn: boolean;
  readonly onFailure: SinkFailureListener;
  readonly onRecovery?: ((lostResults: number) => void) | undefined;
  /** Is told in a sentence what became of files of earlier runs, and of this one where it does not get its name. */
  readonly onNotice?: ((text: string) => void) | undefined;
}

/**
 * A file of lines that grows as `NAME.partial.EXT` and gets its own name when it is closed. What a crashed run left under
 * the partial name is made whole first, and kept as `NAME.recovered-N.EXT`.
 */
export class PartialFile {
  readonly #options: PartialFileOptions;
  readonly #log: LineLog;
  /** Where links to it lead: the file is replaced, not the link. */
  #path: string;
  #hasLines = false;

  constructor(options: PartialFileOptions) {
    this.#options = options;
    this.#path = options.path;
    this.#log = new LineLog({ ...options, open: () => this.#open() });
  }

  /** As `LineLog.write`. */
  write(lines: string, results: number): boolean {
    if (results > 0) this.#hasLines = true;
    return this.#log.write(lines, results);
  }

  drained(): Promise<void> {
    return this.#log.drained();
  }

  /**
   * @param isComplete - the inputs were read to their end.
   * @throws SINK_FAILED
   */
  async finish(isComplete: boolean): Promise<void> {
    try {
      await this.#log.finish((file) => this.#name(file, isComplete));
    } catch (error) {
      throw await this.#withPlace(error as SightlineError);
    }
  }

  async #name(file: LineFile, isComplete: boolean): Promise<void> {
    if (file.path !== partialPathOf(this.#path)) return;
    const { id, seal, keepsEarlier, onNotice } = this.#options;
    await seal?.(file);
    await file.sync();
    const path = await takeName({ path: this.#path, partialPath: file.path, isComplete, keepsEarlier });
    if (path === this.#path) return;
    if (this.#hasLines) onNotice?.(`sink ${id}: ${this.#path} stays as it was; what was written now is in ${path}`);
    else await rm(path, { force: true });
  }

  /** Adds to a failure where the part is that was written: nobody would look for it otherwise. */
  async #withPlace(failure: SightlineError): Promise<SightlineError> {
    const partialPath = partialPathOf(this.#path);
    const found = await stat(partialPath).catch(() => null);
    if (found === null || !found.isFile()) return failure;
    if (found.size <= this.#headerBytes) {
      await rm(partialPath, { force: true }).catch(() => undefined);
      return failure;
    }
    const { code, message, details, cause } = failure;
    return new SightlineError(code, `${message}; what was written until then is in ${partialPath}`, details, { cause });
  }

  async #open(): Promise<LineFile> {
    const { id, kind, seal, onNotice } = this.#options;
    if (await isDevice(this.#path)) {
      if (seal === undefined) return LineFile.open(this.#path, kind);
      throw new Error('it is a pipe or a device, and this format is only complete at its end; name a file');
    }
    this.#path = await resolveOutput(this.#options.path);
    await checkReplaceable(this.#path);
    const partialPath = partialPathOf(this.#path);
    const left = await LineFile.open(partialPath, { ...kind, header: '' });
    const hasLines = (await left.size()) > this.#headerBytes;
    if (hasLines) await seal?.(left);
    await left.close();
    if (hasLines) {
      const kept = await keepRecovered(this.#path, partialPath);
      onNotice?.(`sink ${id}: an earlier run was cut short; its results are in ${kept}${cutText(left)}`);
    }
    return LineFile.open(partialPath, kind);
  }

  get #headerBytes(): number {
    return this.#options.kind.header?.length ?? 0;
  }
}

/** What the repair took away, for a notice. */
export function cutText({ cutBytes }: LineFile): string {
  return cutBytes === 0 ? '' : ` (${cutBytes} bytes of half a line at its end were cut off)`;
}
