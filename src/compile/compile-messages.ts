import type { WireError } from '../errors/sightline-error.ts';
import type { CompileJob } from './write-artefact.ts';

/** Message to a compiling process: its only job. */
export type ToCompile = { readonly type: 'compile'; readonly job: CompileJob };

/** Answer of the process, after which it exits. */
export type FromCompile = { readonly type: 'done' } | { readonly type: 'failed'; readonly error: WireError };
