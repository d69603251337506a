import type { io } from '@tensorflow/tfjs-core';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { CompiledModel, OutputTensor } from '../../../base/core/model.ts';
import { readModel } from '../../../base/disk/given-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { onnxRuntime } from '../../../base/process/fetched-packages.ts';
import type { CompileSource } from '../compile-source.ts';
import { floatToHalf, halfToFloat } from '../half.ts';
import type { NetworkInput } from '../network-input.ts';
import { halfTensor } from '../onnx/half-tensor.ts';
import { unsupported } from '../refusals.ts';
import { compareOutputs, type VerifyRow } from './compare-outputs.ts';

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

/**
 * Runs a TensorFlow.js graph model as published, on the WebAssembly backend, one picture at a time.
 *
 * @param frames - u8 [height, width, 3] RGB at the size of the input.
 * @returns for each picture the outputs, under the names that the decode function uses.
 * Throws ENGINE_UNAVAILABLE if the backend cannot be loaded.
 */
async function runTfjs(source: CompileSource, frames: readonly Uint8Array[]): Promise<Map<string, OutputTensor>[]> {
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

/**
 * Runs an ONNX file as published, one picture at a time, with the preprocessing that compiled files do in their front.
 *
 * @param frames - u8 [height, width, 3] RGB at the size of the input.
 * @returns for each picture the outputs, under the names that the decode function uses.
 */
export async function runOnnxSource(
  source: CompileSource,
  frames: readonly Uint8Array[],
): Promise<Map<string, OutputTensor>[]> {
  const { input } = source;
  const session = await openSession(source.weightPaths[0]!);
  const images: Map<string, OutputTensor>[] = [];
  try {
    for (const frame of frames) {
      const feeds: Record<string, Tensor> = {
        [input.tensor]: toPicture(frame, source, typeOf(session, input.tensor)),
      };
      if (input.sizeTensor !== null) {
        const size = BigInt64Array.from([input.width, input.height], BigInt);
        feeds[input.sizeTensor] = new (onnxRuntime().Tensor)('int64', size, [1, 2]);
      }
      const results = await session.run(feeds);
      images.push(new Map(Object.entries(source.outputs).map(([name, file]) => [name, toOutput(results[file]!)])));
    }
  } finally {
    await session.release();
  }
  return images;
}

/** Converts interleaved u8 to the type, layout, colour order, range, mean and deviation that the network takes. */
function toPicture(frame: Uint8Array, source: CompileSource, type: string): Tensor {
  const { width, height, layout } = source.input;
  const values = normalise(frame, source.input);
  const cells = width * height;
  const picture =
    layout === 'nhwc' ? values : values.map((_, at) => values[(at % cells) * 3 + Math.floor(at / cells)]!);
  const dims = layout === 'nhwc' ? [1, height, width, 3] : [1, 3, height, width];
  const ort = onnxRuntime();
  if (type === 'uint8') return new ort.Tensor('uint8', Uint8Array.from(picture, Math.round), dims);
  if (type === 'float16') return halfTensor(Uint16Array.from(picture, floatToHalf), dims);
  return new ort.Tensor('float32', picture, dims);
}

function typeOf(session: InferenceSession, input: string): string {
  const value = session.inputMetadata.find(({ name }) => name === input);
  return value?.isTensor === true ? value.type : 'float32';
}

function openSession(path: string): Promise<InferenceSession> {
  return onnxRuntime().InferenceSession.create(path, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
}

function toOutput(tensor: Tensor): OutputTensor {
  const { data, dims } = tensor;
  if (tensor.type !== 'float16') return { data: data as OutputTensor['data'], dims };
  // Without Float16Array (Node 20) the library returns the bits of the halves, otherwise numbers.
  const isBits = data instanceof Uint16Array;
  return { data: Float32Array.from(data as ArrayLike<number>, (half) => (isBits ? halfToFloat(half) : half)), dims };
}

/**
 * Converts a picture to the values that a published network takes, without changing the layout.
 *
 * @param frame - u8 [height, width, 3] RGB.
 * @returns f32 [height, width, 3] in the network's colour order.
 */
function normalise(
  frame: Uint8Array,
  { colours, range: [black, white], mean = [0, 0, 0], deviation = [1, 1, 1] }: NetworkInput,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(frame, (_, at) => {
    const channel = (at % 3) as 0 | 1 | 2;
    const level = frame[colours === 'rgb' ? at : at - channel + 2 - channel]!;
    return (black + (level / 255) * (white - black) - mean[channel]) / deviation[channel];
  });
}
