import type { ModelSpec } from '../core/model.ts';
import type { NetworkInput } from './network-input.ts';

/** A published network and what is known of it. Plain data; the weights are files on this machine. */
export interface CompileSource {
  /** At the size that the network was published at. */
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
