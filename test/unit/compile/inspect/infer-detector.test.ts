import { describe, expect, it } from 'vitest';
import { type DetectorHints, inferDetector } from '../../../../src/compile/inspect/infer-detector.ts';
import type { Outline, Port } from '../../../../src/compile/inspect/outline.ts';

type Dims = readonly (number | string)[];

function port(name: string, dims: Dims, type: Port['type'] = 'f32'): Port {
  return { name, type, dims };
}

/** A file with one 640x640 picture input and these outputs. */
function outline(
  outputs: Record<string, Dims>,
  {
    metadata = {},
    inputs = { images: [1, 3, 640, 640] },
    lastOperators = ['Concat', 'Mul'],
  }: {
    metadata?: Record<string, string>;
    inputs?: Record<string, Dims>;
    lastOperators?: string[];
  } = {},
): Outline {
  return {
    path: 'mine.onnx',
    inputs: Object.entries(inputs).map(([name, dims]) => port(name, dims, dims.length === 4 ? 'f32' : 'i64')),
    outputs: Object.entries(outputs).map(([name, dims]) => port(name, dims)),
    metadata: new Map(Object.entries(metadata)),
    lastOperators,
  };
}

function names(count: number): string {
  return `{${Array.from({ length: count }, (_, index) => `${index}: 'c${index}'`).join(', ')}}`;
}

const TASK = { task: 'detect', names: names(80) };
const UNTOLD = {};

describe('the family of a file', () => {
  // 8400 cells of strides 8, 16, 32 at 640x640 (6400 + 1600 + 400); with three anchors each 25200.
  const cases: [string, Outline, string, string[]][] = [
    ['YOLOv8', outline({ output0: [1, 84, 8400] }, { metadata: TASK }), 'yolov8', ['predictions']],
    ['YOLOv8 without metadata', outline({ output0: [1, 84, 8400] }), 'yolov8', ['predictions']],
    [
      'YOLOv8 with free axes',
      outline({ output0: ['batch', 84, 'anchors'] }, { metadata: TASK }),
      'yolov8',
      ['predictions'],
    ],
    [
      'YOLOv8 of 80 classes, axes swapped',
      outline({ out: [1, 8400, 84] }, { metadata: TASK }),
      'yolov8',
      ['predictions'],
    ],
    [
      'YOLOv5',
      outline({ output0: [1, 25200, 85] }, { metadata: { stride: '32', names: names(80) } }),
      'yolov5',
      ['predictions'],
    ],
    ['YOLOv5 without metadata', outline({ output: [1, 25200, 85] }), 'yolov5', ['predictions']],
    ['YOLOv5 of one class', outline({ output: [1, 25200, 6] }), 'yolov5', ['predictions']],
    ['YOLOX', outline({ output: [1, 8400, 85] }, { lastOperators: ['Transpose', 'Concat'] }), 'yolox', ['predictions']],
    [
      'YOLO26',
      outline({ output0: [1, 300, 6] }, { metadata: { ...TASK, head: 'Detect', end2end: 'True' } }),
      'yolo-end2end',
      ['detections'],
    ],
    [
      'an export with built-in NMS',
      outline({ output0: [1, 300, 6] }, { metadata: { ...TASK, end2end: 'False' } }),
      'yolo-end2end',
      ['detections'],
    ],
    ['RT-DETR from Ultralytics', outline({ output0: [1, 300, 84] }, { metadata: TASK }), 'detr', ['predictions']],
    [
      'RT-DETR that selects the best boxes itself',
      outline({ output0: [1, 300, 6] }, { metadata: { ...TASK, head: 'RTDETRDecoder' } }),
      'detr',
      ['detections'],
    ],
    [
      'an older RT-DETR of two classes',
      outline({ output0: [1, 300, 6] }, { metadata: { description: 'Ultralytics rtdetr-l model', names: names(2) } }),
      'detr',
      ['predictions'],
    ],
    [
      'RT-DETR from Hugging Face',
      outline({ logits: [1, 300, 80], pred_boxes: [1, 300, 4] }),
      'detr',
      ['boxes', 'logits'],
    ],
    ['RF-DETR', outline({ dets: [1, 300, 4], labels: [1, 300, 91] }), 'detr', ['boxes', 'logits']],
    [
      'D-FINE',
      outline(
        { labels: ['N', 300], boxes: ['N', 300, 4], scores: ['N', 300] },
        { inputs: { images: ['N', 3, 640, 640], orig_target_sizes: ['N', 2] } },
      ),
      'deimv2',
      ['boxes', 'labels', 'scores'],
    ],
    [
      'an SSD from TensorFlow',
      outline({
        'detection_boxes:0': [1, 100, 4],
        'detection_classes:0': [1, 100],
        'detection_scores:0': [1, 100],
        'num_detections:0': [1],
      }),
      'ssd',
      ['boxes', 'classes', 'scores', 'count'],
    ],
  ];
  it.each(cases)('%s', (_, file, family, outputs) => {
    const inferred = inferDetector(file);
    expect([inferred.family, Object.keys(inferred.outputs)]).toEqual([family, outputs]);
  });

  it('is requested in one message that lists the choices and the flags', () => {
    const message = messageOf(outline({ output: [1, 8400, 85] }));
    expect(message).toMatch(/^mine\.onnx: .*output f32 \[1, 8400, 85\]/);
    for (const text of ['--family', 'yolox (', 'yolov5 (', 'detr (', '--labels', '--color', '--range', '--resize'])
      expect(message).toContain(text);
    expect(message).not.toContain('\n');
  });

  it('is the one that the user specifies, if the outputs fit', () => {
    const file = outline({ output: [1, 8400, 85] });
    expect(inferDetector(file, { family: 'yolov5' })).toMatchObject({ family: 'yolov5', classCount: 80 });
    expect(messageOf(file, { family: 'ssd' })).toContain('--family ssd expects detection_boxes');
  });
});

describe('a network that is not a detector is rejected with the name of its task', () => {
  it.each<[string, Outline, string]>([
    [
      'segmentation, by its metadata',
      outline({ output0: [1, 116, 8400], output1: [1, 32, 160, 160] }, { metadata: { task: 'segment' } }),
      'instance segmentation',
    ],
    [
      'segmentation, by its shapes',
      outline({ output0: [1, 39, 2000], output1: [1, 32, 80, 80] }),
      'instance segmentation',
    ],
    ['key points', outline({ output0: [1, 56, 8400] }, { metadata: { task: 'pose' } }), 'pose estimation'],
    [
      'key points, by the number of channels',
      outline({ output0: [1, 56, 8400] }, { metadata: { names: "{0: 'person'}" } }),
      'pose estimation',
    ],
    ['oriented boxes', outline({ output0: [1, 20, 21504] }, { metadata: { task: 'obb' } }), 'oriented boxes'],
    ['classification', outline({ output0: [1, 1000] }), 'classification'],
    [
      'an unknown task',
      outline({ output0: [1, 84, 8400] }, { metadata: { task: 'tele\u0007path\ny' } }),
      'tele?path?y',
    ],
  ])('%s', (_, file, task) => {
    expect(() => inferDetector(file)).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
    expect(messageOf(file)).toContain(task);
  });
});

describe('a file without metadata whose channels are usual for another task', () => {
  const bare = (channels: number): Outline => outline({ output0: [1, channels, 8400] });

  it.each([
    [56, 'key points (1 class, 17 points of 3 numbers)', 52],
    [20, 'oriented boxes', 16],
    [116, 'masks', 112],
  ])('%i channels: it asks, and says which flags answer', (channels, task, classes) => {
    expect(() => inferDetector(bare(channels))).toThrow(expect.objectContaining({ code: 'MODEL_AMBIGUOUS' }));
    const message = messageOf(bare(channels));
    expect(message).toContain(task);
    expect(message).toContain(`--labels FILE with the names of its ${classes} classes, or --family yolov8`);
    expect(inferDetector(bare(channels), { family: 'yolov8' }).classCount).toBe(classes);
    expect(inferDetector(bare(channels), { classCount: classes }).classCount).toBe(classes);
  });

  it('is taken for a detector if its metadata or its labels say so, or its channels are no usual ones', () => {
    const said = outline({ output0: [1, 56, 8400] }, { metadata: { task: 'detect' } });
    expect(inferDetector(said).classCount).toBe(52);
    expect(inferDetector(bare(56), { classCount: 52 }).classCount).toBe(52);
    expect(inferDetector(bare(8)).classCount).toBe(4);
    expect(inferDetector(bare(84)).classCount).toBe(80);
  });
});

describe('the picture', () => {
  const output = { output0: ['b', 84, 'n'] };
  const input = (dims: Dims, metadata: Record<string, string> = {}, hints: DetectorHints = {}) => {
    const inferred = inferDetector(outline(output, { inputs: { images: dims }, metadata }), hints);
    const { layout, width, height, anySize } = inferred.input;
    return { layout, width, height, anySize, batch: inferred.batch };
  };

  it('has the size from the file, rows before columns', () => {
    expect(input([1, 3, 256, 480])).toEqual({ layout: 'nchw', width: 480, height: 256, anySize: undefined, batch: 1 });
    expect(input([4, 256, 480, 3])).toMatchObject({ layout: 'nhwc', width: 480, height: 256, batch: 4 });
  });

  it('with free axes has the size that the user specifies, else that of the metadata, else 640', () => {
    const free = ['batch', 3, 'height', 'width'];
    expect(input(free)).toEqual({ layout: 'nchw', width: 640, height: 640, anySize: true, batch: 'free' });
    expect(input(free, { imgsz: '[256, 480]' })).toMatchObject({ width: 480, height: 256 });
    expect(input(free, { imgsz: '[256, 480]' }, { inputSize: { width: 96, height: 64 } })).toMatchObject({
      width: 96,
      height: 64,
    });
    expect(input(['batch_size', 'num_channels', 'height', 'width'])).toMatchObject({ layout: 'nchw', anySize: true });
  });

  it.each<[string, Record<string, Dims>]>([
    ['grey pictures', { images: [1, 1, 640, 640] }],
    ['two pictures', { left: [1, 3, 64, 64], right: [1, 3, 64, 64] }],
    ['a mask', { images: [1, 3, 64, 64], mask: [1, 64, 64] }],
    ['no picture', { tokens: [1, 77] }],
    ['an absurd size', { images: [1, 3, 1_000_000_000, 64] }],
  ])('is rejected for %s', (_, inputs) => {
    expect(() => inferDetector(outline(output, { inputs }))).toThrow(
      expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }),
    );
  });
});

describe('colours, range and resize rule', () => {
  const rule = (file: Outline, hints: DetectorHints = UNTOLD) => {
    const { colours, range, resize, mean } = inferDetector(file, hints).input;
    return { colours, range, resize, mean };
  };
  const yolov8 = outline({ output0: [1, 84, 8400] }, { metadata: TASK });

  it('are those of the family', () => {
    expect(rule(yolov8)).toMatchObject({
      colours: 'rgb',
      range: [0, 1],
      resize: { mode: 'letterbox', anchor: 'center', padValue: 114 },
    });
    const rtdetr = outline({ output0: [1, 300, 84] }, { metadata: TASK });
    expect(rule(rtdetr)).toMatchObject({ colours: 'rgb', range: [0, 1], resize: { mode: 'stretch' } });
    const yolox = outline({ output: [1, 8400, 85] }, { lastOperators: ['Transpose', 'Concat'] });
    expect(rule(yolox)).toMatchObject({
      colours: 'bgr',
      range: [0, 255],
      resize: { anchor: 'top-left', rounding: 'floor' },
    });
    const rfdetr = outline({ dets: [1, 300, 4], labels: [1, 300, 91] });
    expect(rule(rfdetr)).toMatchObject({ mean: [0.485, 0.456, 0.406], resize: { mode: 'stretch' } });
  });

  it('are those that the user specifies', () => {
    const said = rule(yolov8, { colours: 'bgr', white: 255, resize: 'letterbox-top-left' });
    expect(said).toMatchObject({ colours: 'bgr', range: [0, 255], resize: { mode: 'letterbox', anchor: 'top-left' } });
  });
});

describe('class names', () => {
  it('are in the order of their ids, from a dictionary or a list', () => {
    const file = (text: string) => outline({ output0: [1, 6, 8400] }, { metadata: { names: text } });
    expect(inferDetector(file(`{1: 'b, c', 0: "a's"}`)).classNames).toEqual(["a's", 'b, c']);
    expect(inferDetector(file("['a', 'b']")).classNames).toEqual(['a', 'b']);
  });

  it.each(["{0: 'a', 2: 'c'}", '{', "{'a': 'b'}", '[]', '7'])('are rejected if they are invalid: %s', (text) => {
    const file = outline({ output0: [1, 6, 8400] }, { metadata: { names: text } });
    expect(() => inferDetector(file)).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }));
  });
});

function messageOf(file: Outline, hints: DetectorHints = {}): string {
  try {
    inferDetector(file, hints);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('expected an error');
}
