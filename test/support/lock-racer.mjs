/**
 * Takes the lock of the file in its argument, with the code in `dist/`, prints `taken` or the error code, and holds it until
 * its standard input ends.
 */

import { OutputLock } from '../../dist/src/after/sinks/output-lock.js';

try {
  await OutputLock.take(process.argv[2], 'racer');
  console.log('taken');
} catch (error) {
  console.log(error.code);
}
process.stdin.resume();
