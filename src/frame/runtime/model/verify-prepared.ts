import type { CompiledModel } from '../../../base/core/model.ts';
import { findWeights } from '../../../network/store/find-weights.ts';
import { provideOnnxRuntime } from '../../../network/store/packages/provide-package.ts';
import { preprocessImage } from '../../preprocess/sharp-preprocessor.ts';
import type { FileSettings } from './detector-request.ts';
import { loadDetector } from './load-detector.ts';
import { compileSource } from './prepare-model.ts';
import { type RunHow, runCompiled } from './run-compiled.ts';

type Rows = Awaited<ReturnType<typeof import('../../../network/compile/verify/verify-model.ts')['verifyModel']>>;

/**
 * Compares a compiled model with its original network, on image files fitted into its input.
 *
 * @returns the largest difference per output. The engines' libraries are loaded only when it is called.
 */
export async function verifyCompiled(
  nameOrPath: string,
  compiled: CompiledModel,
  imagePaths: readonly string[],
  weights: Parameters<typeof findWeights>[1],
  how: RunHow,
  settings?: FileSettings,
): Promise<Rows> {
  const { width, height } = compiled.spec.input;
  await provideOnnxRuntime(weights);
  const manifest = await loadDetector(nameOrPath, { ...weights, settings, inputSize: { width, height } });
  const weightPaths = await findWeights(manifest, weights);
  const frames: Uint8Array[] = [];
  for (const path of imagePaths) {
    const frame = new Uint8Array(width * height * 3);
    await preprocessImage(path, compiled.spec, frame);
    frames.push(frame);
  }
  const { verifyModel } = await import('../../../network/compile/verify/verify-model.ts');
  return verifyModel(compileSource(manifest, weightPaths), compiled, frames, (model, pictures) =>
    runCompiled(model, pictures, how),
  );
}
