import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { counted } from '../../base/core/counted.ts';
import { JSON_LINES, LineFile } from './line-file.ts';
import { LineLog } from './line-log.ts';
import { AT_ONCE } from './line-writer.ts';

export interface KeptLinesOptions {
  /** For the notice, such as `the audit log`. */
  readonly name: string;
  readonly path: string;
  /** Most bytes of the file and of the older one beside it, together. */
  readonly maxBytes: number;
  readonly onNotice: (text: string) => void;
}

/**
 * A record of bounded size that survives a restart, one JSON object per line. When the file reaches half of `maxBytes` it is renamed to
 * `NAME.1`, which replaces the older one. Lines that cannot be written now are written later, and never delay the caller; beyond
 * 8 MB of them the oldest are lost, and counted in a notice.
 */
export class KeptLines {
  readonly #options: KeptLinesOptions;
  /** Null before the first line: without one there is no file. */
  #log: LineLog | null = null;

  constructor(options: KeptLinesOptions) {
    this.#options = options;
  }

  add(entry: object): void {
    this.#log ??= this.#open();
    this.#log.write(`${JSON.stringify(entry)}\n`, 1);
  }

  /** Resolves when everything so far is on the disk, or could not be written. */
  async flush(): Promise<void> {
    await this.#log?.flush();
  }

  async close(): Promise<void> {
    // `onFailure` has said why lines are lost.
    await this.#log?.finish().catch(() => undefined);
  }

  #open(): LineLog {
    const { name, path, maxBytes, onNotice } = this.#options;
    const keep = (full: string): Promise<void> => rename(full, olderPath(path));
    return new LineLog({
      id: name,
      path,
      retries: 'always',
      sync: 'never',
      chunk: AT_ONCE,
      rotation: { maxBytes: maxBytes / 2, emptyBytes: 0, isCompressed: false, keep },
      open: async () => {
        await mkdir(dirname(path), { recursive: true });
        return LineFile.open(path, JSON_LINES);
      },
      keeps: 'newest',
      onFailure: ({ cause }) => onNotice(`${name} ${path} cannot be written: ${(cause as Error).message}`),
      onRecovery: (lost) => {
        if (lost > 0) onNotice(`${name} ${path} is written again; ${counted(lost, 'line')} from before are lost`);
      },
    });
  }
}

/** Path of a file beside it: `NAME-<mark>.EXT`. */
export function besidePath(path: string, mark: string): string {
  return path.replace(/(\.[^./\\]*)?$/, `-${mark}$1`);
}

/** Path of the older file beside it. */
function olderPath(path: string): string {
  return `${path}.1`;
}
