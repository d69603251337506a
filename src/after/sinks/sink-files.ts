import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { syncFolder } from '../../base/disk/replace-file.ts';

/** What sinks read of a file's state. */
export interface FileState {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ino: number;
  readonly dev: number;
  isFile(): boolean;
  isDirectory(): boolean;
}

/** An open file, as `FileHandle` of Node.js. */
export interface SinkFile {
  stat(): Promise<FileState>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  /** Writes at `position`, or at the end if it is null. */
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<{ readonly bytesWritten: number }>;
  truncate(bytes: number): Promise<void>;
  /** Returns once everything written survives a power failure. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** The calls to the file system that sinks make for lines and spools. Tests put faults between it and the disk. */
export interface SinkFiles {
  open(path: string, flags: string | number): Promise<SinkFile>;
  /** Rejects with ENOENT if the file is missing. */
  stat(path: string): Promise<FileState>;
  list(folder: string): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  /** A missing file is not an error. */
  remove(path: string): Promise<void>;
  /** With those above it. An existing one is not an error. */
  makeFolder(path: string): Promise<void>;
  /** Makes new, renamed and removed entries of a folder survive a power failure. */
  syncFolder(path: string): Promise<void>;
}

export const diskFiles: SinkFiles = {
  open: (path, flags) => open(path, flags),
  stat: (path) => stat(path),
  list: (folder) => readdir(folder),
  rename,
  remove: (path) => rm(path, { force: true }),
  makeFolder: async (path) => void (await mkdir(path, { recursive: true })),
  syncFolder,
};

/** Returns null if the file is missing. @throws the system's other errors. */
export async function stateOrNull(files: SinkFiles, path: string): Promise<FileState | null> {
  return files.stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}
