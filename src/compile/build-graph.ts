import { basename } from 'node:path';
import type { NetworkKind, Precision } from '../core/model.ts';
import { readModel } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { CompileSource } from './compile-source.ts';
import { addFront } from './front.ts';
import type { Graph } from './graph.ts';
import { removeUnused } from './graph-index.ts';
import { isBatchFreed, type NetworkInput } from './network-input.ts';
import { ExternalData } from './onnx/external-data.ts';
import { importOnnx } from './onnx/import-onnx.ts';
import { freeBatch } from './passes/free-batch.ts';
import { gateClasses } from './passes/gate-classes.ts';
import { keepNames } from './passes/keep-names.ts';
import { optimise } from './passes/optimise.ts';
import { renameOutputs } from './passes/rename-outputs.ts';
import { replaceFocus } from './passes/replace-focus.ts';
import { resizeGrids } from './passes/resize-grids.ts';
import { roundHalfOutputs } from './passes/round-half-outputs.ts';
import { toHalf } from './passes/to-half.ts';
import { widenHalf } from './passes/widen-half.ts';
import { unsupported } from './refusals.ts';
import { importTfjs } from './tfjs/import-tfjs.ts';
import type { SizePx } from './tfjs/lowering.ts';
import { readTfjs } from './tfjs/read-tfjs.ts';

/** The target that a graph is built for. */
export interface BuildTarget {
  readonly engine: Exclude<NetworkKind, 'wasm'>;
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

async function build(source: CompileSource, { engine, size, batch, precision, isGated }: BuildTarget): Promise<Graph> {
  const published = { width: source.input.width, height: source.input.height };
  const [modelPath, ...dataPaths] = source.weightPaths as [string, ...string[]];
  let graph: Graph;
  let input: NetworkInput = { ...source.input, ...size };
  if (source.format === 'tfjs') {
    const output = Object.values(source.outputs)[0]!;
    const ranking = engine === 'tensorflow' ? 'by-cell' : 'by-class';
    graph = importTfjs(await readTfjs(modelPath, dataPaths), size, published, output, ranking);
    input = { ...input, tensor: graph.inputs[0]!.name, layout: 'nchw' };
  } else {
    const named = keepNames(importOnnx(await readModel(modelPath), basename(modelPath), new ExternalData(modelPath)));
    graph = roundHalfOutputs(named, widenHalf(named));
    const hasFixedGrids = source.spec.family === 'gfl' && source.input.anySize !== true;
    const taken = hasFixedGrids ? source.input : input;
    checkPicture(graph, taken, source.input.anySize ?? source.spec.family === 'yolox');
    if (hasFixedGrids) graph = resizeGrids(graph, source.input, size);
    if (isBatchFreed(source.spec.family)) graph = freeBatch(replaceFocus(graph, input.tensor));
  }
  const layout = engine === 'onnx' ? 'interleaved' : 'planes';
  const fronted = addFront(optimise(graph, engine), input, batch === 'free' ? 'n' : batch, layout);
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
