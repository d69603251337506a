import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CompileSource } from '../../../../src/network/compile/compile-source.ts';

/** A weight of the mini network; `store` is its quantisation in the download. */
interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
  readonly store: 'f32' | 'f16' | 'u8' | 'i32';
}

const CLASSES = 3;
const PEAKS = 8;
export const MINI_SIZE = { width: 64, height: 64 };
type Size = typeof MINI_SIZE;

/**
 * Writes a TensorFlow.js CenterNet of a few layers with random weights: every operator of the published one, the same tail, weights
 * in f32, f16 and u8. Written directly in the file format, so that TensorFlow.js itself is the reference.
 */
export function writeMiniCenternet(
  folder: string,
  change: (nodes: TfNodeInput[]) => void = () => {},
  size: Size = MINI_SIZE,
): CompileSource {
  const mini = new MiniNetwork(size);
  const { nodes, weights } = mini.build();
  change(nodes);
  mkdirSync(folder, { recursive: true });
  const manifest = weights.map(({ name, shape, store }) => {
    if (store === 'f32' || store === 'i32') return { name, shape, dtype: store === 'f32' ? 'float32' : 'int32' };
    const quantization =
      store === 'f16'
        ? { dtype: 'float16', original_dtype: 'float32' }
        : { dtype: 'uint8', scale: 1 / 128, min: -1, original_dtype: 'float32' };
    return { name, shape, dtype: 'float32', quantization };
  });
  const model = {
    format: 'graph-model',
    modelTopology: { node: nodes, versions: { producer: 1 } },
    weightsManifest: [{ paths: ['mini.bin'], weights: manifest }],
  };
  const weightPaths = [join(folder, 'mini.json'), join(folder, 'mini.bin')];
  writeFileSync(weightPaths[0]!, JSON.stringify(model));
  writeFileSync(weightPaths[1]!, Buffer.concat(weights.map(pack)));
  return {
    spec: {
      name: 'mini',
      family: 'centernet',
      input: { ...size, resize: { mode: 'stretch' } },
      classes: ['a', 'b', 'c'],
      nmsIou: null,
      scoreThreshold: 0.3,
      maxDetections: PEAKS,
      classesPerBox: 'best',
    },
    format: 'tfjs',
    input: { tensor: 'images', sizeTensor: null, layout: 'nhwc', ...size, colours: 'rgb', range: [0, 255] },
    outputs: { detections: 'detections' },
    batch: 1,
    weightPaths,
  };
}

export interface TfNodeInput {
  name: string;
  op: string;
  input: string[];
  attr: Record<string, unknown>;
}

class MiniNetwork {
  readonly #nodes: TfNodeInput[] = [];
  readonly #weights: Weight[] = [];
  readonly #size: Size;
  #seed = 7;

  constructor(size: Size) {
    this.#size = size;
  }

  build(): { nodes: TfNodeInput[]; weights: Weight[] } {
    const shape = { dim: [1, this.#size.height, this.#size.width, 3].map((size) => ({ size: String(size) })) };
    this.#node('images', 'Placeholder', [], { dtype: { type: 'DT_FLOAT' }, shape: { shape } });
    // 64 to 32, with a hard-swish, then a depthwise layer to 16 with a squeeze-and-excite gate.
    const stem = this.#hardSwish('stem', this.#conv('stem-conv', 'images', [3, 3, 3, 8], 2, ['BiasAdd'], 'f16', 0.004));
    const narrow = this.#depthwise('narrow', stem, 8, 2);
    const pooled = this.#node('pooled', 'Mean', [narrow, this.#integers('axes', [2], [1, 2])], {
      keep_dims: { b: true },
    });
    const gate = this.#node('gate', 'Sigmoid', [
      this.#conv('squeeze', pooled, [1, 1, 8, 8], 1, ['BiasAdd', 'Relu'], 'f32'),
    ]);
    const excited = this.#node('excited', 'Mul', [narrow, gate]);
    const resized = this.#node(
      'resized',
      'ResizeBilinear',
      [excited, this.#integers('size', [2], [this.#size.height / 2, this.#size.width / 2])],
      {
        align_corners: { b: false },
        half_pixel_centers: { b: false },
      },
    );
    // Six channels through a depthwise layer, which the compiler must align.
    const side = this.#depthwise(
      'side',
      this.#conv('side-in', stem, [1, 1, 8, 6], 1, ['BiasAdd', 'Relu6'], 'u8'),
      6,
      1,
    );
    const joined = this.#node(
      'joined',
      'ConcatV2',
      [
        this.#conv('side-out', side, [1, 1, 6, 8], 1, ['BiasAdd'], 'f16'),
        resized,
        this.#integers('joined-axis', [], [3]),
      ],
      { N: { i: '2' } },
    );
    const features = this.#node('features', 'Relu', [joined]);
    const heat = this.#node('heat', 'Sigmoid', [
      this.#conv('heat-conv', features, [1, 1, 16, CLASSES], 1, ['BiasAdd'], 'f32'),
    ]);
    const edges = this.#conv('edges-conv', features, [1, 1, 16, 4], 1, ['BiasAdd'], 'f32');
    this.#tail(heat, this.#node('edges', 'Mul', [edges, this.#number('edge-scale', 4)]));
    return { nodes: this.#nodes, weights: this.#weights };
  }

  #tail(heat: string, edges: string): void {
    const cells = (this.#size.width * this.#size.height) / 4;
    const side = this.#integers('side-cells', [], [this.#size.width / 2]);
    const last = this.#integers('last-axis', [], [-1]);
    const classes = this.#integers('classes', [], [CLASSES]);
    const pool = this.#node('pool', 'MaxPool', [heat], { ...window(1, 'SAME'), ksize: list([1, 3, 3, 1]) });
    const isPeak = this.#node('is-peak', 'Cast', [this.#node('equal', 'Equal', [heat, pool])], {
      DstT: { type: 'DT_FLOAT' },
    });
    const masked = this.#node('masked', 'Mul', [heat, isPeak]);
    const flat = this.#node('flat', 'Reshape', [masked, this.#integers('flat-shape', [2], [1, -1])]);
    const best = this.#node('best', 'TopKV2', [flat, this.#integers('k', [], [PEAKS])], { sorted: { b: true } });
    const cell = this.#node('cell', 'FloorDiv', [`${best}:1`, classes]);
    const classId = this.#node('class', 'FloorMod', [`${best}:1`, classes]);
    const row = this.#node('row', 'FloorDiv', [cell, side]);
    const column = this.#node('column', 'FloorMod', [cell, side]);
    const asColumn = (name: string, value: string) =>
      this.#node(name, 'ExpandDims', [this.#node(`${name}-f`, 'Cast', [value], { DstT: { type: 'DT_FLOAT' } }), last]);
    const list4 = this.#node('edge-rows', 'Reshape', [edges, this.#integers('edge-shape', [2], [cells, 4])]);
    const at = this.#node('at', 'Reshape', [cell, this.#integers('at-shape', [1], [-1])]);
    const gathered = this.#node('gathered', 'GatherV2', [list4, at, this.#integers('gather-axis', [], [0])], {
      batch_dims: { i: '0' },
    });
    const chosen = this.#node('chosen', 'Reshape', [gathered, this.#integers('chosen-shape', [3], [1, PEAKS, 4])]);
    const x = asColumn('x', column);
    const y = asColumn('y', row);
    const corners = [x, y, x, y].map((centre, index) => {
      const scaled = this.#node(`centre-${index}`, 'Mul', [centre, this.#number(`stride-${index}`, 2)]);
      const edge = this.#node(
        `edge-${index}`,
        'StridedSlice',
        [
          chosen,
          ...[
            [0, 0, index],
            [0, 0, index + 1],
            [1, 1, 1],
          ].map((values, part) => this.#integers(`edge-${index}-${part}`, [3], values)),
        ],
        {
          begin_mask: { i: '3' },
          end_mask: { i: '3' },
          ellipsis_mask: { i: '0' },
          new_axis_mask: { i: '0' },
          shrink_axis_mask: { i: '0' },
        },
      );
      return this.#node(`corner-${index}`, index < 2 ? 'Sub' : 'Add', [scaled, edge]);
    });
    const score = this.#node('score', 'ExpandDims', [best, last]);
    const parts = [...corners, score, asColumn('class-f', classId), last];
    this.#node('detections', 'Identity', [this.#node('rows', 'ConcatV2', parts, { N: { i: '6' } })]);
  }

  #conv(
    name: string,
    input: string,
    shape: number[],
    stride: number,
    fused: string[],
    store: 'f32' | 'f16' | 'u8',
    scale = 1,
  ): string {
    const padding = shape[0] === 1 ? 'VALID' : 'SAME';
    const inputs = [
      input,
      this.#random(`${name}/w`, shape, store, scale),
      this.#random(`${name}/b`, [shape[3]!], 'f32', 1),
    ];
    return this.#node(name, '_FusedConv2D', inputs, {
      ...window(stride, padding),
      fused_ops: { list: { s: fused.map(text) } },
      num_args: { i: '1' },
    });
  }

  #depthwise(name: string, input: string, channels: number, stride: number): string {
    const inputs = [
      input,
      this.#random(`${name}/w`, [3, 3, channels, 1], 'f16', 1),
      this.#random(`${name}/b`, [channels], 'f32', 1),
    ];
    const fused = { list: { s: ['BiasAdd', 'Relu'].map(text) } };
    return this.#node(name, 'FusedDepthwiseConv2dNative', inputs, {
      ...window(stride, 'SAME'),
      fused_ops: fused,
      num_args: { i: '1' },
    });
  }

  #hardSwish(name: string, input: string): string {
    const shifted = this.#node(`${name}-add`, 'Add', [input, this.#number(`${name}-three`, 3)]);
    const scaled = this.#node(`${name}-mul`, 'Mul', [this.#number(`${name}-sixth`, 0.1666), input]);
    return this.#node(name, 'Mul', [scaled, this.#node(`${name}-relu6`, 'Relu6', [shifted])]);
  }

  #random(name: string, shape: number[], store: 'f32' | 'f16' | 'u8', scale: number): string {
    const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
      this.#seed = (this.#seed * 1103515245 + 12345) % 2 ** 31;
      return (this.#seed / 2 ** 30 - 1) * scale;
    });
    return this.#constant({ name, shape, values, store }, 'DT_FLOAT');
  }

  #number(name: string, value: number): string {
    return this.#constant({ name, shape: [], values: [value], store: 'f32' }, 'DT_FLOAT');
  }

  #integers(name: string, shape: number[], values: number[]): string {
    return this.#constant({ name, shape, values, store: 'i32' }, 'DT_INT32');
  }

  #constant(weight: Weight, type: string): string {
    this.#weights.push(weight);
    return this.#node(weight.name, 'Const', [], { dtype: { type } });
  }

  #node(name: string, op: string, input: string[], attr: Record<string, unknown> = {}): string {
    this.#nodes.push({ name, op, input, attr: { T: { type: 'DT_FLOAT' }, ...attr } });
    return name;
  }
}

function window(stride: number, padding: string): Record<string, unknown> {
  const strides = list([1, stride, stride, 1]);
  return { strides, dilations: list([1, 1, 1, 1]), padding: { s: text(padding) }, data_format: { s: text('NHWC') } };
}

function list(values: number[]): unknown {
  return { list: { i: values.map(String) } };
}

function text(value: string): string {
  return Buffer.from(value).toString('base64');
}

function pack({ values, store }: Weight): Buffer {
  const numbers = Array.from(values);
  if (store === 'f32') return Buffer.from(Float32Array.from(numbers).buffer);
  if (store === 'i32') return Buffer.from(Int32Array.from(numbers).buffer);
  if (store === 'u8') return Buffer.from(numbers.map((value) => Math.round((value + 1) * 127.5)));
  return Buffer.from(Uint16Array.from(numbers, toHalf).buffer);
}

/** Converts to half precision by truncating the bits of the f32; numbers here are normal, or tiny and become 0. */
function toHalf(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  const exponent = ((bits >> 23) & 0xff) - 127 + 15;
  return exponent <= 0 ? 0 : ((bits >> 16) & 0x8000) | (exponent << 10) | ((bits >> 13) & 0x3ff);
}
