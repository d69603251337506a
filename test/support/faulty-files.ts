import { dirname } from 'node:path';
import { diskFiles, type SinkFile, type SinkFiles, stateOrNull } from '../../src/sinks/sink-files.ts';

type Call = keyof SinkFiles | keyof SinkFile;

/** A fault of one kind of call: an error code of the system, `hangs`, or a partial write. */
export type Fault = { readonly code: string } | 'hangs' | { readonly writtenBytes: number; readonly code: string };

/**
 * The disk with faults: calls fail, hang, or write in part as long as a test says so. It also remembers what was synchronised,
 * and `cutPower` takes everything else from the disk: data that was not synchronised, and names whose folder was not.
 */
export class FaultyFiles implements SinkFiles {
  readonly faults = new Map<Call, Fault>();
  /** Bytes of each file that survive, by its current path. */
  readonly #synced = new Map<string, number>();
  /** Renames whose folder was not synchronised, oldest first. */
  #renames: { readonly from: string; readonly to: string }[] = [];
  #isOff = false;
  readonly #open = new Set<SinkFile>();
  readonly #hanging: (() => void)[] = [];
  syncs = 0;

  /** Files that were opened and not closed. */
  get openFiles(): number {
    return this.#open.size;
  }

  async open(path: string, flags: string | number): Promise<SinkFile> {
    await this.#pass('open');
    // What was there before survives.
    if (!this.#synced.has(path)) this.#synced.set(path, (await stateOrNull(diskFiles, path))?.size ?? 0);
    const file = await diskFiles.open(path, flags);
    this.#open.add(file);
    return this.#faulty(path, file);
  }

  async stat(path: string) {
    await this.#pass('stat');
    return diskFiles.stat(path);
  }

  async list(folder: string): Promise<string[]> {
    await this.#pass('list');
    return diskFiles.list(folder);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#pass('rename');
    await diskFiles.rename(from, to);
    this.#synced.set(to, this.#synced.get(from) ?? 0);
    this.#synced.delete(from);
    this.#renames.push({ from, to });
  }

  async remove(path: string): Promise<void> {
    await this.#pass('remove');
    await diskFiles.remove(path);
    this.#synced.delete(path);
  }

  async makeFolder(path: string): Promise<void> {
    await this.#pass('makeFolder');
    await diskFiles.makeFolder(path);
  }

  async syncFolder(path: string): Promise<void> {
    await this.#pass('syncFolder');
    this.#renames = this.#renames.filter(({ to }) => dirname(to) !== path);
    await diskFiles.syncFolder(path);
  }

  /** Lets calls that hang go on. */
  respond(): void {
    this.faults.clear();
    for (const resume of this.#hanging.splice(0)) resume();
  }

  /** From now on no call has an effect, and files hold only what would survive. */
  async cutPower(): Promise<void> {
    this.#isOff = true;
    for (const file of this.#open) await file.close();
    this.#open.clear();
    for (const { from, to } of this.#renames.reverse()) {
      if ((await stateOrNull(diskFiles, to)) === null || (await stateOrNull(diskFiles, from)) !== null) continue;
      await diskFiles.rename(to, from);
      this.#synced.set(from, this.#synced.get(to) ?? 0);
      this.#synced.delete(to);
    }
    for (const [path, bytes] of this.#synced) {
      const found = await stateOrNull(diskFiles, path);
      if (found === null || found.size <= bytes) continue;
      const file = await diskFiles.open(path, 'r+');
      await file.truncate(bytes);
      await file.close();
    }
  }

  async #pass(call: Call): Promise<void> {
    const fault = this.faults.get(call);
    if (this.#isOff) await new Promise(() => undefined);
    if (fault === 'hangs') await new Promise<void>((resolve) => this.#hanging.push(resolve));
    if (fault !== undefined && fault !== 'hangs') throw Object.assign(new Error(fault.code), { code: fault.code });
  }

  #faulty(path: string, file: SinkFile): SinkFile {
    return {
      stat: async () => {
        await this.#pass('stat');
        return file.stat();
      },
      read: async (...args) => {
        await this.#pass('read');
        return file.read(...args);
      },
      write: async (bytes, offset, length, position) => {
        const fault = this.faults.get('write');
        if (fault !== undefined && fault !== 'hangs' && 'writtenBytes' in fault) {
          const part = Math.min(length, fault.writtenBytes);
          this.faults.set('write', { code: fault.code });
          if (part > 0) return file.write(bytes, offset, part, position);
        }
        await this.#pass('write');
        return file.write(bytes, offset, length, position);
      },
      truncate: async (bytes) => {
        await this.#pass('truncate');
        await file.truncate(bytes);
        this.#synced.set(path, Math.min(bytes, this.#synced.get(path) ?? 0));
      },
      datasync: async () => {
        await this.#pass('datasync');
        const { size } = await file.stat();
        await file.datasync();
        this.#synced.set(path, size);
        this.syncs += 1;
      },
      close: async () => {
        if (this.#isOff) return;
        this.#open.delete(file);
        await file.close();
      },
    };
  }
}
