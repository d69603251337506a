import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import type { OutputTensor } from '../../../../src/base/core/model.ts';
import { f32Tensor, type Graph, i64Tensor } from '../../../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../../../src/network/compile/graph-builder.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';
import { gateClasses } from '../../../../src/network/compile/passes/gate-classes.ts';
import { ungate } from '../../../../src/network/compile/verify/ungate.ts';
import { convolution, noise } from './networks.ts';

const SIZE = { width: 64, height: 32 };
const CLASSES = 3;
/** 8x4 cells of 8 px, 4x2 of 16 px and 2x1 of 32 px. */
const CELLS = 42;
const BATCH = 2;

/** The heads of a YOLOX after one convolution per stride, as its authors export them. */
function yolox(): Graph {
  const builder = new GraphBuilder('');
  const silu = (name: string, value: string) =>
    builder.node('Mul', `${name}/silu`, [value, builder.node('Sigmoid', `${name}/gate`, [value])]);
  const levels = [8, 16, 32].map((stride) => {
    const one = (name: string, input: string, [out, into, side]: [number, number, number], attributes = {}) =>
      convolution(builder, `${name}-${stride}`, input, [out, into, side], attributes);
    const features = one('stem', 'images', [4, 3, stride], { strides: [stride, stride] });
    const mixed = silu(`mixed-${stride}`, one('mixed', features, [4, 1, 3], { group: 4 }));
    const single = silu(`single-${stride}`, one('single', mixed, [6, 4, 1]));
    const box = one('box', features, [4, 4, 1]);
    const objectness = builder.node('Sigmoid', `objectness-${stride}`, [one('obj', features, [1, 4, 1])]);
    const classes = builder.node('Sigmoid', `classes-${stride}`, [one('cls', single, [CLASSES, 6, 1])]);
    const level = builder.node('Concat', `level-${stride}`, [box, objectness, classes], { axis: 1 });
    const shape = builder.constant(`shape-${stride}`, i64Tensor([3], [0, 5 + CLASSES, -1]));
    return builder.node('Reshape', `flat-${stride}`, [level, shape]);
  });
  const all = builder.node('Concat', 'all', levels, { axis: 2 });
  builder.node('Transpose', 'predictions', [all], { perm: [0, 2, 1] });
  return builder.finish({
    name: 'yolox',
    opset: 11,
    inputs: [{ name: 'images', type: 'f32', dims: ['n', 3, SIZE.height, SIZE.width] }],
    outputs: [{ name: 'predictions', type: 'f32', dims: ['n', CELLS, 5 + CLASSES] }],
  });
}

type Outputs = Map<string, OutputTensor>;

async function run(graph: Graph, gate?: number): Promise<Outputs> {
  const session = await InferenceSession.create(emitOnnx(graph), { intraOpNumThreads: 1, logSeverityLevel: 3 });
  // Small, so that no sigmoid is so close to 1 that two cells are equal.
  const values = noise(BATCH * 3 * SIZE.height * SIZE.width, 11).map((value) => value / 10);
  const images = new Tensor('float32', values, [BATCH, 3, SIZE.height, SIZE.width]);
  const results = await session.run({
    images,
    ...(gate === undefined ? {} : { gate: new Tensor('float32', [gate], [1]) }),
  });
  const outputs = new Map(
    Object.entries(results).map(([name, { data, dims }]) => [name, { data, dims } as unknown as OutputTensor]),
  );
  await session.release();
  return outputs;
}

/** Objectness before the sigmoid of every cell of every picture, in ascending order. */
function objectness({ data }: OutputTensor): number[] {
  const logits: number[] = [];
  for (let at = 4; at < data.length; at += 5 + CLASSES) {
    const score = Number(data[at]);
    logits.push(Math.log(score / (1 - score)));
  }
  return logits.sort((a, b) => a - b);
}

describe('class scores behind a gate', () => {
  const graph = yolox();
  const gated = gateClasses(graph, SIZE);

  it('give a graph with a gate and three outputs, whose class branch ends at the last convolution over neighbours', () => {
    expect(gated.inputs.map(({ name }) => name)).toEqual(['images', 'gate']);
    expect(gated.outputs).toEqual([
      { name: 'cells', type: 'f32', dims: ['n', 5, CELLS] },
      { name: 'passing', type: 'i64', dims: ['k', 2] },
      { name: 'classes', type: 'f32', dims: ['k', CLASSES] },
    ]);
    // Stem, 3x3 convolution and head of each stride; the two 1x1 convolutions of the class branch became products.
    const count = (op: string) => gated.nodes.filter((node) => node.op === op).length;
    expect([count('Conv'), count('Gemm')]).toEqual([9, 6]);
  });

  it('equal those of the source if every cell passes the gate', async () => {
    const expected = (await run(graph)).get('predictions')!;
    const received = ungate(await run(gated, Number.NEGATIVE_INFINITY)).get('predictions')!;
    expect(received.dims).toEqual(expected.dims);
    const [wanted, got] = [numbers(expected), numbers(received)];
    expect(Math.max(...wanted.map((value, at) => Math.abs(value - got[at]!)))).toBeLessThan(1e-5);
    expect(new Set(wanted).size).toBeGreaterThan(CELLS);
  });

  it('are only computed for cells above the gate, bit-identical to the scores with all cells', async () => {
    const logits = objectness((await run(graph)).get('predictions')!);
    const all = await run(gated, Number.NEGATIVE_INFINITY);
    for (const passing of [0, 1, 7, 40]) {
      const gate = passing === 0 ? 100 : (logits.at(-passing)! + logits.at(-passing - 1)!) / 2;
      const some = await run(gated, gate);
      expect(some.get('cells')).toEqual(all.get('cells'));
      expect(some.get('passing')!.dims).toEqual([passing, 2]);
      expect(some.get('classes')!.dims).toEqual([passing, CLASSES]);
      const rows = classRows(all);
      for (const [place, row] of classRows(some)) expect(row).toEqual(rows.get(place));
    }
  });

  it('are unchanged in a different network', () => {
    const reordered = { ...graph, nodes: graph.nodes.filter(({ op }) => op !== 'Transpose') };
    expect(gateClasses(reordered, SIZE)).toBe(reordered);
    const withoutBias = {
      ...graph,
      nodes: graph.nodes.map((node) => (node.name === 'obj-8' ? { ...node, inputs: node.inputs.slice(0, 2) } : node)),
    };
    expect(gateClasses(withoutBias, SIZE)).toBe(withoutBias);
  });

  it('cannot be ungated if cells are missing', async () => {
    const outputs = await run(gated, 100);
    expect(() => ungate(outputs)).toThrow(`expected all ${BATCH * CELLS} cells to pass, received 0`);
    const others = new Map([['boxes', { dims: [1], data: f32Tensor([1], [1]).bytes }]]);
    expect(ungate(others)).toBe(others);
  });
});

function numbers({ data }: OutputTensor): number[] {
  return [...data].map(Number);
}

/** Class scores by picture and cell. */
function classRows(outputs: Outputs): Map<string, number[]> {
  const places = numbers(outputs.get('passing')!);
  const scores = numbers(outputs.get('classes')!);
  return new Map(
    Array.from({ length: places.length / 2 }, (_, row) => [
      `${places[row * 2]}/${places[row * 2 + 1]}`,
      scores.slice(row * CLASSES, (row + 1) * CLASSES),
    ]),
  );
}
