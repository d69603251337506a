/**
 * Loaded before the command line (`node --import`): on SIGUSR2 the process meets an exception that nothing catches, or a
 * rejected promise that nobody looks at, as THROW_ON_SIGNAL says.
 */
import { isMainThread } from 'node:worker_threads';

if (isMainThread)
  process.on('SIGUSR2', () => {
    const error = new Error('injected by the test');
    if (process.env.THROW_ON_SIGNAL === 'rejection') Promise.reject(error);
    else throw error;
  });
