import { compileModel } from '../compile/compile-model.ts';
import type { CompileSource } from '../compile/compile-source.ts';
import type { CompiledModel, Precision } from '../core/model.ts';
import { findWeights } from '../store/find-weights.ts';
import { loadManifest, type Manifest, modelSpec } from '../store/manifests.ts';
import { compileInChild } from './compile-in-child.ts';

export interface PrepareOptions {
  readonly engine: 'onnx' | 'wasm' | 'tensorflow';
  readonly precision: Precision;
  /** Another input size than the published one, in pixels. */
  readonly inputSize?: { readonly width: number; readonly height: number } | undefined;
  /** Execution provider of the `onnx` engine; `cpu` where absent. */
  readonly provider?: string | undefined;
  readonly searchPath: readonly string[];
  readonly cacheDir: string;
  readonly onNotice: (text: string) => void;
  /** False only looks for weights and never fetches. */
  readonly mayFetch?: boolean;
}

/**
 * Makes a model ready for an engine: manifest, weights, compiled file. Cheap when everything is cached.
 *
 * @param nameOrPath - a built-in name or the path of a manifest.
 * Throws MODEL_NOT_FOUND, MODEL_INVALID, MODEL_WEIGHTS_MISSING, MODEL_INTEGRITY, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE.
 */
export async function prepareModel(nameOrPath: string, options: PrepareOptions): Promise<CompiledModel> {
  const manifest = await loadManifest(nameOrPath);
  const weightPaths = await findWeights(manifest, options);
  return compileModel(compileSource(manifest, weightPaths), { ...options, write: compileInChild });
}

/** Says to the compiler what a manifest says. */
export function compileSource(manifest: Manifest, weightPaths: readonly string[]): CompileSource {
  const { format, input, outputs, batch } = manifest;
  return { spec: modelSpec(manifest), format, input, outputs, batch, weightPaths };
}
