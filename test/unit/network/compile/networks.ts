import { InferenceSession, Tensor } from 'onnxruntime-node';
import { f32Tensor, type Graph } from '../../../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../../../src/network/compile/graph-builder.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';

/** Numbers from -1 to 1 that only depend on their index. */
export function noise(count: number, seed = 1): Float32Array {
  return Float32Array.from({ length: count }, (_, at) => (Math.imul(at + seed * 7919, 2654435761) >>> 8) / 2 ** 23 - 1);
}

/** A graph from `images` [n, channels, 16, 12] to `out`; `build` adds the nodes and returns the last value. */
export function network(channels: number, build: (builder: GraphBuilder) => string): Graph {
  const builder = new GraphBuilder('');
  const last = build(builder);
  builder.nodes.push({
    op: 'Identity',
    name: 'out',
    domain: '',
    inputs: [last],
    outputs: ['out'],
    attributes: new Map(),
  });
  return builder.finish({
    name: 'network',
    opset: 17,
    inputs: [{ name: 'images', type: 'f32', dims: ['n', channels, 16, 12] }],
    outputs: [{ name: 'out', type: 'f32', dims: ['n', 'c', 'h', 'w'] }],
  });
}

/** Adds a convolution with random weights [out, in / group, kernel, kernel] and a bias. */
export function convolution(
  builder: GraphBuilder,
  name: string,
  input: string,
  [out, perGroup, kernel]: readonly [number, number, number],
  attributes: Record<string, number | number[]> = {},
): string {
  const weights = f32Tensor([out, perGroup, kernel, kernel], noise(out * perGroup * kernel * kernel, name.length));
  const inputs = [
    input,
    builder.constant(`${name}/w`, weights),
    builder.constant(`${name}/b`, f32Tensor([out], noise(out, 3))),
  ];
  const pad = (kernel - 1) / 2;
  const pads = Number.isInteger(pad) ? [pad, pad, pad, pad] : [0, 0, 0, 0];
  return builder.node('Conv', name, inputs, { kernel_shape: [kernel, kernel], pads, ...attributes });
}

/** Adds a scalar constant. */
export function number(builder: GraphBuilder, name: string, value: number): string {
  return builder.constant(name, f32Tensor([], [value]));
}

/** Runs a graph without optimisation by the runtime, and returns its first output. */
export async function runGraph(graph: Graph, feed: Tensor): Promise<{ dims: readonly number[]; values: Float32Array }> {
  const session = await InferenceSession.create(emitOnnx(graph), {
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const results = await session.run({ [graph.inputs[0]!.name]: feed });
  const output = results[graph.outputs[0]!.name]!;
  const values = output.data as Float32Array;
  await session.release();
  return { dims: output.dims, values };
}

/** Random pictures for a graph of `network`. */
export function pictures(channels: number, count = 2): Tensor {
  return new Tensor('float32', noise(count * channels * 16 * 12, 11), [count, channels, 16, 12]);
}
