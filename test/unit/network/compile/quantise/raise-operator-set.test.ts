import { describe, expect, it } from 'vitest';
import { raiseOperatorSet } from '../../../../../src/network/compile/quantise/raise-operator-set.ts';
import { network, pictures, runGraph } from '../networks.ts';

describe('raiseOperatorSet', () => {
  it('gives a graph of operator set 13 with the same results', async () => {
    const graph = network(4, (builder) => {
      const [left, right] = builder.nodeWithOutputs('Split', 'split', ['images'], 2, { axis: 1, split: [1, 3] });
      const sum = builder.node('ReduceSum', 'sum', [right!], { axes: [1], keepdims: 0 });
      const wide = builder.node('Unsqueeze', 'wide', [sum], { axes: [1] });
      const flat = builder.node('Squeeze', 'flat', [left!], { axes: [1] });
      const again = builder.node('Unsqueeze', 'again', [flat], { axes: [1] });
      const joined = builder.node('Concat', 'joined', [wide, again], { axis: 1 });
      return builder.node('Softmax', 'soft', [joined], { axis: -1 });
    });
    const old = { ...graph, opset: 11 };
    const raised = raiseOperatorSet(old);
    expect(raised.opset).toBe(13);
    const feed = pictures(4);
    // ONNX Runtime takes the old form in operator set 11 and refuses it in 13.
    expect((await runGraph(raised, feed)).values).toEqual((await runGraph(old, feed)).values);
    await expect(runGraph({ ...old, opset: 13 }, feed)).rejects.toThrow();
  });

  it('returns newer graphs as they are', () => {
    const graph = network(1, (builder) => builder.node('Relu', 'act', ['images']));
    expect(raiseOperatorSet(graph)).toBe(graph);
  });

  it.each([{}, { axis: 2 }, { axis: -2 }])('keeps what a softmax over several axes means (%j)', async (attributes) => {
    const graph = network(4, (builder) => builder.node('Softmax', 'soft', ['images'], attributes));
    const old = { ...graph, opset: 12 };
    const [before, after] = [await runGraph(old, pictures(4)), await runGraph(raiseOperatorSet(old), pictures(4))];
    expect(after).toEqual(before);
    // The same operator means something else in operator set 13.
    expect((await runGraph({ ...old, opset: 13 }, pictures(4))).values).not.toEqual(before.values);
  });

  it('refuses operator sets in which more operators mean something else', () => {
    const graph = network(1, (builder) => builder.node('Relu', 'act', ['images']));
    expect(() => raiseOperatorSet({ ...graph, opset: 10 })).toThrow(/operator set 11 or newer, received 10/);
  });
});
