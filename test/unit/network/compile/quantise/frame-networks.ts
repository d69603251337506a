import { f32Tensor, type Graph, i64Tensor } from '../../../../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../../../../src/network/compile/graph-builder.ts';
import { noise } from '../networks.ts';

const SIDE_PX = 16;

/** A compiled network: from `frames` u8 [n, 16, 16, 3] to `out` f32 [n, numbers]. `build` gets planes of 0..1. */
export function frameNetwork(build: (builder: GraphBuilder, planes: string) => string): Graph {
  const builder = new GraphBuilder('');
  const planes = builder.node('Transpose', 'planes', ['frames'], { perm: [0, 3, 1, 2] });
  const real = builder.node('Cast', 'real', [planes], { to: 1 });
  const scaled = builder.node('Mul', 'scaled', [real, builder.constant('gain', f32Tensor([], [1 / 255]))]);
  const last = build(builder, scaled);
  const shape = builder.constant('shape', i64Tensor([2], [1, -1]));
  builder.node('Reshape', 'out', [last, shape]);
  return builder.finish({
    name: 'frames',
    opset: 17,
    inputs: [{ name: 'frames', type: 'u8', dims: ['n', SIDE_PX, SIDE_PX, 3] }],
    outputs: [{ name: 'out', type: 'f32', dims: ['n', 'k'] }],
  });
}

/** Pictures of noise, u8 [16, 16, 3], each of another brightness. */
export function frames(count: number, seed = 1): Uint8Array[] {
  return Array.from({ length: count }, (_, at) => {
    const level = 40 + ((at * 37) % 170);
    return Uint8Array.from(noise(SIDE_PX * SIDE_PX * 3, seed + at), (x) => Math.min(255, Math.max(0, level + x * 60)));
  });
}
