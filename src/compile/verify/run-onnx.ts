import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { OutputTensor } from '../../core/model.ts';
import type { CompileSource } from '../compile-source.ts';
import { floatToHalf, halfToFloat } from '../half.ts';
import { orderColours } from './run-tfjs.ts';

/**
 * Runs an ONNX file as it was published, one picture at a time; what the front does inside compiled files is done here by
 * hand.
 *
 * @param frames - u8 [height, width, 3] RGB at the size of the input.
 * @returns for each picture the outputs by the names that the decode function uses.
 */
export async function runOnnxSource(
  source: CompileSource,
  frames: readonly Uint8Array[],
): Promise<Map<string, OutputTensor>[]> {
  const { input } = source;
  const session = await openSession(source.weightPaths[0]!);
  const images: Map<string, OutputTensor>[] = [];
  for (const frame of frames) {
    const feeds: Record<string, Tensor> = {
      [input.tensor]: toPicture(frame, source, typeOf(session, input.tensor)),
    };
    if (input.sizeTensor !== null) {
      const size = BigInt64Array.from([input.width, input.height], BigInt);
      feeds[input.sizeTensor] = new Tensor('int64', size, [1, 2]);
    }
    const results = await session.run(feeds);
    images.push(new Map(Object.entries(source.outputs).map(([name, file]) => [name, toOutput(results[file]!)])));
  }
  await session.release();
  return images;
}

/** Interleaved u8 to the layout, colour order and range that the network wants. */
function toPicture(frame: Uint8Array, source: CompileSource, type: string): Tensor {
  const { width, height, range, colours, layout } = source.input;
  const ordered = orderColours(frame, colours);
  const picture = new Float32Array(ordered.length);
  const scale = (range[1] - range[0]) / 255;
  for (let at = 0; at < ordered.length; at += 1) {
    const target = layout === 'nhwc' ? at : (at % 3) * width * height + Math.floor(at / 3);
    picture[target] = ordered[at]! * scale + range[0];
  }
  const dims = layout === 'nhwc' ? [1, height, width, 3] : [1, 3, height, width];
  if (type === 'uint8') return new Tensor('uint8', Uint8Array.from(picture), dims);
  if (type === 'float16') return new Tensor('float16', Uint16Array.from(picture, floatToHalf), dims);
  return new Tensor('float32', picture, dims);
}

function typeOf(session: InferenceSession, input: string): string {
  const value = session.inputMetadata.find(({ name }) => name === input);
  return value?.isTensor === true ? value.type : 'float32';
}

function openSession(path: string): Promise<InferenceSession> {
  return InferenceSession.create(path, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 });
}

function toOutput(tensor: Tensor): OutputTensor {
  const { data, dims } = tensor;
  if (tensor.type !== 'float16') return { data: data as OutputTensor['data'], dims };
  // Node 20 has no array of halves: the library gives their bits, or where there is one, numbers.
  const isBits = data instanceof Uint16Array;
  return { data: Float32Array.from(data as ArrayLike<number>, (half) => (isBits ? halfToFloat(half) : half)), dims };
}
