import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Graph, i64Tensor } from '../../../../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../../../../src/network/compile/graph-builder.ts';
import { rankedClassCount, rankedClassCountOfFile } from '../../../../../src/network/compile/inspect/ranked-classes.ts';
import { sharedDir } from '../../../../support/shared.ts';

/** Ranks the best 300 of all pairs; `build` computes the class from the indices. */
function ranking(build: (builder: GraphBuilder, index: string, classes: string) => string): Graph {
  const builder = new GraphBuilder('');
  const k = builder.constant('k', i64Tensor([1], [300]));
  const [, index] = builder.nodeWithOutputs('TopK', 'ranked', ['scores', k], 2);
  const last = build(builder, index!, builder.constant('classes', i64Tensor([], [37])));
  builder.node('Identity', 'labels', [last]);
  return builder.finish({
    name: 'ranking',
    opset: 17,
    inputs: [{ name: 'scores', type: 'f32', dims: [1, 5000] }],
    outputs: [{ name: 'labels', type: 'i64', dims: [1, 300] }],
  });
}

describe('the number of classes of a network that ranks pairs of box and class', () => {
  it('is the divisor of the index, with Mod or with Div', () => {
    const modulo = ranking((builder, index, classes) => builder.node('Mod', 'mod', [index, classes]));
    expect(rankedClassCount(modulo, 'labels')).toBe(37);
    const byHand = ranking((builder, index, classes) => {
      const box = builder.node('Div', 'box', [index, classes]);
      return builder.node('Sub', 'rest', [index, builder.node('Mul', 'whole', [box, classes])]);
    });
    expect(rankedClassCount(byHand, 'labels')).toBe(37);
  });

  it('is not that of a division whose output is omitted, as optional inputs are', () => {
    const graph = ranking((builder, index, classes) => {
      const unread = { op: 'Div', name: 'unread', domain: '', inputs: [index, classes], outputs: [''] };
      builder.nodes.push({ ...unread, attributes: new Map() });
      return builder.node('Clip', 'clipped', [index, '', 'most']);
    });
    expect(rankedClassCount(graph, 'labels')).toBeNull();
  });

  it('is unknown without a division', () => {
    expect(
      rankedClassCount(
        ranking((_, index) => index),
        'labels',
      ),
    ).toBeNull();
  });

  // The metadata of YOLO26 names three classes; DEIMv2 was trained on the 80 classes of COCO.
  it.skipIf(sharedDir === null).each([
    ['deimv2_femto_416.onnx', 'labels', 80],
    ['layouts/yolo26.onnx', 'output0', 3],
    ['layouts/yolov8.onnx', 'output0', null],
  ])('is found in real files (needs the shared folder): %s', async (file, output, classes) => {
    expect(await rankedClassCountOfFile(join(sharedDir!, 'models', file), output)).toBe(classes);
  });
});
