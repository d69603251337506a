import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A disk that is soon full. */
export interface SmallDisk {
  readonly path: string;
  /** Makes it larger, with what is on it. */
  grow(kib: number): void;
  remove(): void;
}

let canMount: boolean | null = null;

/**
 * Prepares a disk of so many KiB at a new folder; null where the machine does not let us. It is mounted when its path is first asked for: a run
 * that only lists tests loads their files and would leave it.
 */
export function mountSmallDisk(path: string, kib: number): SmallDisk | null {
  canMount ??= tryMount();
  if (!canMount) return null;
  let isMounted = false;
  const mounted = (): string => {
    if (!isMounted) mount(path, kib);
    isMounted = true;
    return path;
  };
  return {
    get path() {
      return mounted();
    },
    grow: (size) => execFileSync('mount', ['-o', `remount,size=${size}k`, mounted()], { stdio: 'ignore' }),
    remove: () => {
      if (isMounted) execFileSync('umount', [path]);
      isMounted = false;
    },
  };
}

function mount(path: string, kib: number): void {
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'none', path], { stdio: 'ignore' });
}

function tryMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), 'sightline-mount-'));
  try {
    mount(path, 8);
    execFileSync('umount', [path]);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(path);
  }
}
