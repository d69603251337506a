import { isBuiltin } from 'node:module';
import { SightlineError } from './sightline-error.ts';

// The command line has gone on with another Node.js by now; a program has the one that it was started with.
if (!isBuiltin('node:sqlite')) {
  throw new SightlineError(
    'NODE_UNSUITABLE',
    `Sightline needs Node 22.13 or later, with node:sqlite; this program runs on Node ${process.versions.node}`,
    { node: process.versions.node },
  );
}
