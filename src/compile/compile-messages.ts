import type { WireError } from '../errors/sightline-error.ts';
import type { CompileJob } from './write-artefact.ts';

/** To a process that compiles: the one job that it is there for. */
export type ToCompile = { readonly type: 'compile'; readonly job: CompileJob };

/** Its answer, after which it ends. */
export type FromCompile = { readonly type: 'done' } | { readonly type: 'failed'; readonly error: WireError };
