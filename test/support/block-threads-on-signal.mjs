/**
 * Loaded before the command line (`node --import`): on SIGUSR2 the process opens the FIFO that BLOCK_PIPE names, BLOCK_COUNT times.
 * Nobody writes to it, so each holds one of the four threads that wait for the file system, like a disk that hangs.
 */
import { open } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

if (isMainThread)
  process.on('SIGUSR2', () => {
    for (let i = 0; i < Number(process.env.BLOCK_COUNT); i += 1) open(process.env.BLOCK_PIPE, 'r', () => undefined);
  });
