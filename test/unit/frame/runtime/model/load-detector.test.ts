import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { type FileSettings, modelName } from '../../../../../src/frame/runtime/model/detector-request.ts';
import { loadDetector } from '../../../../../src/frame/runtime/model/load-detector.ts';
import { i64Tensor } from '../../../../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../../../../src/network/compile/graph-builder.ts';
import { emitOnnx } from '../../../../../src/network/compile/onnx/emit-onnx.ts';
import { tinyYolov8 } from '../../../../support/tiny-models.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-detectors-'));
const places = { searchPath: [join(folder, 'own')], cacheDir: join(folder, 'cache') };

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function errorOf(path: string, settings: FileSettings = {}): Promise<{ code: string; message: string }> {
  const error: unknown = await loadDetector(path, { ...places, settings }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  return error as { code: string; message: string };
}

let two: string;
beforeAll(() => {
  two = write('My Detector (2).onnx', emitOnnx(tinyYolov8(2)));
});

describe('an ONNX file', () => {
  it('becomes a manifest that points at it and pins its content', async () => {
    const manifest = await loadDetector(two, places);
    expect(manifest).toMatchObject({
      name: 'my-detector-2',
      family: 'yolov8',
      classes: ['class0', 'class1'],
      outputs: { predictions: 'out' },
      licence: null,
      files: [
        { name: 'My Detector (2).onnx', sources: [`file:${two}`], sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      ],
    });
  });

  it("has the user's labels, one per line, with spaces and umlauts, for any line ending", async () => {
    const labels = write('labels.txt', '\ufeffTür, blau\r\nrotes Auto\r\n\r\n');
    expect((await loadDetector(two, { ...places, settings: { labels } })).classes).toEqual(['Tür, blau', 'rotes Auto']);
  });

  it("has COCO's labels if the number of classes matches: 80, or its 90 or 91 ids", async () => {
    const file = (classes: number) => write(`coco${classes}.onnx`, emitOnnx(tinyYolov8(classes)));
    const labels = async (classes: number) => (await loadDetector(file(classes), places)).classes;
    const eighty = await labels(80);
    expect([eighty.length, eighty[0], eighty[79]]).toEqual([80, 'person', 'toothbrush']);
    // Category ids as COCO publishes them: 1 person, 13 stop sign, 90 toothbrush; 12 was never used.
    const [ninety, ninetyOne] = [await labels(90), await labels(91)];
    expect([ninety[0], ninety[11], ninety[12], ninety[89]]).toEqual(['person', 'unused 12', 'stop sign', 'toothbrush']);
    expect([ninetyOne[0], ninetyOne[1], ninetyOne[13], ninetyOne[90]]).toEqual([
      'unused 0',
      'person',
      'stop sign',
      'toothbrush',
    ]);
  });

  it.each<[string, string, RegExp]>([
    ['too few', 'one', /expected 2 class names.*has 1/],
    ['a gap', 'one\n\nthree', /line 2 is blank/],
    ['bytes', 'a\0b\nc', /received bytes/],
  ])('is refused with a list of labels that has %s', async (_, text, message) => {
    const { code, message: received } = await errorOf(two, { labels: write('wrong.txt', text) });
    expect([code, received]).toEqual(['COMMAND_INVALID', expect.stringMatching(message)]);
  });

  it("is refused with COCO's labels if it has another number of classes", async () => {
    expect(await errorOf(two, { labels: 'coco' })).toMatchObject({
      code: 'COMMAND_INVALID',
      message: expect.stringContaining('COCO has 80 classes, and its outputs have 2'),
    });
  });
});

describe('a file with free axes and no names', () => {
  /**
   * At 64x64 (the default is 640): three anchors in each of 64 + 16 + 4 cells, of 4 + 1 + 2 numbers, or something else.
   */
  function open(rows: number, columns: number): Uint8Array {
    const builder = new GraphBuilder('');
    const first = builder.constant('first', i64Tensor([1], [0]));
    const last = builder.constant('last', i64Tensor([1], [rows * columns]));
    const flat = builder.node('Reshape', 'flat', ['images', builder.constant('flat-shape', i64Tensor([1], [-1]))]);
    const some = builder.node('Slice', 'some', [flat, first, last]);
    builder.node('Reshape', 'out', [some, builder.constant('shape', i64Tensor([3], [1, rows, columns]))]);
    const graph = builder.finish({
      name: 'open',
      opset: 17,
      inputs: [{ name: 'images', type: 'f32', dims: ['batch', 3, 'height', 'width'] }],
      outputs: [{ name: 'out', type: 'f32', dims: ['batch', 'rows', columns] }],
    });
    return emitOnnx(graph);
  }
  const inputSize = { width: 64, height: 64 };

  it('is run once to count its rows: three per cell are YOLOv5', async () => {
    const path = write('open-yolov5.onnx', open(252, 7));
    expect(await loadDetector(path, { ...places, inputSize })).toMatchObject({
      family: 'yolov5',
      classes: ['class0', 'class1'],
    });
  });

  it('is a DETR if its rows do not match cells, and ambiguous if they could be either', async () => {
    const path = write('open-detr.onnx', open(100, 7));
    expect(await loadDetector(path, { ...places, inputSize })).toMatchObject({
      family: 'detr',
      outputs: { predictions: 'out' },
    });
    const either = write('open-either.onnx', open(84, 7));
    await expect(loadDetector(either, { ...places, inputSize })).rejects.toMatchObject({
      code: 'MODEL_AMBIGUOUS',
      message: expect.stringContaining('out f32 [batch, 84, 7]'),
    });
  });
});

describe('a broken file is refused with its path, in one printable line', () => {
  const random = Uint8Array.from({ length: 4096 }, (_, at) => Math.imul(at + 1, 2654435761) >>> 24);
  it.each<[string, () => string | Uint8Array, string]>([
    ['random bytes', () => random, 'expected an ONNX file'],
    ['a file that was cut off', () => emitOnnx(tinyYolov8(80)).subarray(0, 60), 'cut off'],
    ['an empty file', () => '', 'received an empty one'],
    ['a web page', () => '<!DOCTYPE html><html>not found</html>', 'received a web page'],
    ['a Git LFS pointer', () => 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'git lfs pull'],
    ['a PyTorch file', () => Buffer.from('PK\x03\x04\0\0archive/data.pkl', 'latin1'), 'export it to ONNX'],
    ['a manifest', () => 'name: mine\nfamily: yolov8\n', 'received text'],
  ])('%s', async (title, content, expected) => {
    const path = write(`${title.replaceAll(' ', '-')}.onnx`, content());
    const { code, message } = await errorOf(path);
    expect(code).toBe('MODEL_INVALID');
    expect(message.startsWith(`${path}: `)).toBe(true);
    expect(message).toContain(expected);
    expect(message).toMatch(/^[\x20-\x7e]{1,400}$/);
  });

  it('a missing file, a folder', async () => {
    expect(await errorOf(join(folder, 'none.onnx'))).toMatchObject({ code: 'MODEL_NOT_FOUND' });
    mkdirSync(join(folder, 'folder.onnx'));
    expect((await errorOf(join(folder, 'folder.onnx'))).message).toContain('it is a folder');
  });

  it('binary content under the name of a manifest', async () => {
    const path = write('binary.yaml', random);
    expect((await errorOf(path)).message).toBe(`${path}: expected a manifest in YAML, received a binary file`);
  });

  it('a file truncated at any byte, or with any byte inverted, gives a model or a one-line error', async () => {
    const whole = emitOnnx(tinyYolov8(2));
    const variants = Array.from(whole, (_, at) => [
      whole.subarray(0, at),
      whole.map((byte, i) => (i === at ? byte ^ 0xff : byte)),
    ]);
    const path = write('variant.onnx', whole);
    let errors = 0;
    for (const variant of variants.flat()) {
      writeFileSync(path, variant);
      const thrown: unknown = await loadDetector(path, places).then(
        () => null,
        (error: unknown) => error,
      );
      if (thrown === null) continue;
      errors += 1;
      expect(thrown).toBeInstanceOf(SightlineError);
      expect((thrown as Error).message).toMatch(/^[^\p{Cc}\ufffd]{1,2000}$/u);
    }
    expect(errors).toBeGreaterThan(whole.length);
  });

  it('a file whose names contain unprintable text', async () => {
    const graph = tinyYolov8(2);
    const hostile = { ...graph, inputs: [{ ...graph.inputs[0]!, name: '\u001b[2Jimages\n', dims: [1, 7] }] };
    const { message } = await errorOf(write('hostile.onnx', emitOnnx(hostile)));
    expect(message).toContain('?[2Jimages?');
    expect(message).not.toMatch(/\p{Cc}/u);
  });
});

describe('settings for an ONNX file', () => {
  it('are refused if the model has a manifest', async () => {
    expect(await errorOf('centernet', { labels: 'coco', family: 'yolox' })).toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'model centernet: labels, family can be set for an ONNX file only; a manifest defines its own',
    });
  });
});

it.each([
  ['/x/YOLO v8 (best).onnx', 'yolo-v8-best'],
  ['best.int8.onnx', 'best.int8'],
  ['_ü_.onnx', 'model'],
  [`${'a'.repeat(99)}.onnx`, 'a'.repeat(64)],
])('derives a valid model name: %s becomes %s', (path, name) => {
  expect(modelName(path)).toBe(name);
});
