import type { OutputTensor } from '../../core/model.ts';

/** What the child is to load; without a model only the library, to learn what it can do. */
export interface LoadRequest {
  readonly model: {
    /** Folder of a SavedModel. */
    readonly path: string;
    readonly width: number;
    readonly height: number;
    readonly maxBatch: number;
  } | null;
}

/** What the library says of itself. */
export interface LibraryFacts {
  readonly version: string;
  readonly isGpu: boolean;
}

/** Element types that the binding can read out of the library. */
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

/** Comes before the data of the outputs. */
export interface ResultHeader {
  readonly outputs: readonly OutputHeader[];
  /** Tensors that the library and tfjs hold between two calls: must not grow. */
  readonly numTensors: number;
  /** Resident memory of the child. */
  readonly rssBytes: number;
}

/** From the thread that holds TensorFlow to its process. Data is moved, not copied. */
export type FromSession =
  | { readonly type: 'ready'; readonly facts: LibraryFacts }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'result'; readonly outputs: readonly NamedOutput[]; readonly numTensors: number }
  | { readonly type: 'batch-failed'; readonly message: string };

export interface NamedOutput extends OutputTensor {
  readonly name: string;
}

/** A batch that lies in one of the two places of the shared memory. */
export interface ToSession {
  readonly place: 0 | 1;
  readonly batchSize: number;
}

/** What the thread is started with. */
export interface SessionStart {
  readonly request: LoadRequest;
  /** Two places, each for the largest batch; empty without a model. */
  readonly pixels: SharedArrayBuffer;
}
