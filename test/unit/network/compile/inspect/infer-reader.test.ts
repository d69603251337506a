import { describe, expect, it } from 'vitest';
import { inferReader } from '../../../../../src/network/compile/inspect/infer-reader.ts';
import type { Outline } from '../../../../../src/network/compile/inspect/outline.ts';

type Dims = readonly (number | string)[];

function outline(
  outputs: Record<string, Dims>,
  metadata: Record<string, string> = {},
  input: Dims = [1, 3, 72, 72],
): Outline {
  return {
    path: 'reader.onnx',
    inputs: [{ name: 'input', type: 'f32', dims: input }],
    outputs: Object.entries(outputs).map(([name, dims]) => ({ name, type: 'f32', dims })),
    metadata: new Map(Object.entries(metadata)),
    lastOperators: [],
  };
}

describe('a network that reads crops', () => {
  it('has several heads', () => {
    expect(inferReader(outline({ type: [1, 4, 1, 1], color: [1, 7, 1, 1] }), {})).toMatchObject({
      family: 'heads',
      outputs: { type: 'type', color: 'color' },
      classCount: 11,
      classNames: null,
      batch: 1,
      input: {
        width: 72,
        height: 72,
        colours: 'rgb',
        range: [0, 1],
        mean: [0.485, 0.456, 0.406],
        resize: { mode: 'stretch' },
      },
    });
  });

  it('has labels, each by itself, where an output ends in a sigmoid, and is refused where it cannot tell which', () => {
    const of = (operators: Record<string, string>) => {
      const shapes = { attributes: [1, 8, 1, 1], top: [1, 2, 1, 1], bottom: [1, 2, 1, 1], more: [1, 8] };
      const known = Object.fromEntries(Object.entries(shapes).filter(([name]) => name in operators));
      const plain = outline(known);
      return { ...plain, outputs: plain.outputs.map((port) => ({ ...port, operator: operators[port.name]! })) };
    };
    const labels = { family: 'labels', outputs: { scores: 'attributes' }, classCount: 8 };
    expect(inferReader(of({ attributes: 'Sigmoid', top: 'Conv', bottom: 'Conv' }), {})).toMatchObject(labels);
    expect(inferReader(of({ attributes: 'Sigmoid', top: 'Sigmoid', bottom: 'Sigmoid' }), {})).toMatchObject(labels);
    expect(inferReader(of({ attributes: 'Softmax', more: 'Softmax' }), {})).toMatchObject({ family: 'heads' });
    expect(() => inferReader(of({ attributes: 'Sigmoid', more: 'Sigmoid' }), {})).toThrow(
      /attributes f32 \[1, 8, 1, 1\] \(Sigmoid\); more f32 \[1, 8\] \(Sigmoid\)\. Write a manifest of family labels/,
    );
  });

  it('has one output only if the family is named', () => {
    const one = outline({ out: ['n', 512] });
    expect(inferReader(one, {})).toBeNull();
    expect(inferReader(one, { family: 'heads' })).toMatchObject({ outputs: { out: 'out' }, classCount: 512 });
    expect(inferReader(one, { family: 'embedding' })).toMatchObject({
      outputs: { vector: 'out' },
      classNames: ['embedding'],
    });
  });

  it('names its characters, to which its tools add a space', () => {
    const text = outline({ out: ['n', 't', 5] }, { character: 'a\nb\nc\n' }, ['n', 3, 48, 'w']);
    expect(inferReader(text, {})).toMatchObject({
      family: 'ctc',
      outputs: { scores: 'out' },
      classNames: ['a', 'b', 'c', ' '],
      classCount: 4,
      batch: 'free',
      input: {
        width: 320,
        height: 48,
        colours: 'bgr',
        range: [-1, 1],
        resize: { mode: 'letterbox', anchor: 'top-left' },
      },
    });
    expect(inferReader(text, { inputSize: { width: 960, height: 48 } })?.input).toMatchObject({
      width: 960,
      height: 48,
    });
  });

  it('has the characters of number plates', () => {
    const plates = outline({ plate: ['n', 10, 37], region: ['n', 66] }, {}, ['n', 64, 128, 3]);
    const found = inferReader({ ...plates, inputs: [{ ...plates.inputs[0]!, type: 'u8' }] }, {});
    expect(found).toMatchObject({
      family: 'slots',
      outputs: { scores: 'plate' },
      input: { range: [0, 255], layout: 'nhwc' },
    });
    expect(found?.classNames?.join('')).toBe('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_');
  });

  it('takes levels, colours and resizing from the user', () => {
    const hints = { white: 255, colours: 'bgr', resize: 'letterbox' } as const;
    expect(inferReader(outline({ type: [1, 4, 1, 1], color: [1, 7, 1, 1] }), hints)?.input).toMatchObject({
      range: [0, 255],
      mean: [0, 0, 0],
      deviation: [1, 1, 1],
      colours: 'bgr',
      resize: { mode: 'letterbox', anchor: 'center' },
    });
  });

  it('that does not fit its family, or whose characters nobody names, is refused with what it has', () => {
    expect(() => inferReader(outline({ out: [1, 4] }), { family: 'ctc' })).toThrow(
      'family ctc expects one output [n, steps, 1 + characters]; its outputs are out f32 [1, 4]',
    );
    expect(() => inferReader(outline({ out: [1, 9, 5] }), { family: 'slots' })).toThrow(
      'expected its characters in the metadata "character", or in a file that labels names, one a line; it has 5 scores',
    );
  });

  it('is no detector', () => {
    expect(inferReader(outline({ output0: [1, 84, 8400] }, {}, [1, 3, 640, 640]), {})).toBeNull();
    expect(inferReader(outline({ boxes: [1, 300, 4], labels: [1, 300], scores: [1, 300] }), {})).toBeNull();
    expect(inferReader(outline({ dets: ['n', 300, 4], labels: ['n', 300, 91] }), {})).toBeNull();
  });
});
