import type { io } from '@tensorflow/tfjs-core';
import type { OutputTensor } from '../../core/model.ts';
import { readModel } from '../../disk/given-file.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { CompileSource } from '../compile-source.ts';
import { normalise } from './normalise.ts';

/**
 * Runs a TensorFlow.js graph model as published, on the WebAssembly backend, one picture at a time.
 *
 * @param frames - u8 [height, width, 3] RGB at the size of the input.
 * @returns for each picture the outputs, under the names that the decode function uses.
 * Throws ENGINE_UNAVAILABLE if the backend cannot be loaded.
 */
export async function runTfjs(
  source: CompileSource,
  frames: readonly Uint8Array[],
): Promise<Map<string, OutputTensor>[]> {
  const tf = await import('@tensorflow/tfjs-core');
  const { loadGraphModel } = await import('@tensorflow/tfjs-converter');
  await import('@tensorflow/tfjs-backend-wasm');
  if (!(await tf.setBackend('wasm'))) {
    throw new SightlineError(
      'ENGINE_UNAVAILABLE',
      'the WebAssembly backend of TensorFlow.js cannot be loaded; install Sightline again',
    );
  }
  const model = await loadGraphModel({ load: () => readArtifacts(source) });
  const { width, height } = source.input;
  const published = Object.entries(source.outputs);
  try {
    return frames.map((frame) => {
      const input = tf.tensor4d(normalise(frame, source.input), [1, height, width, 3]);
      const results = model.execute(
        input,
        published.map(([, name]) => name),
      );
      const tensors = Array.isArray(results) ? results : [results];
      const outputs = new Map<string, OutputTensor>(
        published.map(([name], index) => [
          name,
          { data: tensors[index]!.dataSync() as Float32Array, dims: tensors[index]!.shape },
        ]),
      );
      tf.dispose([input, ...tensors]);
      return outputs;
    });
  } finally {
    model.dispose();
  }
}

async function readArtifacts(source: CompileSource): Promise<io.ModelArtifacts> {
  const [modelPath, ...dataPaths] = source.weightPaths as [string, ...string[]];
  const model = JSON.parse((await readModel(modelPath)).toString('utf8')) as io.ModelJSON;
  const binary = Buffer.concat(await Promise.all(dataPaths.map((path) => readModel(path))));
  return {
    modelTopology: model.modelTopology,
    weightSpecs: model.weightsManifest.flatMap((group) => group.weights),
    weightData: Uint8Array.from(binary).buffer,
  };
}
