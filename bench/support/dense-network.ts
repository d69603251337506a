import { f32Tensor, type Graph, i64Tensor } from '../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../src/network/compile/graph-builder.ts';

/** Channels of the five stages, for a width of 1. */
const STAGES = [64, 128, 256, 512, 1024] as const;
/** Bottlenecks of the stages with the depth of the small variants. */
const DEPTHS = [1, 2, 2, 1] as const;
const STRIDES_PX = [8, 16, 32] as const;
const CLASSES = 80;
const BINS = 16;

/**
 * A detector in the shape of YOLOv8 with random weights: no depthwise convolution, SiLU after each, C2f blocks, a pyramid, and
 * the usual head with its distributions. It detects nothing; what it costs is that of the real one.
 *
 * @param width - 0.25 is the shape of the n variant, 0.5 that of s.
 * @param batch - 1, or the name of a free axis.
 * @returns from `images` f32 [batch, 3, size, size] to `output0` f32 [batch, 4 + 80, cells].
 */
export function denseNetwork(width: number, sizePx: number, batch: 1 | 'n' = 1): Graph {
  return new DenseNetwork(width, sizePx, batch).build();
}

class DenseNetwork {
  readonly #builder = new GraphBuilder('');
  readonly #channels: readonly number[];
  readonly #sizePx: number;
  readonly #batch: 1 | 'n';
  /** First size in the shape of a reshape: 0 keeps that of the input. */
  readonly #sameBatch: number;
  #seed = 1;

  constructor(width: number, sizePx: number, batch: 1 | 'n') {
    this.#batch = batch;
    this.#sameBatch = batch === 1 ? 1 : 0;
    this.#channels = STAGES.map((channels) => Math.round(channels * width));
    this.#sizePx = sizePx;
  }

  build(): Graph {
    const [c1, c2, c3, c4, c5] = this.#channels as [number, number, number, number, number];
    const stem = this.#conv('images', 3, c1, 3, 2);
    const p2 = this.#c2f(this.#conv(stem, c1, c2, 3, 2), c2, c2, DEPTHS[0], true);
    const p3 = this.#c2f(this.#conv(p2, c2, c3, 3, 2), c3, c3, DEPTHS[1], true);
    const p4 = this.#c2f(this.#conv(p3, c3, c4, 3, 2), c4, c4, DEPTHS[2], true);
    const p5 = this.#pooled(this.#c2f(this.#conv(p4, c4, c5, 3, 2), c5, c5, DEPTHS[3], true), c5);
    const up4 = this.#c2f(this.#concat([this.#double(p5), p4], 1), c5 + c4, c4, 1, false);
    const out3 = this.#c2f(this.#concat([this.#double(up4), p3], 1), c4 + c3, c3, 1, false);
    const out4 = this.#c2f(this.#concat([this.#conv(out3, c3, c3, 3, 2), up4], 1), c3 + c4, c4, 1, false);
    const out5 = this.#c2f(this.#concat([this.#conv(out4, c4, c4, 3, 2), p5], 1), c4 + c5, c5, 1, false);
    this.#head([out3, out4, out5], [c3, c4, c5]);
    return this.#builder.finish({
      name: 'dense',
      opset: 17,
      inputs: [{ name: 'images', type: 'f32', dims: [this.#batch, 3, this.#sizePx, this.#sizePx] }],
      outputs: [{ name: 'output0', type: 'f32', dims: [this.#batch, 4 + CLASSES, this.#cells()] }],
    });
  }

  #cells(): number {
    return STRIDES_PX.reduce((sum, stride) => sum + (this.#sizePx / stride) ** 2, 0);
  }

  /** Weights as large as keeps the size of activations. */
  #linear(input: string, from: number, to: number, kernel: number, stride = 1): string {
    const count = to * from * kernel * kernel;
    const size = Math.sqrt(6 / (from * kernel * kernel));
    const seed = this.#seed++;
    const weights = Float32Array.from({ length: count }, (_, at) => size * noise(at, seed));
    const bias = Float32Array.from({ length: to }, (_, at) => 0.1 * noise(at, seed + 5000));
    const pad = (kernel - 1) / 2;
    return this.#builder.node(
      'Conv',
      `conv${seed}`,
      [
        input,
        this.#builder.constant(`conv${seed}/w`, f32Tensor([to, from, kernel, kernel], weights)),
        this.#builder.constant(`conv${seed}/b`, f32Tensor([to], bias)),
      ],
      { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] },
    );
  }

  #conv(input: string, from: number, to: number, kernel: number, stride = 1): string {
    const linear = this.#linear(input, from, to, kernel, stride);
    const gate = this.#builder.node('Sigmoid', `${linear}/gate`, [linear]);
    return this.#builder.node('Mul', `${linear}/silu`, [linear, gate]);
  }

  #c2f(input: string, from: number, to: number, depth: number, hasShortcut: boolean): string {
    const half = to / 2;
    const first = this.#conv(input, from, to, 1);
    const sizes = this.#builder.constant(`${first}/halves`, i64Tensor([2], [half, half]));
    const parts = [...this.#builder.nodeWithOutputs('Split', `${first}/split`, [first, sizes], 2, { axis: 1 })];
    for (let at = 0; at < depth; at += 1) {
      const last = parts.at(-1)!;
      const inner = this.#conv(this.#conv(last, half, half, 3), half, half, 3);
      parts.push(hasShortcut ? this.#builder.node('Add', `${inner}/add`, [last, inner]) : inner);
    }
    return this.#conv(this.#concat(parts, 1), half * parts.length, to, 1);
  }

  #pooled(input: string, channels: number): string {
    const parts = [this.#conv(input, channels, channels / 2, 1)];
    for (let at = 0; at < 3; at += 1) {
      const attributes = { kernel_shape: [5, 5], pads: [2, 2, 2, 2], strides: [1, 1] };
      parts.push(this.#builder.node('MaxPool', `pool${at}`, [parts.at(-1)!], attributes));
    }
    return this.#conv(this.#concat(parts, 1), channels * 2, channels, 1);
  }

  #double(input: string): string {
    const scales = this.#builder.constant(`${input}/scales`, f32Tensor([4], [1, 1, 2, 2]));
    const attributes = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    return this.#builder.node('Resize', `${input}/double`, [input, '', scales], attributes);
  }

  #concat(inputs: readonly string[], axis: number): string {
    return this.#builder.node('Concat', `${inputs.at(-1)!}/joined`, inputs, { axis });
  }

  #head(features: readonly string[], channels: readonly number[]): void {
    const builder = this.#builder;
    const boxChannels = Math.max(16, channels[0]! / 4, 4 * BINS);
    const classChannels = Math.max(channels[0]!, Math.min(CLASSES, 100));
    const levels = features.map((feature, at) => {
      const branch = (inner: number, to: number): string =>
        this.#linear(this.#conv(this.#conv(feature, channels[at]!, inner, 3), inner, inner, 3), inner, to, 1);
      const joined = this.#concat([branch(boxChannels, 4 * BINS), branch(classChannels, CLASSES)], 1);
      const shape = builder.constant(`level${at}/shape`, i64Tensor([3], [this.#sameBatch, 4 * BINS + CLASSES, -1]));
      return builder.node('Reshape', `level${at}`, [joined, shape]);
    });
    const all = this.#concat(levels, 2);
    const sizes = builder.constant('head/sizes', i64Tensor([2], [4 * BINS, CLASSES]));
    const [boxes, classes] = builder.nodeWithOutputs('Split', 'head/split', [all, sizes], 2, { axis: 1 });
    const shares = builder.constant('head/bins', i64Tensor([4], [this.#sameBatch, 4, BINS, -1]));
    const turned = builder.node('Transpose', 'head/turned', [builder.node('Reshape', 'head/sides', [boxes!, shares])], {
      perm: [0, 3, 1, 2],
    });
    const soft = builder.node('Softmax', 'head/softmax', [turned], { axis: 3 });
    const numbers = builder.constant(
      'head/numbers',
      f32Tensor(
        [BINS, 1],
        Array.from({ length: BINS }, (_, bin) => bin),
      ),
    );
    const mean = builder.node('MatMul', 'head/mean', [soft, numbers]);
    const flat = builder.constant('head/flat', i64Tensor([3], [this.#sameBatch, -1, 4]));
    const sides = builder.node('Transpose', 'head/distances', [builder.node('Reshape', 'head/means', [mean, flat])], {
      perm: [0, 2, 1],
    });
    builder.node('Concat', 'output0', [this.#boxes(sides), builder.node('Sigmoid', 'head/scores', [classes!])], {
      axis: 1,
    });
  }

  /** Distances in strides to centre and size in pixels. */
  #boxes(sides: string): string {
    const builder = this.#builder;
    const cells = STRIDES_PX.flatMap((stride) => {
      const side = this.#sizePx / stride;
      return Array.from({ length: side * side }, (_, at) => ({
        x: (at % side) + 0.5,
        y: Math.floor(at / side) + 0.5,
        stride,
      }));
    });
    const places = [...cells.map(({ x }) => x), ...cells.map(({ y }) => y)];
    const anchors = builder.constant('head/anchors', f32Tensor([1, 2, cells.length], places));
    const strides = builder.constant(
      'head/strides',
      f32Tensor(
        [1, 1, cells.length],
        cells.map(({ stride }) => stride),
      ),
    );
    const pairs = builder.constant('head/pairs', i64Tensor([2], [2, 2]));
    const [before, after] = builder.nodeWithOutputs('Split', 'head/corners', [sides, pairs], 2, { axis: 1 });
    const from = builder.node('Sub', 'head/from', [anchors, before!]);
    const to = builder.node('Add', 'head/to', [anchors, after!]);
    const half = builder.constant('head/half', f32Tensor([], [0.5]));
    const centre = builder.node('Mul', 'head/centre', [builder.node('Add', 'head/sum', [from, to]), half]);
    const size = builder.node('Sub', 'head/size', [to, from]);
    return builder.node('Mul', 'head/boxes', [
      builder.node('Concat', 'head/box', [centre, size], { axis: 1 }),
      strides,
    ]);
  }
}

/** From -1 to 1, depends on its place alone. */
function noise(at: number, seed: number): number {
  return (Math.imul(at + seed * 7919, 2654435761) >>> 8) / 2 ** 23 - 1;
}
