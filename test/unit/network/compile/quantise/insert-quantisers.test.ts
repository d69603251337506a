import { existsSync, readFileSync } from 'node:fs';
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { f32Values, type Graph } from '../../../../../src/network/compile/graph.ts';
import { emitOnnx } from '../../../../../src/network/compile/onnx/emit-onnx.ts';
import { insertQuantisers } from '../../../../../src/network/compile/quantise/insert-quantisers.ts';
import { findLayers } from '../../../../../src/network/compile/quantise/layers.ts';
import type { ValueRange } from '../../../../../src/network/compile/quantise/ranges.ts';
import { convolution, network, pictures, runGraph } from '../networks.ts';

const [INPUTS, OUTPUTS] = [3, 5] as const;
const RANGES = new Map<string, ValueRange>([
  ['images', { low: -1, high: 1 }],
  ['conv', { low: -2, high: 3 }],
]);

function pointwise(): Graph {
  return network(INPUTS, (builder) => convolution(builder, 'conv', 'images', [OUTPUTS, INPUTS, 1]));
}

function rint(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** A 1x1 convolution in whole numbers, written out: u8 input, i8 weights with a scale each, i32 bias, and the real result. */
function wholeNumbers(graph: Graph, feed: Tensor): number[] {
  const weights = f32Values(graph.constants.get('conv/w')!, 'w');
  const bias = f32Values(graph.constants.get('conv/b')!, 'b');
  const values = feed.data as Float32Array;
  const [batch, , height, width] = feed.dims as [number, number, number, number];
  const cells = height * width;
  const inputScale = Math.fround(2 / 255);
  const inputZero = rint(1 / inputScale);
  const results: number[] = [];
  for (let image = 0; image < batch; image += 1) {
    for (let out = 0; out < OUTPUTS; out += 1) {
      const row = weights.slice(out * INPUTS, (out + 1) * INPUTS);
      const scale = Math.max(...row.map(Math.abs)) / 127;
      for (let cell = 0; cell < cells; cell += 1) {
        let sum = rint(bias[out]! / (scale * inputScale));
        for (let channel = 0; channel < INPUTS; channel += 1) {
          const value = values[(image * INPUTS + channel) * cells + cell]!;
          const level = clamp(rint(value / inputScale) + inputZero, 0, 255);
          sum += (level - inputZero) * rint(row[channel]! / scale);
        }
        results.push(sum * scale * inputScale);
      }
    }
  }
  return results;
}

/** Whether the processor multiplies whole numbers of 8 bits exactly, as far as that is known. */
function hasVnni(): boolean {
  return existsSync('/proc/cpuinfo') && /^flags.*vnni/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
}

async function runFused(graph: Graph, feed: Tensor): Promise<Float32Array> {
  const session = await InferenceSession.create(emitOnnx(graph), {
    graphOptimizationLevel: 'all',
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const { out } = await session.run({ images: feed });
  await session.release();
  return out!.data as Float32Array;
}

describe('insertQuantisers', () => {
  const graph = pointwise();
  const feed = pictures(INPUTS);
  const plan = { layers: findLayers(graph), ranges: RANGES };

  it('for OpenVINO gives the sums of whole numbers, with the result as it is', async () => {
    const expected = wholeNumbers(graph, feed);
    const { values } = await runGraph(insertQuantisers(graph, { ...plan, style: 'inputs' }), feed);
    // Its bias stays f32: half a step of the bias apart.
    const worst = Math.max(...values.map((value, at) => Math.abs(value - expected[at]!)));
    expect(worst).toBeLessThan(1e-4);
  });

  it('for ONNX Runtime rounds the result to 8 bits as well, step by step', async () => {
    const [scale, zero] = [Math.fround(5 / 255), rint(2 / Math.fround(5 / 255))];
    const expected = wholeNumbers(graph, feed).map(
      (value) => (clamp(rint(value / scale) + zero, 0, 255) - zero) * scale,
    );
    const quantised = insertQuantisers(graph, { ...plan, style: 'whole' });
    const { values } = await runGraph(quantised, feed);
    const isOff = (value: number, at: number): boolean => Math.abs(value - expected[at]!) > 1e-5;
    // A sum in f32 may fall on the other side of a tie.
    expect(values.filter(isOff).length).toBeLessThan(values.length / 500);
    // Without VNNI, its fused kernel adds pairs of products in 16 bits, where the largest saturate.
    const fused = await runFused(quantised, feed);
    expect(fused.filter(isOff).length).toBeLessThan(values.length / (hasVnni() ? 500 : 50));
  });

  it('leaves layers that are not named as they are', async () => {
    const same = insertQuantisers(graph, { ...plan, layers: [], style: 'whole' });
    expect(same.nodes).toEqual(graph.nodes);
  });

  it('keeps a bias that is huge against the scale of its weights', async () => {
    const huge = network(INPUTS, (builder) => convolution(builder, 'conv', 'images', [OUTPUTS, INPUTS, 1]));
    const constants = new Map(huge.constants);
    const tiny = f32Values(constants.get('conv/w')!, 'w').map((value) => value * 1e-12);
    constants.set('conv/w', { ...constants.get('conv/w')!, bytes: new Uint8Array(tiny.buffer) });
    const odd = { ...huge, constants };
    const quantised = insertQuantisers(odd, { style: 'whole', layers: findLayers(odd), ranges: RANGES });
    const { values } = await runGraph(quantised, feed);
    const { values: float } = await runGraph(odd, feed);
    const worst = Math.max(...values.map((value, at) => Math.abs(value - float[at]!)));
    expect(worst).toBeLessThan(5 / 255);
  });

  it('refuses a value without a range by name', () => {
    expect(() => insertQuantisers(graph, { ...plan, ranges: new Map(), style: 'whole' })).toThrow(/images/);
  });
});

describe('what lies between INT8 layers', () => {
  /** Two branches that meet in a concatenation, which a pool and a convolution read. */
  const graph = network(INPUTS, (builder) => {
    const stem = convolution(builder, 'stem', 'images', [4, INPUTS, 1]);
    const left = convolution(builder, 'left', stem, [4, 4, 1]);
    const right = convolution(builder, 'right', stem, [4, 4, 1]);
    const joined = builder.node('Concat', 'joined', [left, right], { axis: 1 });
    const pooled = builder.node('MaxPool', 'pooled', [joined], { kernel_shape: [2, 2], strides: [2, 2] });
    return convolution(builder, 'last', pooled, [2, 8, 1]);
  });
  const ranges = new Map(
    ['images', 'stem', 'left', 'right', 'joined', 'pooled', 'last'].map((name) => [name, { low: -4, high: 4 }]),
  );

  it('moves bytes for OpenVINO: the quantisers stand before the concatenation, with one scale', () => {
    const quantised = insertQuantisers(graph, { style: 'inputs', layers: findLayers(graph), ranges });
    const read = quantised.nodes.find(({ op }) => op === 'Concat')!.inputs;
    expect(read).toEqual(['left/from-int8', 'right/from-int8']);
    const last = quantised.nodes.find(({ name }) => name === 'last')!;
    expect(last.inputs[0]).toBe('pooled');
    expect(quantised.nodes.filter(({ op }) => op === 'QuantizeLinear').map(({ inputs }) => inputs[0])).toEqual([
      ...['images', 'stem', 'left', 'right'],
    ]);
  });

  it('is quantised on both sides for ONNX Runtime', () => {
    const quantised = insertQuantisers(graph, { style: 'whole', layers: findLayers(graph), ranges });
    const written = quantised.nodes.filter(({ op }) => op === 'QuantizeLinear').map(({ inputs }) => inputs[0]);
    expect(written).toEqual(['images', 'stem', 'left', 'right', 'joined', 'pooled', 'last']);
  });

  it.each(['whole', 'inputs'] as const)('gives nearly the same numbers (%s)', async (style) => {
    const feed = pictures(INPUTS);
    const { values: float } = await runGraph(graph, feed);
    const { values } = await runGraph(insertQuantisers(graph, { style, layers: findLayers(graph), ranges }), feed);
    const spread = Math.max(...float.map(Math.abs));
    const worst = Math.max(...values.map((value, at) => Math.abs(value - float[at]!)));
    expect(worst).toBeLessThan(spread * 0.05);
    expect(worst).toBeGreaterThan(0);
  });
});
