import type { BuildTarget } from './build-graph.ts';
import type { CompileSource } from './compile-source.ts';

/** A job to compile a network to a file or folder. Plain data, so that it can be sent to another process. */
export interface CompileJob {
  readonly source: CompileSource;
  readonly target: BuildTarget;
  readonly path: string;
}

/** The file in the folder of a SavedModel. */
export const SAVED_MODEL_FILE = 'saved_model.pb';
