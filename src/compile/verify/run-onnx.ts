import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { OutputTensor } from '../../core/model.ts';
import type { CompileSource } from '../compile-source.ts';
import { normalise } from './normalise.ts';

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
      [input.tensor]: toPicture(frame, source),
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

/** Interleaved u8 to the layout, colour order, range, mean and deviation that the network wants. */
function toPicture(frame: Uint8Array, source: CompileSource): Tensor {
  const { width, height, layout } = source.input;
  const values = normalise(frame, source.input);
  if (layout === 'nhwc') return new Tensor('float32', values, [1, height, width, 3]);
  const planes = values.map((_, at) => values[(at % (width * height)) * 3 + Math.floor(at / (width * height))]!);
  return new Tensor('float32', planes, [1, 3, height, width]);
}

function openSession(path: string): Promise<InferenceSession> {
  return InferenceSession.create(path, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 });
}

function toOutput(tensor: Tensor): OutputTensor {
  return { data: tensor.data as OutputTensor['data'], dims: tensor.dims };
}
