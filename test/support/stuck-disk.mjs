/** Makes opening files whose name contains `stuck` block a thread for good, as a disk that hangs does. Load with --import. */
import { execFileSync } from 'node:child_process';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const { open } = fsPromises;
fsPromises.open = (path, ...rest) => {
  if (!String(path).endsWith('stuck.jsonl')) return open(path, ...rest);
  const pipe = `${path}.pipe`;
  execFileSync('mkfifo', [pipe]);
  // Without O_NONBLOCK and without a reader this never ends.
  return open(pipe, 'w');
};
syncBuiltinESMExports();
