import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** A disk that is soon full. */
export interface SmallDisk {
  readonly path: string;
  /** Makes it larger, with what is on it. */
  grow(kib: number): void;
  remove(): void;
}

/** Mounts a disk of so many KiB at a new folder; null where the machine does not let us. */
export function mountSmallDisk(path: string, kib: number): SmallDisk | null {
  mkdirSync(path, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'none', path], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return {
    path,
    grow: (size) => execFileSync('mount', ['-o', `remount,size=${size}k`, path], { stdio: 'ignore' }),
    remove: () => execFileSync('umount', [path]),
  };
}
