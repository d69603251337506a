import { type Graph, i64Tensor, type Tensor } from '../graph.ts';
import { reshapeTargets } from '../graph-index.ts';
import type { SizePx } from '../tfjs/lowering.ts';

/** Powers of two between the input and the coarsest grid of a detector. */
const STRIDES_PX = [2, 4, 8, 16, 32, 64, 128] as const;

/**
 * Adapts a network that was exported for one input size to another: reshapes to the grid of a stride, [..., height, width], become
 * reshapes to its grid at the new size, and so do the numbers of cells of the outputs. Only for networks where nothing else depends on
 * the size (convolutions, global pools, channel shuffles), as in the family of PicoDet and NanoDet.
 */
export function resizeGrids(graph: Graph, published: SizePx, size: SizePx): Graph {
  const grids = STRIDES_PX.map((stride) => ({ from: gridOf(published, stride), to: gridOf(size, stride) }));
  const constants = new Map<string, Tensor>(graph.constants);
  for (const [name, dims] of reshapeTargets(graph)) {
    const [height, width] = dims.slice(-2);
    const grid = grids.find(({ from }) => from.height === height && from.width === width);
    // Scales of channels have 1 x 1 cells at any size.
    if (dims.length < 4 || grid === undefined || cellsOf(grid.from) === 1) continue;
    const resized = [...dims.slice(0, -2), grid.to.height, grid.to.width];
    constants.set(name, i64Tensor([dims.length], resized));
  }
  const outputs = graph.outputs.map((output) => ({
    ...output,
    dims: output.dims.map((cells, axis) => {
      const grid = axis === 1 ? grids.find(({ from }) => cellsOf(from) === cells) : undefined;
      return grid === undefined ? cells : cellsOf(grid.to);
    }),
  }));
  return { ...graph, constants, outputs };
}

/** Cells of a grid. */
interface Grid {
  readonly width: number;
  readonly height: number;
}

function gridOf({ width, height }: SizePx, stride: number): Grid {
  return { width: Math.ceil(width / stride), height: Math.ceil(height / stride) };
}

function cellsOf({ width, height }: Grid): number {
  return width * height;
}
