import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { OutputTensor } from '../../core/model.ts';
import { onnxRuntime } from '../../process/fetched-packages.ts';
import type { CompileSource } from '../compile-source.ts';
import { floatToHalf, halfToFloat } from '../half.ts';
import { halfTensor } from '../onnx/half-tensor.ts';
import { normalise } from './normalise.ts';

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
