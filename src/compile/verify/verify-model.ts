import type { CompiledModel, OutputTensor } from '../../core/model.ts';
import type { CompileSource } from '../compile-source.ts';
import { unsupported } from '../refusals.ts';
import { compareOutputs, type VerifyRow } from './compare-outputs.ts';
import { runOnnxSource } from './run-onnx.ts';
import { runTfjs } from './run-tfjs.ts';

/** Runs a compiled model and returns the outputs for each picture. The caller provides it, because the compiler loads no engine. */
export type RunCompiled = (
  model: CompiledModel,
  frames: readonly Uint8Array[],
) => Promise<readonly ReadonlyMap<string, OutputTensor>[]>;

/**
 * Runs a compiled model and its source on the same pictures, and returns the differences. The source runs as published (TensorFlow.js
 * on WebAssembly, or the original ONNX file), one picture at a time.
 *
 * @param frames - u8 [height, width, 3] RGB pictures, resized to the model's input.
 * Throws COMPILE_UNSUPPORTED if the model is not compiled, or has an input size that the source cannot run.
 */
export async function verifyModel(
  source: CompileSource,
  compiled: CompiledModel,
  frames: readonly Uint8Array[],
  runCompiled: RunCompiled,
): Promise<VerifyRow[]> {
  const { width, height } = compiled.spec.input;
  if (width !== source.input.width || height !== source.input.height || compiled.format === 'tfjs') {
    throw unsupported(
      `${source.spec.name}: only a compiled model at ${source.input.width}x${source.input.height} can be compared with its ` +
        `source, received ${compiled.format} at ${width}x${height}`,
    );
  }
  const wrong = frames.find((frame) => frame.length !== width * height * 3);
  if (wrong !== undefined)
    throw new RangeError(`expected pictures of ${width * height * 3} bytes, received ${wrong.length}`);
  const received = await runCompiled(compiled, frames);
  const expected = source.format === 'tfjs' ? await runTfjs(source, frames) : await runOnnxSource(source, frames);
  return compareOutputs(source.spec.family, expected, received);
}
