import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { decodeOnnx, encodeOnnx, type OnnxModel } from '../../../../bench/support/onnx-file.ts';
import { keepNames, renameOutputs } from '../../../../src/network/compile/build-graph.ts';
import { addFront } from '../../../../src/network/compile/front.ts';
import { f32Tensor, type Graph, type GraphNode, i64Tensor } from '../../../../src/network/compile/graph.ts';
import type { GraphBuilder } from '../../../../src/network/compile/graph-builder.ts';
import { toHalfTensor } from '../../../../src/network/compile/half.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';
import { importOnnx } from '../../../../src/network/compile/onnx/import-onnx.ts';
import { optimise } from '../../../../src/network/compile/passes/optimise.ts';
import { toHalf, widenHalf } from '../../../../src/network/compile/passes/to-half.ts';
import { convolution, network, noise, number, pictures, runGraph } from './networks.ts';

/** A convolution, a relu, a factor, which passes fold. */
const plain = network(3, (builder) => {
  const relu = builder.node('Relu', 'relu', [convolution(builder, 'conv', 'images', [6, 3, 3])]);
  const scaled = builder.node('Mul', 'scaled', [relu, number(builder, 'k', 0.5)]);
  return convolution(builder, 'last', scaled, [4, 6, 1]);
});

function changed(graph: Graph, change: (model: OnnxModel) => void): Uint8Array {
  const model = decodeOnnx(emitOnnx(graph));
  change(model);
  return encodeOnnx(model);
}

async function expectSame(file: Uint8Array, graph: Graph, feed = pictures(3), most = 1e-5): Promise<void> {
  const original = importOnnx(file, 'original.onnx');
  const [wanted, got] = [await runGraph(original, feed), await runGraph(graph, feed)];
  expect(got.dims).toEqual(wanted.dims);
  const largest = wanted.values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  expect(largest).toBeGreaterThan(0);
  for (const [at, value] of wanted.values.entries())
    expect(Math.abs(got.values[at]! - value) / largest).toBeLessThanOrEqual(most);
}

describe('a graph from another exporter', () => {
  const clipped = (opset: number): Graph => {
    const graph = network(3, (builder) => {
      const conv = convolution(builder, 'conv', 'images', [6, 3, 3]);
      const bounds = opset < 11 ? [] : [number(builder, 'low', 0), number(builder, 'high', 0.25)];
      const clip = builder.node(
        'Clip',
        'clip',
        [conv, ...bounds],
        opset < 11 ? { min: { float: 0 }, max: { float: 0.25 } } : {},
      );
      const scaled = builder.node('Mul', 'scaled', [clip, number(builder, 'k', 3)]);
      const starts = [0, 2].map((value, at) => builder.constant(`range-${at}`, i64Tensor([1], [value])));
      if (opset < 10) return builder.node('Slice', 'slice', [scaled], { starts: [0], ends: [2], axes: [1] });
      return builder.node('Slice', 'slice', [scaled, ...starts, builder.constant('axis', i64Tensor([1], [1]))]);
    });
    return { ...graph, opset };
  };

  it.each([9, 10, 11, 13, 17, 21, 23])(
    'of operator set %i is optimised without changing its results',
    async (opset) => {
      const file = emitOnnx(clipped(opset));
      await expectSame(file, optimise(importOnnx(file, 'old.onnx'), true));
    },
  );

  it('is sorted topologically', async () => {
    const file = changed(plain, (model) => model.graph!.node!.reverse());
    const graph = importOnnx(file, 'unsorted.onnx');
    expect(graph.nodes.map(({ name }) => name)).toEqual(plain.nodes.map(({ name }) => name));
    await expectSame(emitOnnx(plain), graph, pictures(3), 0);
  });

  it('may list its constants as inputs, of any type', () => {
    const file = changed(plain, (model) => {
      model.graph!.input!.push({ name: 'conv/w', type: { tensor_type: { elem_type: 1 } } }, { name: 'k' });
    });
    expect(importOnnx(file, 'old.onnx').inputs).toEqual(plain.inputs);
  });

  it('may contain Constant nodes', async () => {
    const file = changed(plain, ({ graph }) => {
      const k = graph!.initializer!.find(({ name }) => name === 'k')!;
      graph!.initializer = graph!.initializer!.filter((tensor) => tensor !== k);
      graph!.node!.push({
        output: ['k'],
        op_type: 'Constant',
        attribute: [{ name: 'value_float', type: 1, f: 0.5 }],
      });
    });
    const graph = importOnnx(file, 'constants.onnx');
    expect(graph.nodes.map(({ op }) => op)).not.toContain('Constant');
    await expectSame(emitOnnx(plain), graph, pictures(3), 0);
  });

  it.each([
    ['an attribute', 9],
    ['a Constant node', 13],
  ])('may cut to the end with the largest integer in %s', async (_, opset) => {
    // 2^63 - 1, which a JavaScript number cannot hold.
    const largest = { low: -1, high: 0x7fffffff, unsigned: false, toNumber: () => 2 ** 63 };
    const one = (builder: GraphBuilder, name: string, value: number) => builder.constant(name, i64Tensor([1], [value]));
    const graph = network(3, (builder) => {
      const conv = convolution(builder, 'conv', 'images', [6, 3, 3]);
      if (opset < 10) return builder.node('Slice', 'slice', [conv], { starts: [2], ends: [3], axes: [1] });
      builder.node('Constant', 'end', [], { value_ints: [3] });
      return builder.node('Slice', 'slice', [conv, one(builder, 'start', 2), 'end', one(builder, 'axis', 1)]);
    });
    const file = changed({ ...graph, opset }, (model) => {
      for (const { attribute = [] } of model.graph!.node!)
        for (const each of attribute) if (each.name === 'ends' || each.name === 'value_ints') each.ints = [largest];
    });
    const { dims } = await runGraph(importOnnx(file, 'largest.onnx'), pictures(3));
    expect(dims).toEqual([2, 4, 16, 12]);
  });

  it('may use a node name twice, and -1 for free sizes', async () => {
    const file = changed(plain, ({ graph }) => {
      for (const node of graph!.node!) node.name = 'same';
      graph!.input![0]!.type!.tensor_type!.shape!.dim![0] = { dim_value: -1 };
    });
    const graph = importOnnx(file, 'names.onnx');
    expect(new Set(graph.nodes.map(({ name }) => name)).size).toBe(graph.nodes.length);
    expect(graph.inputs[0]!.dims).toEqual(['images_0', 3, 16, 12]);
    await expectSame(file, optimise(graph, true));
  });

  it('keeps operators of other domains, and no pass confuses them with the standard ones', async () => {
    const graph = network(3, (builder) => {
      const conv = convolution(builder, 'conv', 'images', [6, 3, 3]);
      builder.nodes.push({
        op: 'com.microsoft:QuickGelu',
        name: 'gelu',
        domain: 'com.microsoft',
        inputs: [conv],
        outputs: ['gelu'],
        attributes: new Map([['alpha', { kind: 'float', value: 1.5 }]]),
      });
      return 'gelu';
    });
    const file = emitOnnx({ ...graph, domains: new Map([['com.microsoft', 1]]) });
    const back = importOnnx(file, 'contrib.onnx');
    expect(back.nodes.map(({ op }) => op)).toContain('com.microsoft:QuickGelu');
    await expectSame(file, optimise(back, true));
  });

  it('may contain the names that passes and decoders use', async () => {
    const graph = network(3, (builder) => {
      const conv = convolution(builder, 'frames', 'images', [6, 3, 3]);
      const relu = builder.node('Relu', 'predictions', [conv]);
      return builder.node('Mul', 'front/picture', [relu, number(builder, 'gate', 0.5)]);
    });
    const renamed = renameOutputs(keepNames(graph), { predictions: 'out' }, 'free');
    expect(renamed.outputs.map(({ name }) => name)).toEqual(['predictions']);
    await expectSame(emitOnnx(graph), renamed, pictures(3), 0);
  });
});

describe('a quantised graph', () => {
  const byte = (type: 'u8' | 'i8', dims: readonly number[], values: readonly number[]) =>
    ({ type, dims, bytes: Uint8Array.from(values, (value) => value & 0xff) }) as const;

  /** Weights, bias and the convolution's input are integers that nodes convert to f32. */
  const qdq = network(3, (builder) => {
    const scale = number(builder, 'scale', 1 / 64);
    const zero = builder.constant('zero', byte('u8', [], [128]));
    const quantised = builder.node('QuantizeLinear', 'q', ['images', scale, zero]);
    const input = builder.node('DequantizeLinear', 'dq', [quantised, scale, zero]);
    const bytes = Array.from(noise(6 * 3 * 9, 4), (value) => Math.round(value * 100));
    const weights = builder.constant('w8', byte('i8', [6, 3, 3, 3], bytes));
    const scales = builder.constant(
      'w-scale',
      f32Tensor(
        [6],
        noise(6, 2).map((value) => 0.01 + Math.abs(value) / 50),
      ),
    );
    const zeros = builder.constant('w-zero', byte('i8', [6], [0, 0, 0, 0, 0, 0]));
    const kernel = builder.node('DequantizeLinear', 'w', [weights, scales, zeros], { axis: 0 });
    const whole = builder.constant('b32', {
      type: 'i32',
      dims: [6],
      bytes: new Uint8Array(Int32Array.of(1, -2, 3, -4, 5, -6).buffer),
    });
    const bias = builder.node('DequantizeLinear', 'b', [whole, number(builder, 'b-scale', 0.1)]);
    const conv = builder.node('Conv', 'conv', [input, kernel, bias], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
    const shifted = builder.node('Add', 'shifted', [conv, number(builder, 'one', 1)]);
    // Constant weights, but a computed bias: it must not be folded or padded.
    const mixed = convolution(builder, 'mixed', shifted, [6, 6, 1]);
    builder.nodes.push({
      ...builder.nodes.pop()!,
      inputs: [shifted, 'mixed/w', builder.node('Identity', 'b-again', [bias])],
    });
    return convolution(builder, 'last', builder.node('Mul', 'scaled', [mixed, number(builder, 'two', 2)]), [4, 6, 1]);
  });

  it('stays unchanged', async () => {
    // The convolution must come after the node that computes its bias.
    const file = emitOnnx({ ...qdq, nodes: importOnnx(emitOnnx(qdq), 'qdq.onnx').nodes });
    await expectSame(file, optimise(importOnnx(file, 'qdq.onnx'), true));
  });

  it('with scales computed at run time stays unchanged, in half too', async () => {
    const graph = network(3, (builder) => {
      const [quantised, scale, zero] = builder.nodeWithOutputs('DynamicQuantizeLinear', 'q', ['images'], 3);
      const bytes = Array.from(noise(6 * 3 * 9, 4), (value) => Math.round(value * 100));
      const weights = builder.constant('w8', byte('i8', [6, 3, 3, 3], bytes));
      const sums = builder.node('ConvInteger', 'sums', [quantised!, weights, zero!], {
        kernel_shape: [3, 3],
        pads: [1, 1, 1, 1],
      });
      const real = builder.node('Cast', 'real', [sums], { to: 1 });
      const factor = builder.node('Mul', 'factor', [scale!, number(builder, 'w-scale', 0.01)]);
      return builder.node('Mul', 'scaled', [real, factor]);
    });
    const file = emitOnnx(graph);
    const rewritten = optimise(importOnnx(file, 'dynamic.onnx'), true);
    await expectSame(file, rewritten, pictures(3), 0);
    await expectSame(file, toHalf(rewritten), pictures(3), 0);
  });
});

describe('a graph in half', () => {
  const halves = (graph: Graph): Graph => ({
    ...graph,
    inputs: graph.inputs.map((value) => ({ ...value, type: 'f16' })),
    outputs: graph.outputs.map((value) => ({ ...value, type: 'f16' })),
    constants: new Map(Array.from(graph.constants, ([name, tensor]) => [name, toHalfTensor(tensor, name)])),
  });

  it('is computed in f32, and its picture is f32', async () => {
    const widened = widenHalf(importOnnx(emitOnnx(halves(plain)), 'half.onnx'));
    expect(
      [...widened.inputs, ...widened.outputs, ...widened.constants.values()].map(({ type }) => type),
    ).not.toContain('f16');
    await expectSame(emitOnnx(plain), widened, pictures(3), 2e-3);
  });

  it('loses its casts to half', async () => {
    const cast = (to: number): GraphNode => ({
      op: 'Cast',
      name: `to-${to}`,
      domain: '',
      inputs: [to === 10 ? 'images' : 'conv'],
      outputs: [`to-${to}`],
      attributes: new Map([['to', { kind: 'int', value: to }]]),
    });
    const conv = { ...halves(plain).nodes[0]!, inputs: ['to-10', 'conv/w', 'conv/b'] };
    const out: GraphNode = { ...plain.nodes.at(-1)!, inputs: ['to-1'] };
    const graph = {
      ...halves(plain),
      inputs: plain.inputs,
      outputs: plain.outputs,
      nodes: [cast(10), conv, cast(1), out],
    };
    const file = emitOnnx(graph);
    const widened = widenHalf(importOnnx(file, 'casts.onnx'));
    expect(widened.nodes.flatMap(({ attributes }) => attributes.get('to')?.value ?? [])).toEqual([1, 1]);
    await expectSame(file, widened, pictures(3), 2e-3);
  });
});

describe('the front', () => {
  it('passes u8 to a network that takes u8', async () => {
    const graph: Graph = {
      ...network(3, (builder) => builder.node('Cast', 'real', ['images'], { to: 1 })),
      inputs: [{ name: 'images', type: 'u8', dims: [1, 16, 12, 3] }],
    };
    const input = {
      tensor: 'images',
      sizeTensor: null,
      layout: 'nhwc',
      width: 12,
      height: 16,
      colours: 'rgb',
    } as const;
    const fronted = addFront(graph, { ...input, range: [0, 255] }, 1, 'interleaved');
    const frame = Uint8Array.from({ length: 16 * 12 * 3 }, (_, at) => at % 251);
    const { values } = await runGraph(fronted, new Tensor('uint8', frame, [1, 16, 12, 3]));
    expect(Array.from(values)).toEqual(Array.from(frame));
  });
});
