import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { cpus } from 'node:os';

/**
 * The graph of a model as ONNX Runtime rewrites it for this CPU, kept beside the model. To rewrite a graph the library holds
 * it several times over and never gives that memory back; a session of the rewritten one starts with what it needs. (Measured
 * with CenterNet: 13 MB less for each session.)
 *
 * The rewritten graph fits the CPU that it was made on, since weights are laid out for its registers. So its name holds what
 * the CPU can do and the version of the library: another machine that shares the folder makes its own.
 */
export class OptimisedGraph {
  readonly path: string;
  readonly #temporary: string;

  constructor(modelPath: string, libraryVersion: string) {
    // A model that was written anew is another one.
    const { size, mtimeMs } = statSync(modelPath, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
    const what = `${libraryVersion} ${cpuDescription()} ${size} ${mtimeMs}`;
    const name = createHash('sha256').update(what).digest('hex').slice(0, 12);
    this.path = `${modelPath.replace(/\.onnx$/, '')}.${name}.optimised.onnx`;
    this.#temporary = `${this.path}.${process.pid}-${Math.random().toString(36).slice(2)}.tmp`;
  }

  get exists(): boolean {
    return existsSync(this.path);
  }

  /**
   * Opens a session that writes the rewritten graph. Where it cannot be written - the folder may be read-only - the session is
   * opened without.
   *
   * @param open - opens a session that writes to this path; to none where undefined.
   */
  async write<Session>(open: (path: string | undefined) => Promise<Session>): Promise<Session> {
    try {
      const session = await open(this.#temporary);
      // Another thread or process may write the same: a reader sees a whole file or none.
      await rename(this.#temporary, this.path).catch(() => undefined);
      return session;
    } catch {
      await rm(this.#temporary, { force: true }).catch(() => undefined);
      return await open(undefined);
    }
  }

  /** Takes the file away, if it cannot be loaded. */
  async remove(): Promise<void> {
    await rm(this.path, { force: true }).catch(() => undefined);
  }
}

/** What decides how weights are laid out: on Linux the features that the kernel lists. */
function cpuDescription(): string {
  const model = `${process.arch} ${cpus()[0]?.model}`;
  try {
    return `${model} ${/^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0]}`;
  } catch {
    return model;
  }
}
