import type { OutputTensor } from '../../../base/core/model.ts';

/** What the child must load; without a model only the library, to query its facts. */
export interface LoadRequest {
  readonly model: {
    /** Folder of a SavedModel. */
    readonly path: string;
    readonly width: number;
    readonly height: number;
    readonly maxBatch: number;
  } | null;
}

/** What the library reports about itself. */
export interface LibraryFacts {
  readonly version: string;
  readonly isGpu: boolean;
}

/** Element types of outputs that the binding can read. */
export const OUTPUT_TYPES = {
  f32: Float32Array,
  i32: Int32Array,
  i64: BigInt64Array,
  u8: Uint8Array,
} as const;

export interface OutputHeader {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: keyof typeof OUTPUT_TYPES;
}

/** Sent before the data of the outputs. */
export interface ResultHeader {
  readonly outputs: readonly OutputHeader[];
  /** Tensors that the library and tfjs hold between two calls; must not grow. */
  readonly numTensors: number;
  /** Resident memory of the child. */
  readonly rssBytes: number;
}

/** Messages from the TensorFlow thread to its process. Buffers are transferred, not copied. */
export type FromSession =
  | { readonly type: 'ready'; readonly facts: LibraryFacts }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'result'; readonly outputs: readonly NamedOutput[]; readonly numTensors: number }
  | { readonly type: 'batch-failed'; readonly message: string };

export interface NamedOutput extends OutputTensor {
  readonly name: string;
}

/** A batch in one of the two halves of the shared memory. */
export interface ToSession {
  readonly place: 0 | 1;
  readonly batchSize: number;
}

/** Start data of the thread. */
export interface SessionStart {
  readonly request: LoadRequest;
  /** Two halves, each for the largest batch; empty without a model. */
  readonly pixels: SharedArrayBuffer;
}
