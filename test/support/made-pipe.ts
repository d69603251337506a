import { spawnSync } from 'node:child_process';

/** Makes a FIFO, which blocks a process that opens it for reading in the usual way. */
export function makePipe(path: string): string {
  const { status, stderr } = spawnSync('mkfifo', [path], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mkfifo ${path}: ${stderr}`);
  return path;
}
