import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { decodeOnnx, encodeOnnx, type OnnxGraph } from '../../../../bench/support/onnx-file.ts';
import type { Precision } from '../../../../src/base/core/model.ts';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { type BuildTarget, buildGraph } from '../../../../src/network/compile/build-graph.ts';
import type { CompileSource } from '../../../../src/network/compile/compile-source.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';
import { emitSavedModel } from '../../../../src/network/compile/tensorflow/emit-saved-model.ts';
import { factsOf } from '../../../../src/settings/config/engines.ts';
import { LAYOUTS, source } from './layout-sources.ts';
import { convolution, network, number } from './networks.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-fuzz-'));

/** Allowed outcomes for a malformed file: it compiles, or it is rejected with one of these codes. */
const REFUSALS: readonly string[] = ['MODEL_INVALID', 'COMPILE_UNSUPPORTED'];

async function compile(bytes: Uint8Array, network: CompileSource, format: BuildTarget['format'], precision: Precision) {
  const path = join(folder, 'mutated.onnx');
  writeFileSync(path, bytes);
  const form = factsOf(format === 'onnx' ? 'onnx' : 'tensorflow').network;
  const target = { ...form, format, size: network.input, batch: network.batch, precision, isGated: false };
  try {
    const graph = await buildGraph({ ...network, weightPaths: [path] }, target);
    if (format === 'onnx') emitOnnx(graph);
    else emitSavedModel(graph);
  } catch (error) {
    if (!(error instanceof SightlineError) || !REFUSALS.includes(error.code)) throw error;
  }
}

interface Subject {
  readonly network: CompileSource;
  readonly bytes: Buffer;
}

/** A small network that uses most passes, and the exporters' files if they are available. */
function subjects(): Map<string, Subject> {
  const own = network(3, (builder) => {
    const relu = builder.node('Relu', 'relu', [convolution(builder, 'conv', 'images', [6, 3, 3])]);
    const scaled = builder.node('Mul', 'scaled', [relu, number(builder, 'k', 0.5)]);
    const last = convolution(builder, 'last', scaled, [4, 6, 1]);
    const pool = builder.node('MaxPool', 'pool', [last], { kernel_shape: [5, 5], pads: [2, 2, 2, 2] });
    return builder.node('Relu', 'joined-relu', [builder.node('Concat', 'joined', [last, pool], { axis: 1 })]);
  });
  const input = { tensor: 'images', layout: 'nchw', range: [0, 1], width: 12, height: 16 } as const;
  const description = source('own.onnx', { ...input, outputs: { out: 'out' }, batch: 'free' });
  const all = new Map([['a network of our own', { network: description, bytes: Buffer.from(emitOnnx(own)) }]]);
  for (const [name, layout] of LAYOUTS) all.set(name, { network: layout, bytes: readFileSync(layout.weightPaths[0]!) });
  return all;
}

const target = fc.tuple(fc.constantFrom('onnx', 'saved-model'), fc.constantFrom('f32', 'f16'));

/** Changes of the bytes. */
const cuts = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    kind: fc.constantFrom('set', 'turn', 'zero', 'cut', 'repeat'),
    value: fc.nat(255),
    length: fc.integer({ min: 1, max: 40 }),
  }),
  { minLength: 1, maxLength: 4 },
);
type Cut = (typeof cuts extends fc.Arbitrary<infer T extends unknown[]> ? T : never)[number];

function cut(bytes: Buffer, { at, kind, value, length }: Cut): Buffer {
  // Nodes come first in most files, and changes there have more effect than in weights.
  const place = Math.floor(at * at * bytes.length);
  const end = Math.min(place + length, bytes.length);
  if (kind === 'cut') return Buffer.concat([bytes.subarray(0, place), bytes.subarray(end)]);
  if (kind === 'repeat') return Buffer.concat([bytes.subarray(0, end), bytes.subarray(place)]);
  const copy = Buffer.from(bytes);
  if (kind === 'set') copy[place] = value;
  else if (kind === 'turn') copy[place] = copy[place]! ^ (1 << (value % 8));
  else copy.fill(0, place, end);
  return copy;
}

/** Changes of the graph: the file stays valid protobuf with different contents. */
const slips = fc.array(
  fc.record({
    node: fc.nat(),
    other: fc.nat(),
    kind: fc.constantFrom('attribute', 'list', 'input', 'fewer inputs', 'operator', 'attributes', 'sizes', 'numbers'),
    value: fc.oneof(fc.integer({ min: -3, max: 9 }), fc.constantFrom(1e9, -1e9, 2 ** 40)),
  }),
  { minLength: 1, maxLength: 3 },
);
type Slip = (typeof slips extends fc.Arbitrary<infer T extends unknown[]> ? T : never)[number];

function slip(
  { node: nodes = [], initializer: constants = [] }: OnnxGraph,
  { node: at, other, kind, value }: Slip,
): void {
  const node = nodes[at % nodes.length]!;
  const neighbour = nodes[other % nodes.length]!;
  const constant = constants[at % constants.length]!;
  const attribute = node.attribute?.[other % node.attribute.length];
  const inputs = node.input ?? [];
  const sizes = (constant.dims ?? []).map(Number);
  switch (kind) {
    case 'attribute':
      if (attribute !== undefined) Object.assign(attribute, { i: value, f: value });
      break;
    case 'list':
      if (value % 2 === 0) attribute?.ints?.pop();
      else attribute?.ints?.push(value);
      break;
    case 'input':
      if (inputs.length > 0) inputs[other % inputs.length] = value < 2 ? constant.name! : neighbour.output![0]!;
      break;
    case 'fewer inputs':
      inputs.splice(other % Math.max(inputs.length, 1), 1);
      break;
    case 'operator':
      node.op_type = neighbour.op_type;
      break;
    case 'attributes':
      node.attribute = neighbour.attribute ?? [];
      break;
    case 'sizes':
      constant.dims = [sizes.toReversed(), [...sizes, 1], [1, ...sizes], [sizes.reduce((a, b) => a * b, 1)]][
        other % 4
      ]!;
      break;
    case 'numbers':
      if (constant.data_type !== 7 || (constant.raw_data?.length ?? 0) < 8) break;
      constant.raw_data = Buffer.from(constant.raw_data!);
      (constant.raw_data as Buffer).writeBigInt64LE(BigInt(value), (other % (constant.raw_data.length / 8)) * 8);
  }
}

describe('a randomly changed file is either compiled or rejected', () => {
  const all = subjects();
  const numRuns = 20;

  it.each([...all.keys()])('byte by byte: %s', async (name) => {
    const { network, bytes } = all.get(name)!;
    const property = fc.asyncProperty(cuts, target, ([...changes], [format, precision]) =>
      compile(changes.reduce(cut, bytes), network, format as 'onnx', precision as 'f32'),
    );
    await fc.assert(property, { numRuns });
  });

  it.each([...all.keys()])('part by part: %s', async (name) => {
    const { network, bytes } = all.get(name)!;
    const property = fc.asyncProperty(slips, target, (changes, [format, precision]) => {
      const model = decodeOnnx(bytes);
      for (const change of changes) slip(model.graph!, change);
      return compile(encodeOnnx(model), network, format as 'onnx', precision as 'f32');
    });
    await fc.assert(property, { numRuns });
  });
});
