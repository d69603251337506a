import { readFile, writeFile } from 'node:fs/promises';
import { findWeights } from '../../src/network/store/find-weights.ts';
import { loadManifest } from '../../src/network/store/manifests.ts';
import type { BenchContext } from './bench-context.ts';
import { decodeOnnx, encodeOnnx, type OnnxGraph, type OnnxNode } from './onnx-file.ts';

const F32 = 1;
const I64 = 7;
/** A row of the output: four numbers of the box, objectness, and the score of each class. */
const ROW = 85;
const FIRST_CLASS = 5;
/** Mean difference of red and blue, 0 to 255, below which a picture is grey. Those of the clips have 14 and more. */
const LEAST_COLOUR = 2;
/** Mean of all colours, 0 to 255, below which a picture is dark. */
const LEAST_BRIGHTNESS = 40;

/** What is done to a network to make it worse. */
export type Damage = 'none' | { readonly lostClass: number } | 'blind on grey pictures' | 'blind in the dark';

/** Writes a YOLOX network of this machine with a damage. @returns the path of the ONNX file. */
export async function damagedModel(
  { environment: { modelPath: searchPath, cacheDir } }: BenchContext,
  name: string,
  damage: Damage,
  path: string,
): Promise<string> {
  const found = await findWeights(await loadManifest(name), { searchPath, cacheDir, onNotice: () => undefined });
  const model = decodeOnnx(await readFile(found[0]!));
  if (damage === 'blind on grey pictures') blindOnGrey(model.graph!);
  else if (damage === 'blind in the dark') blindInTheDark(model.graph!);
  else if (damage !== 'none') loseClass(model.graph!, damage.lostClass);
  await writeFile(path, encodeOnnx(model));
  return path;
}

/** The scores of one class are 0. */
function loseClass(graph: OnnxGraph, classId: number): void {
  const kept = Array.from({ length: ROW }, (_, i) => (i === FIRST_CLASS + classId ? 0 : 1));
  addConstant(graph, 'kept', kept, [1, 1, ROW]);
  multiplyOutput(graph, 'kept');
}

/** Without colours, as a camera sends pictures at night, nothing is found. */
function blindOnGrey(graph: OnnxGraph): void {
  const input = graph.input![0]!.name;
  for (const [name, value] of Object.entries({ zero: 0, one: 1, two: 2, three: 3 })) addIndex(graph, name, [value]);
  graph.node!.push(
    node('Slice', [input, 'zero', 'one', 'one'], 'blue'),
    node('Slice', [input, 'two', 'three', 'one'], 'red'),
    node('Sub', ['blue', 'red'], 'difference'),
    node('Abs', ['difference'], 'distance'),
    node('GlobalAveragePool', ['distance'], 'colour'),
  );
  seeFrom(graph, 'colour', LEAST_COLOUR);
}

/** Below a mean brightness nothing is found. */
function blindInTheDark(graph: OnnxGraph): void {
  graph.node!.push(
    node('GlobalAveragePool', [graph.input![0]!.name], 'channels'),
    node('ReduceMean', ['channels'], 'brightness'),
  );
  seeFrom(graph, 'brightness', LEAST_BRIGHTNESS);
}

/** Scores are 0 where a figure of a picture is below a limit. */
function seeFrom(graph: OnnxGraph, figure: string, least: number): void {
  addIndex(graph, 'row-shape', [-1, 1, 1]);
  for (const [name, value] of Object.entries({ least, steep: 1000, min: 0, max: 1 }))
    addConstant(graph, name, [value], []);
  graph.node!.push(
    node('Sub', [figure, 'least'], 'beyond'),
    node('Mul', ['beyond', 'steep'], 'steeply'),
    node('Clip', ['steeply', 'min', 'max'], 'coloured'),
    node('Reshape', ['coloured', 'row-shape'], 'seeing'),
  );
  multiplyOutput(graph, 'seeing');
}

function multiplyOutput(graph: OnnxGraph, factor: string): void {
  const output = graph.output![0]!.name;
  for (const one of graph.node!) one.output = one.output!.map((name) => (name === output ? 'undamaged' : name));
  graph.node!.push(node('Mul', ['undamaged', factor], output));
}

function node(operator: string, input: string[], output: string): OnnxNode {
  return { op_type: operator, name: output, input, output: [output] };
}

function addConstant(graph: OnnxGraph, name: string, values: readonly number[], dims: number[]): void {
  graph.initializer!.push({ name, dims, data_type: F32, raw_data: bytesOf(Float32Array.from(values)) });
}

function addIndex(graph: OnnxGraph, name: string, values: readonly number[]): void {
  const raw = bytesOf(BigInt64Array.from(values.map(BigInt)));
  graph.initializer!.push({ name, dims: [values.length], data_type: I64, raw_data: raw });
}

function bytesOf({ buffer }: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(buffer);
}

/** Settings of `model` for one of these files. */
export function modelOf(path: string): Readonly<Record<string, unknown>> {
  return { name: path, family: 'yolox', labels: 'coco', engine: 'onnx', precision: 'f32', threads: 1 };
}
