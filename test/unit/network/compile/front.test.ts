import { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { addFront, type PictureLayout } from '../../../../src/network/compile/front.ts';
import type { Graph } from '../../../../src/network/compile/graph.ts';
import type { NetworkInput } from '../../../../src/network/compile/network-input.ts';
import { convolution, network, runGraph } from './networks.ts';

const INPUT: NetworkInput = {
  tensor: 'images',
  sizeTensor: null,
  layout: 'nchw',
  width: 12,
  height: 16,
  colours: 'rgb',
  range: [0, 255],
};
const frames = Uint8Array.from({ length: 2 * 16 * 12 * 3 }, (_, at) => (Math.imul(at, 2654435761) >>> 11) & 255);
const feed = new Tensor('uint8', frames, [2, 16, 12, 3]);

/** The picture as the network takes it, pixel by pixel from the definition. */
function prepared(input: NetworkInput): Tensor {
  const planes = new Float32Array(frames.length);
  const [black, white] = input.range;
  for (let image = 0; image < 2; image += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      for (let y = 0; y < 16; y += 1) {
        for (let x = 0; x < 12; x += 1) {
          const colour = input.colours === 'rgb' ? channel : 2 - channel;
          const level = frames[((image * 16 + y) * 12 + x) * 3 + colour]!;
          const value = black + (level / 255) * (white - black) - (input.mean?.[channel] ?? 0);
          planes[((image * 3 + channel) * 16 + y) * 12 + x] = value / (input.deviation?.[channel] ?? 1);
        }
      }
    }
  }
  return new Tensor('float32', planes, [2, 3, 16, 12]);
}

async function expectFront(graph: Graph, input: NetworkInput, layout: PictureLayout = 'interleaved'): Promise<Graph> {
  const fronted = addFront(graph, input, 'n', layout);
  expect(fronted.inputs).toEqual([{ name: 'frames', type: 'u8', dims: ['n', 16, 12, 3] }]);
  const expected = await runGraph(graph, prepared(input));
  const received = await runGraph(fronted, feed);
  expect(received.dims).toEqual(expected.dims);
  const largest = Math.max(...expected.values.map(Math.abs));
  const difference = Math.max(...expected.values.map((value, at) => Math.abs(value - received.values[at]!)));
  expect(difference / largest).toBeLessThan(1e-5);
  return fronted;
}

describe('the front, before one convolution', () => {
  const strided = network(3, (builder) =>
    convolution(builder, 'one', 'images', [4, 3, 3], { strides: [2, 2], pads: [0, 1, 1, 0] }),
  );
  const cases: [string, Partial<NetworkInput>][] = [
    ['RGB 0 to 255', {}],
    ['BGR 0 to 255', { colours: 'bgr' }],
    ['RGB 0 to 1', { range: [0, 1] }],
  ];
  it.each(cases)('only costs a cast: %s', async (_, change) => {
    const fronted = await expectFront(strided, { ...INPUT, ...change });
    expect(fronted.nodes.map(({ op }) => op)).toEqual(['Reshape', 'Cast', 'Conv', 'Identity']);
  });

  it.each(cases)('only costs a cast and a renaming of axes if pictures stay interleaved: %s', async (_, change) => {
    const fronted = await expectFront(strided, { ...INPUT, ...change }, 'planes');
    expect(fronted.nodes.map(({ op }) => op)).toEqual(['Transpose', 'Cast', 'Conv', 'Identity']);
  });

  const centred: [string, Partial<NetworkInput>][] = [
    ['BGR -1 to 1', { colours: 'bgr', range: [-1, 1] }],
    [
      'RGB 0 to 1, mean and deviation',
      { range: [0, 1], mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] },
    ],
    [
      'BGR 0 to 255, mean and deviation',
      { colours: 'bgr', mean: [103.53, 116.28, 123.675], deviation: [57.375, 57.12, 58.395] },
    ],
  ];
  it.each(centred)('also costs a subtraction if padding is not black: %s', async (_, change) => {
    const interleaved = await expectFront(strided, { ...INPUT, ...change });
    expect(interleaved.nodes.map(({ op }) => op)).toEqual(['Reshape', 'Cast', 'Add', 'Conv', 'Identity']);
    const planes = await expectFront(strided, { ...INPUT, ...change }, 'planes');
    expect(planes.nodes.map(({ op }) => op)).toEqual(['Transpose', 'Cast', 'Add', 'Conv', 'Identity']);
  });
});

describe('the front, before anything else', () => {
  it('converts the picture to planes', async () => {
    const two = network(3, (builder) =>
      builder.node('Add', 'sum', ['images', builder.node('Relu', 'relu', ['images'])]),
    );
    await expectFront(two, { ...INPUT, colours: 'bgr', range: [0, 1] });
    await expectFront(two, {
      ...INPUT,
      colours: 'bgr',
      mean: [103.53, 116.28, 123.675],
      deviation: [57.375, 57.12, 58.395],
    });
  });

  it('does not transpose the picture for a network that takes N, H, W, C', async () => {
    const graph = network(3, (builder) => builder.node('Transpose', 'turn', ['images'], { perm: [0, 3, 1, 2] }));
    const turned: Graph = { ...graph, inputs: [{ name: 'images', type: 'f32', dims: ['n', 16, 12, 3] }] };
    const { values } = await runGraph(
      addFront(turned, { ...INPUT, layout: 'nhwc', colours: 'bgr' }, 'n', 'planes'),
      feed,
    );
    expect(values).toEqual(prepared({ ...INPUT, colours: 'bgr' }).data);
  });

  it('provides the input size to a network that has an input for it', async () => {
    const graph = network(3, (builder) => builder.node('Cast', 'size-f', ['sizes'], { to: 1 }));
    const sized: Graph = { ...graph, inputs: [...graph.inputs, { name: 'sizes', type: 'i64', dims: ['n', 2] }] };
    const { values } = await runGraph(addFront(sized, { ...INPUT, sizeTensor: 'sizes' }, 'n', 'planes'), feed);
    expect(Array.from(values)).toEqual([12, 16]);
  });

  it('rejects a network with an unknown input', () => {
    const graph = network(3, (builder) => builder.node('Relu', 'relu', ['images']));
    const more: Graph = { ...graph, inputs: [...graph.inputs, { name: 'mask', type: 'f32', dims: [1] }] };
    expect(() => addFront(more, INPUT, 'n', 'planes')).toThrow('it has images, mask');
  });
});
