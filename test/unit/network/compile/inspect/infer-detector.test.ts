import { describe, expect, it } from 'vitest';
import { type DetectorHints, inferDetector } from '../../../../../src/network/compile/inspect/infer-detector.ts';
import type { Outline, Port } from '../../../../../src/network/compile/inspect/outline.ts';
import { whyNothingIsFound } from '../../../../../src/network/compile/inspect/task-layouts.ts';

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

describe('a network for more than boxes, or for the picture as a whole, is recognised', () => {
  const PERSON = "{0: 'person'}";
  const yolo = (dims: Dims, metadata: Record<string, string>) => outline({ output0: dims }, { metadata });

  it.each<[string, Outline, object]>([
    [
      'masks of YOLOv8, by the task in its metadata',
      outline({ output0: [1, 116, 8400], output1: [1, 32, 160, 160] }, { metadata: { task: 'segment' } }),
      { family: 'yolov8-seg', classCount: 80, outputs: { predictions: 'output0', prototypes: 'output1' } },
    ],
    [
      'masks of YOLOv8, by its shapes, with the prototypes first',
      outline({ protos: [1, 32, 80, 80], output0: [1, 39, 2000] }),
      { family: 'yolov8-seg', classCount: 3, outputs: { predictions: 'output0', prototypes: 'protos' } },
    ],
    [
      'masks of YOLOv5',
      outline({ output0: [1, 25200, 117], output1: [1, 32, 160, 160] }),
      { family: 'yolov5-seg', classCount: 80, nmsIou: 0.6 },
    ],
    [
      'boxes of MMDeploy',
      outline({ dets: ['n', 'k', 5], labels: ['n', 'k'] }),
      { family: 'rtmdet', classCount: null, nmsIou: null, outputs: { boxes: 'dets', labels: 'labels' } },
    ],
    [
      'masks of MMDeploy',
      outline({ dets: [1, 100, 5], labels: [1, 100], masks: [1, 100, 640, 640] }),
      { family: 'rtmdet-ins', outputs: { boxes: 'dets', labels: 'labels', prototypes: 'masks' } },
    ],
    [
      'key points, by the metadata',
      yolo([1, 28, 8400], { task: 'pose', names: "{0: 'hand', 1: 'paw'}", kpt_shape: '[11, 2]' }),
      { family: 'yolov8-pose', classCount: 2, keypoints: 11 },
    ],
    [
      'key points, by the number of channels',
      yolo([1, 56, 8400], { names: PERSON }),
      { family: 'yolov8-pose', classCount: 1, keypoints: 17 },
    ],
    [
      'oriented boxes',
      yolo([1, 20, 21504], { task: 'obb' }),
      { family: 'yolov8-obb', classCount: 15, outputs: { predictions: 'output0' } },
    ],
    [
      'key points of one object',
      outline({ simcc_y: ['n', 26, 512], simcc_x: ['n', 26, 384] }, { inputs: { input: ['n', 3, 256, 192] } }),
      { family: 'rtmpose', classCount: 1, keypoints: 26, outputs: { x: 'simcc_x', y: 'simcc_y' } },
    ],
    [
      'faces with five points',
      outline({ loc: ['n', 14], conf: ['n', 2], iou: ['n', 1] }, { inputs: { input: [1, 3, 120, 160] } }),
      {
        family: 'yunet',
        classCount: 1,
        keypoints: 5,
        classNames: ['face'],
        outputs: { predictions: 'loc', scores: 'conf', ious: 'iou' },
      },
    ],
    [
      'classes of ImageNet, before the softmax',
      outline({ output0: ['n', 1000] }),
      { family: 'classifier', classCount: 1000, outputs: { logits: 'output0' } },
    ],
    [
      'classes of YOLO, behind it',
      outline({ output0: [1, 9] }, { metadata: { task: 'classify' }, lastOperators: ['Softmax', 'Gemm'] }),
      { family: 'classifier', classCount: 9, outputs: { probabilities: 'output0' } },
    ],
  ])('%s', (_, file, expected) => {
    expect(inferDetector(file)).toMatchObject(expected);
  });

  it('by the family that the user names, if its metadata says nothing', () => {
    const bare = outline({ output0: [1, 56, 8400] });
    expect(inferDetector(bare, { family: 'yolov8-pose' })).toMatchObject({ classCount: 1, keypoints: 17 });
    const turned = outline({ output0: [1, 20, 8400] });
    expect(inferDetector(turned, { family: 'yolov8-obb' })).toMatchObject({ family: 'yolov8-obb', classCount: 15 });
    expect(messageOf(bare, { family: 'yolov8-seg' })).toContain(
      '--family yolov8-seg expects [n, 4 + classes + m, cells]',
    );
  });

  it('but numbers that can be an embedding as well are asked about', () => {
    const file = outline({ features: ['n', 512] });
    expect(() => inferDetector(file)).toThrow(expect.objectContaining({ code: 'MODEL_AMBIGUOUS' }));
    expect(messageOf(file)).toContain('give --labels FILE with their names, or --family classifier');
    expect(inferDetector(file, { family: 'classifier' })).toMatchObject({ classCount: 512 });
    expect(inferDetector(file, { classCount: 512 })).toMatchObject({ family: 'classifier' });
  });

  it('and one whose scores can only be 0 is named, with the reason', () => {
    const metadata = { task: 'pose', names: PERSON };
    const broken = outline(
      { output0: [1, 56, 8400] },
      { metadata, lastOperators: ['DequantizeLinear', 'QuantizeLinear'] },
    );
    expect(whyNothingIsFound(broken)).toContain('every score is rounded to 0');
    expect(whyNothingIsFound(outline({ output0: [1, 56, 8400] }, { metadata }))).toBeNull();
  });
});

describe('a network for a task that no family has is rejected with its name', () => {
  it.each<[string, Outline, string]>([
    [
      'semantic segmentation',
      outline({ output0: [1, 19, 80, 80] }, { metadata: { task: 'semantic' } }),
      'semantic segmentation',
    ],
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

it('a network whose ranges are those of a batch gets one picture at a time, so that none depends on the others', () => {
  const file = outline({ output0: ['n', 84, 8400] }, { inputs: { images: ['n', 3, 640, 640] }, metadata: TASK });
  expect(inferDetector(file).batch).toBe('free');
  expect(inferDetector({ ...file, rangesOfBatch: true }).batch).toBe(1);
});

describe('a file without metadata whose channels are usual for another task', () => {
  const bare = (channels: number): Outline => outline({ output0: [1, channels, 8400] });

  it.each([
    [56, 'key points (1 class, 17 points of 3 numbers)', 52],
    [20, 'oriented boxes', 16],
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

  it('keep the mean of each colour where the user swaps them', () => {
    const file = outline({ dets: ['n', 'k', 5], labels: ['n', 'k'] });
    expect(rule(file)).toMatchObject({ colours: 'bgr', mean: [103.53, 116.28, 123.675] });
    expect(rule(file, { colours: 'rgb' })).toMatchObject({ colours: 'rgb', mean: [123.675, 116.28, 103.53] });
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
