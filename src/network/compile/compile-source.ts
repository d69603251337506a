import type { ModelSpec } from '../../base/core/model.ts';
import type { NetworkInput } from './network-input.ts';

/** A published network and its description. Plain data; the weights are local files. */
export interface CompileSource {
  /** With the published input size. */
  readonly spec: ModelSpec;
  readonly format: 'tfjs' | 'onnx';
  readonly input: NetworkInput;
  /** Name that the decode function uses -> name of the output in the published file. */
  readonly outputs: Readonly<Record<string, string>>;
  /** Batch sizes that the published file takes. */
  readonly batch: 'free' | number;
  /** The model file first, then the files it needs. */
  readonly weightPaths: readonly string[];
}
