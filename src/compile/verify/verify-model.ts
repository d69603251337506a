import type { CompiledModel } from '../../core/model.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { CompileSource } from '../compile-source.ts';
import { compareOutputs, type VerifyRow } from './compare-outputs.ts';
import { runCompiledOnnx, runOnnxSource } from './run-onnx.ts';
import { runTfjs } from './run-tfjs.ts';

/**
 * Runs a compiled ONNX file and the network that it was made from on the same pictures, and says how far they are apart:
 * the source as it was published (TensorFlow.js on WebAssembly, or the original ONNX file), the compiled file in batches.
 *
 * @param frames - u8 [height, width, 3] RGB pictures, fitted to the model's input.
 * Throws COMPILE_UNSUPPORTED where the model was compiled at another size than the source can run.
 */
export async function verifyModel(
  source: CompileSource,
  compiled: CompiledModel,
  frames: readonly Uint8Array[],
): Promise<VerifyRow[]> {
  const { width, height } = compiled.spec.input;
  if (width !== source.input.width || height !== source.input.height || compiled.format !== 'onnx') {
    throw new SightlineError(
      'COMPILE_UNSUPPORTED',
      `${source.spec.name}: only an ONNX file at ${source.input.width}x${source.input.height} can be compared with its source, ` +
        `received ${compiled.format} at ${width}x${height}`,
    );
  }
  const wrong = frames.find((frame) => frame.length !== width * height * 3);
  if (wrong !== undefined)
    throw new RangeError(`expected pictures of ${width * height * 3} bytes, received ${wrong.length}`);
  const expected = source.format === 'tfjs' ? await runTfjs(source, frames) : await runOnnxSource(source, frames);
  return compareOutputs(source.spec.family, expected, await runCompiledOnnx(compiled, frames));
}
