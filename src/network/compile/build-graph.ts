import { basename } from 'node:path';
import type { Precision } from '../../base/core/model.ts';
import { readModel } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { NetworkForm } from '../../settings/config/engines.ts';
import type { CompileSource } from './compile-source.ts';
import { addFront } from './front.ts';
import { type Graph, i64Tensor, type Tensor } from './graph.ts';
import { removeUnused, renameValues, reshapeTargets } from './graph-index.ts';
import { FRAMES, isBatchFreed, type NetworkInput } from './network-input.ts';
import { ExternalData } from './onnx/external-data.ts';
import { importOnnx } from './onnx/import-onnx.ts';
import { gateClasses } from './passes/gate-classes.ts';
import { optimise } from './passes/optimise.ts';
import { plainWeights } from './passes/plain-weights.ts';
import { replaceFocus } from './passes/replace-focus.ts';
import { resizeGrids } from './passes/resize-grids.ts';
import { roundHalfOutputs, toHalf, widenHalf } from './passes/to-half.ts';
import { invalid, unsupported } from './refusals.ts';
import { importTfjs } from './tfjs/import-tfjs.ts';
import type { SizePx } from './tfjs/lowering.ts';
import { readTfjs } from './tfjs/read-tfjs.ts';

/** The target that a graph is built for. */
export interface BuildTarget extends Pick<NetworkForm, 'picture' | 'isArranged' | 'ranking'> {
  readonly format: Exclude<NetworkForm['format'], 'tfjs'>;
  readonly size: SizePx;
  readonly batch: 'free' | number;
  readonly precision: Precision;
  /** Leave out class scores of cells that cannot become a box (see `gateClasses`). */
  readonly isGated: boolean;
}

/**
 * Imports a network, optimises it for an engine and adds the front (preprocessing). The input of the graph is `frames`, its
 * outputs have the names that the decode function uses, and its operators are ONNX operators for all engines.
 *
 * Throws COMPILE_UNSUPPORTED and MODEL_INVALID, naming the model.
 */
export async function buildGraph(source: CompileSource, target: BuildTarget): Promise<Graph> {
  try {
    return await build(source, target);
  } catch (error) {
    if (!(error instanceof SightlineError)) throw error;
    const details = { ...error.details, model: source.spec.name };
    throw new SightlineError(error.code, `model ${source.spec.name}: ${error.message}`, details, { cause: error });
  }
}

async function build(source: CompileSource, target: BuildTarget): Promise<Graph> {
  const { size, batch, precision, isGated, picture = 'planes', isArranged = false, ranking = 'by-class' } = target;
  const published = { width: source.input.width, height: source.input.height };
  const [modelPath, ...dataPaths] = source.weightPaths as [string, ...string[]];
  let graph: Graph;
  let input: NetworkInput = { ...source.input, ...size };
  if (source.format === 'tfjs') {
    const output = Object.values(source.outputs)[0]!;
    graph = importTfjs(await readTfjs(modelPath, dataPaths), size, published, output, ranking);
    input = { ...input, tensor: graph.inputs[0]!.name, layout: 'nchw' };
  } else {
    const named = keepNames(importOnnx(await readModel(modelPath), basename(modelPath), new ExternalData(modelPath)));
    graph = plainWeights(roundHalfOutputs(named, widenHalf(named)));
    const hasFixedGrids = source.spec.family === 'gfl' && source.input.anySize !== true;
    const taken = hasFixedGrids ? source.input : input;
    checkPicture(graph, taken, source.input.anySize ?? source.spec.family === 'yolox');
    if (hasFixedGrids) graph = resizeGrids(graph, source.input, size);
    if (isBatchFreed(source.spec.family)) graph = freeBatch(replaceFocus(graph, input.tensor));
  }
  const fronted = addFront(optimise(graph, isArranged), input, batch === 'free' ? 'n' : batch, picture);
  const complete = removeUnused(renameOutputs(fronted, source.outputs, batch));
  const gated = isGated ? gateClasses(complete, size) : complete;
  return precision === 'f16' ? toHalf(gated) : gated;
}

/**
 * Checks that a network accepts a picture of the size it is compiled for. A free axis in the file is set to the requested size; a
 * fixed axis must match it, unless the network works at any size.
 *
 * @param anySize - ignore the size in the file, because nothing in the network depends on it.
 * Throws COMPILE_UNSUPPORTED with the expected and the actual input.
 */
function checkPicture(graph: Graph, input: NetworkInput, anySize: boolean): void {
  const picture = graph.inputs.find(({ name }) => name === input.tensor);
  // `addFront` checks that the input exists. Old files may omit its shape.
  if (picture === undefined || picture.dims.length === 0) return;
  const { width, height, layout, range } = input;
  const wanted = layout === 'nchw' ? ([null, 3, height, width] as const) : ([null, height, width, 3] as const);
  const isFitting = wanted.every((size, axis) => {
    const stated = picture.dims[axis];
    return size === null || typeof stated !== 'number' || stated === size || (anySize && size !== 3);
  });
  if (picture.dims.length !== 4 || !isFitting) {
    throw unsupported(
      `expected the input ${picture.name} to take a picture ${layout === 'nchw' ? '[n, 3, height, width]' : '[n, height, width, 3]'} ` +
        `of ${width}x${height}; the network is published for [${picture.dims.join(', ')}]`,
    );
  }
  const isBytes = picture.type === 'u8';
  if (picture.type !== 'f32' && !isBytes)
    throw unsupported(`expected the input ${picture.name} in f32, f16 or u8, received ${picture.type}`);
  if (isBytes && (range[0] !== 0 || range[1] !== 255))
    throw unsupported(
      `the input ${picture.name} takes bytes: expected the range 0 to 255, received ${range[0]} to ${range[1]}`,
    );
}

/**
 * Frees the batch dimension of a network that was exported for one picture: reshapes to a batch of 1 keep the batch of their input
 * instead. Only for networks where nothing else depends on the batch (convolutions, pools, element-wise operators,
 * concatenations along other axes), as in the YOLOX family.
 */
export function freeBatch(graph: Graph): Graph {
  const constants = new Map<string, Tensor>(graph.constants);
  for (const [name, dims] of reshapeTargets(graph)) {
    // In a reshape 0 means "same as the input".
    if (dims[0] === 1 && dims.length > 1) constants.set(name, i64Tensor([dims.length], [0, ...dims.slice(1)]));
  }
  return { ...graph, constants };
}

/** Names that the front and other passes add. A file that was compiled before contains such names. */
const RESERVED = new RegExp(`^(${FRAMES}|gate|cells|passing|classes)$|^(front|gated)/|/(half|cast)$`);

/**
 * Renames inner values of an imported network that would clash with names added by passes. Inputs and outputs keep their names,
 * because they are looked up by name.
 */
export function keepNames(graph: Graph): Graph {
  const kept = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const rename = (name: string): string => (RESERVED.test(name) && !kept.has(name) ? `published/${name}/own` : name);
  return renameValues(graph, rename);
}

/**
 * Renames the outputs to the names that the family's decode function expects, and drops other outputs.
 *
 * @param outputs - wanted name -> published name.
 * @param batch - becomes the first dimension of every output.
 * Throws MODEL_INVALID if the network lacks an output.
 */
export function renameOutputs(graph: Graph, outputs: Readonly<Record<string, string>>, batch: 'free' | number): Graph {
  const wanted = new Map(Object.entries(outputs).map(([name, published]) => [published, name]));
  const missing = [...wanted.keys()].filter((name) => !graph.outputs.some((output) => output.name === name));
  if (missing.length > 0) {
    const names = graph.outputs.map(({ name }) => name).join(', ');
    throw invalid(`expected the network to have the output ${missing[0]}; it has ${names}`);
  }
  const taken = new Set(wanted.values());
  // Another value of the network may already have an output's new name.
  const rename = (name: string) => wanted.get(name) ?? (taken.has(name) ? `published/${name}/own` : name);
  return {
    ...renameValues(graph, rename),
    outputs: graph.outputs
      .filter(({ name }) => wanted.has(name))
      .map((output) => ({
        ...output,
        name: rename(output.name),
        dims: output.dims.map((size, axis) => (axis === 0 ? (batch === 'free' ? 'n' : batch) : size)),
      })),
  };
}
