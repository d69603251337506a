import { dirname } from 'node:path';
import { diskFiles, type SinkFile, type SinkFiles, stateOrNull } from '../../src/after/sinks/sink-files.ts';

type Call = keyof SinkFiles | keyof SinkFile;

/** A fault of one kind of call: an error code of the system, `hangs`, or a partial write. */
export type Fault = { readonly code: string } | 'hangs' | { readonly writtenBytes: number; readonly code: string };

/** A moment to kill the process: before, within or after a call that changes the disk, counted from 1. Only a write has a middle. */
export interface Stop {
  readonly at: number;
  readonly when: 'before' | 'within' | 'after';
}

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
  /** New files whose folder was not synchronised. */
  #created = new Set<string>();
  readonly #handles = new Set<SinkFile>();
  #isOff = false;
  readonly #hanging: (() => void)[] = [];
  syncs = 0;
  /** Calls so far that change the disk. */
  readonly changes: Call[] = [];
  /** Calls that have not returned. */
  pending = 0;
  readonly #stop: Stop | null;

  constructor(stop: Stop | null = null) {
    this.#stop = stop;
  }

  /** The process is dead: no call has an effect, and none returns. */
  get isOff(): boolean {
    return this.#isOff;
  }

  /** Files that were opened and not closed. */
  get openFiles(): number {
    return this.#handles.size;
  }

  async open(path: string, flags: string | number): Promise<SinkFile> {
    await this.#pass('open');
    const file = await this.#change('open', async () => {
      const before = await stateOrNull(diskFiles, path);
      // What was there before survives.
      if (!this.#synced.has(path)) this.#synced.set(path, before?.size ?? 0);
      const opened = await diskFiles.open(path, flags);
      this.#handles.add(opened);
      if (before === null) this.#created.add(path);
      return opened;
    });
    return this.#faulty(path, file);
  }

  async stat(path: string) {
    await this.#pass('stat');
    return this.#counted(diskFiles.stat(path));
  }

  async list(folder: string): Promise<string[]> {
    await this.#pass('list');
    return this.#counted(diskFiles.list(folder));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#pass('rename');
    await this.#change('rename', async () => {
      // What nobody opened was there before.
      const bytes = this.#synced.get(from) ?? (await diskFiles.stat(from)).size;
      await diskFiles.rename(from, to);
      this.#synced.set(to, bytes);
      this.#synced.delete(from);
      this.#renames.push({ from, to });
    });
  }

  async remove(path: string): Promise<void> {
    await this.#pass('remove');
    await this.#change('remove', async () => {
      await diskFiles.remove(path);
      this.#synced.delete(path);
    });
  }

  async makeFolder(path: string): Promise<void> {
    await this.#pass('makeFolder');
    await this.#change('makeFolder', () => diskFiles.makeFolder(path));
  }

  async syncFolder(path: string): Promise<void> {
    await this.#pass('syncFolder');
    await this.#change('syncFolder', async () => {
      this.#renames = this.#renames.filter(({ to }) => dirname(to) !== path);
      this.#created = new Set([...this.#created].filter((name) => dirname(name) !== path));
      await diskFiles.syncFolder(path);
    });
  }

  /** Lets calls that hang go on. */
  respond(): void {
    this.faults.clear();
    for (const resume of this.#hanging.splice(0)) resume();
  }

  /** From now on no call has an effect, and files hold only what would survive. */
  async cutPower(): Promise<void> {
    this.#isOff = true;
    await this.closeAll();
    for (const { from, to } of this.#renames.reverse()) {
      if ((await stateOrNull(diskFiles, to)) === null || (await stateOrNull(diskFiles, from)) !== null) continue;
      await diskFiles.rename(to, from);
      this.#synced.set(from, this.#synced.get(to) ?? 0);
      this.#synced.delete(to);
    }
    for (const path of this.#created) await diskFiles.remove(path);
    for (const [path, bytes] of this.#synced) {
      const found = await stateOrNull(diskFiles, path);
      if (found === null || found.size <= bytes) continue;
      const file = await diskFiles.open(path, 'r+');
      await file.truncate(bytes);
      await file.close();
    }
  }

  /** Closes what a killed process has left open. */
  async closeAll(): Promise<void> {
    for (const file of this.#handles) await file.close();
    this.#handles.clear();
  }

  /** Makes a change, unless the process dies at it. @param half - makes a part of it. */
  async #change<T>(call: Call, act: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> {
    this.changes.push(call);
    if (this.#stop?.at !== this.changes.length) return this.#counted(act());
    try {
      if (this.#stop.when === 'within') await this.#counted(half?.() ?? Promise.resolve());
      if (this.#stop.when === 'after') await this.#counted(act());
    } finally {
      this.#isOff = true;
    }
    return new Promise(() => undefined);
  }

  #counted<T>(call: Promise<T>): Promise<T> {
    this.pending += 1;
    return call.finally(() => {
      this.pending -= 1;
    });
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
        return this.#counted(file.stat());
      },
      read: async (...args) => {
        await this.#pass('read');
        return this.#counted(file.read(...args));
      },
      write: async (bytes, offset, length, position) => {
        const fault = this.faults.get('write');
        if (fault !== undefined && fault !== 'hangs' && 'writtenBytes' in fault) {
          const part = Math.min(length, fault.writtenBytes);
          this.faults.set('write', { code: fault.code });
          if (part > 0) return file.write(bytes, offset, part, position);
        }
        await this.#pass('write');
        const write = (count: number) => file.write(bytes, offset, count, position);
        return this.#change(
          'write',
          () => write(length),
          () => write(Math.floor(length / 2)),
        );
      },
      truncate: async (bytes) => {
        await this.#pass('truncate');
        await this.#change('truncate', async () => {
          await file.truncate(bytes);
          this.#synced.set(path, Math.min(bytes, this.#synced.get(path) ?? 0));
        });
      },
      datasync: async () => {
        await this.#pass('datasync');
        await this.#change('datasync', async () => {
          const { size } = await file.stat();
          await file.datasync();
          this.#synced.set(path, size);
          this.syncs += 1;
        });
      },
      close: async () => {
        if (this.#isOff) return;
        this.#handles.delete(file);
        await this.#counted(file.close());
      },
    };
  }
}
