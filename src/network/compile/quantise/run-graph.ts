import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { GATE_INPUT, type OutputTensor } from '../../../base/core/model.ts';
import { onnxRuntime } from '../../../base/process/fetched-packages.ts';
import type { Graph } from '../graph.ts';
import { FRAMES } from '../network-input.ts';
import { emitOnnx } from '../onnx/emit-onnx.ts';

/** Logit of a score of 0.01: every cell that could become a box passes such a gate, and few others do. */
const OPEN_GATE = Math.log(0.01 / 0.99);

export type Outputs = ReadonlyMap<string, OutputTensor>;

/**
 * Runs a compiled graph on pictures, one at a time, through ONNX Runtime.
 *
 * @param frames - u8 [height, width, 3] RGB at the size of the input.
 * @param onOutputs - called with the outputs of each picture in turn, which are valid until it returns.
 */
export async function runGraph(
  graph: Graph,
  frames: readonly Uint8Array[],
  onOutputs: (outputs: Outputs, frame: number) => void,
): Promise<void> {
  const { InferenceSession, Tensor } = onnxRuntime();
  const session = await InferenceSession.create(emitOnnx(graph), {
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    logSeverityLevel: 3,
  });
  const [, height, width] = graph.inputs.find(({ name }) => name === FRAMES)!.dims as [unknown, number, number];
  try {
    for (const [at, frame] of frames.entries()) {
      const feeds: Record<string, OrtTensor> = { [FRAMES]: new Tensor('uint8', frame, [1, height, width, 3]) };
      if (session.inputNames.includes(GATE_INPUT))
        feeds[GATE_INPUT] = new Tensor('float32', Float32Array.of(OPEN_GATE), [1]);
      const results = await session.run(feeds);
      const outputs = new Map<string, OutputTensor>();
      for (const [name, { data, dims }] of Object.entries(results))
        outputs.set(name, { data: data as OutputTensor['data'], dims });
      onOutputs(outputs, at);
    }
  } finally {
    await session.release();
  }
}
