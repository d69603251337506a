import type { CompiledModel, OutputTensor } from '../../../base/core/model.ts';
import { ungate } from '../../../network/compile/verify/ungate.ts';
import { enginesThat } from '../../../settings/config/engines.ts';
import type { EngineRequest } from '../../../wire/protocol/threads.ts';
import { loadEngine } from '../../infer/engine-kinds.ts';

/**
 * Batch sizes for a model with a free batch: the largest while enough pictures are left, so that batching is checked as
 * well.
 */
const FREE_BATCHES = [1, 3] as const;

export type RunHow = Partial<Pick<EngineRequest, 'engine' | 'provider' | 'precision' | 'openvinoLibrary'>>;

/**
 * Runs a compiled model on its engine, in batches if the model accepts them.
 *
 * @param frames - u8 [height, width, 3] RGB at the size of the model's input.
 * @param how - overrides of the engine and its settings.
 * @returns the outputs of each picture, owned by the caller.
 * @throws ENGINE_UNAVAILABLE, ENGINE_FAILED
 */
export async function runCompiled(
  model: CompiledModel,
  frames: readonly Uint8Array[],
  how: RunHow = {},
): Promise<Map<string, OutputTensor>[]> {
  const sizes = model.batch === 'free' ? FREE_BATCHES : [model.batch];
  const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
  const engine = await loadEngine({
    engine: enginesThat(({ network }) => network?.format === model.format)[0]!,
    provider: 'cpu',
    ...how,
    model,
    maxBatch: largest,
    batchSizes: sizes,
    intraThreads: 1,
    fake: { callMs: 0, frameMs: 0, rows: [] },
  });
  try {
    const images: Map<string, OutputTensor>[] = [];
    while (images.length < frames.length) {
      const size = frames.length - images.length < largest ? smallest : largest;
      const batch = frames.slice(images.length, images.length + size);
      engine.inputBuffer(size).set(Buffer.concat(batch));
      const outputs = ungate(await engine.infer(size));
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
