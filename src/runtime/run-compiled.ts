import type { CompiledModel, OutputTensor } from '../core/model.ts';
import { loadEngine } from '../infer/load-engine.ts';

/** Pictures in one call of a model with a free batch, so that batching is checked as well. */
const BATCH = 3;

const ENGINES = { onnx: 'onnx', 'saved-model': 'tensorflow', tfjs: 'wasm' } as const;

/**
 * Runs a compiled model on its engine, in batches where it takes them.
 *
 * @param frames - u8 [height, width, 3] RGB at the size of the model's input.
 * @returns for each picture the outputs, owned by the caller.
 * @throws ENGINE_UNAVAILABLE, ENGINE_FAILED
 */
export async function runCompiled(
  model: CompiledModel,
  frames: readonly Uint8Array[],
  provider = 'cpu',
): Promise<Map<string, OutputTensor>[]> {
  const step = model.batch === 'free' ? BATCH : model.batch;
  const engine = await loadEngine({
    engine: ENGINES[model.format],
    provider,
    model,
    maxBatch: step,
    batchSizes: [step],
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: [] },
  });
  try {
    const images: Map<string, OutputTensor>[] = [];
    for (let first = 0; first < frames.length; first += step) {
      const batch = frames.slice(first, first + step);
      engine.inputBuffer(step).set(Buffer.concat(batch));
      const outputs = await engine.infer(step);
      for (let index = 0; index < batch.length; index += 1) {
        images.push(new Map(Array.from(outputs, ([name, output]) => [name, imageOf(output, index)])));
      }
    }
    return images;
  } finally {
    await engine.close();
  }
}

function imageOf({ data, dims }: OutputTensor, index: number): OutputTensor {
  const size = data.length / dims[0]!;
  return { data: data.slice(index * size, (index + 1) * size), dims: [1, ...dims.slice(1)] };
}
