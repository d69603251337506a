import type { FromCompile, ToCompile } from '../src/compile/compile-messages.ts';
import { writeArtefact } from '../src/compile/write-artefact.ts';
import { SightlineError } from '../src/errors/sightline-error.ts';

/** Compiles one network and exits, which frees all its memory. Also exits when its parent disconnects. */
process.once('disconnect', () => process.exit(1));

function answer(message: FromCompile): void {
  process.send!(message, () => process.exit(0));
}

process.once('message', ({ job }: ToCompile) => {
  writeArtefact(job).then(
    () => answer({ type: 'done' }),
    (error: unknown) => answer({ type: 'failed', error: SightlineError.from(error, 'INTERNAL_ERROR').toWire() }),
  );
});
