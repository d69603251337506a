import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { DECODERS } from '../../models/decoders.ts';
import type { ModelSpec } from '../../src/base/core/model.ts';
import { finishRows } from '../../src/frame/postprocess/finish-rows.ts';
import { preprocessImage } from '../../src/frame/preprocess/sharp-preprocessor.ts';
import { loadDetector } from '../../src/frame/runtime/model/load-detector.ts';
import { prepareModel } from '../../src/frame/runtime/model/prepare-model.ts';
import { runCompiled } from '../../src/frame/runtime/model/run-compiled.ts';
import { modelSpec } from '../../src/network/store/manifests.ts';
import { modelPlaces } from '../support/model-places.ts';
import { opencvLinear, type Pixels, padded } from '../support/opencv-resize.ts';
import { sharedDir } from '../support/shared.ts';

interface Layout {
  readonly file: string;
  readonly family: string;
  readonly refuse?: unknown;
  readonly input: { width: number; height: number; dtype: string; mean?: number[]; resize: { rule: string } };
  readonly scoreThreshold: number;
  readonly nms: { iou: number } | null;
  readonly tolerance: { score: number; box: number };
  readonly placement: { scaleX: number; scaleY: number; left: number; top: number };
  readonly placedRgbSha256: string;
  readonly detections: readonly { classId: number; score: number; box: [number, number, number, number] }[];
}

interface Expected {
  readonly picture: { file: string; width: number; height: number; decodedBgrSha256: string };
  readonly layouts: readonly Layout[];
}

const folder = join(sharedDir ?? '.', 'models', 'layouts');
const expected: Expected =
  sharedDir === null
    ? { picture: { file: '', width: 0, height: 0, decodedBgrSha256: '' }, layouts: [] }
    : (JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected);
const detectors = expected.layouts.filter(({ refuse }) => refuse === undefined);

/** Names of families in the reference, if they differ. */
const FAMILIES: Readonly<Record<string, string>> = {
  'detr-logits': 'detr',
  'rtdetr-ultralytics': 'detr',
  'rtdetr-ultralytics-topk': 'detr',
  'tf-ssd': 'ssd',
};

const cacheDir = modelPlaces.cacheDir;
/** The reference resizes like OpenCV; these two were trained with antialiasing and are resized with it here. */
const ANTIALIASED = ['detr_hf.onnx', 'detr_rfdetr.onnx'];
const places = { searchPath: [], cacheDir };
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(sharedDir === null)('ONNX files without a manifest (needs the shared folder)', () => {
  let picture: Pixels;

  beforeAll(async () => {
    const { file, width, height } = expected.picture;
    const data = await sharp(join(sharedDir!, 'coco-val-100', 'images', file))
      .raw()
      .toBuffer();
    picture = { width, height, data };
    const bgr = Uint8Array.from(data, (_, at) => data[at - (at % 3) + 2 - (at % 3)]!);
    expect(sha256(bgr), 'the reference decodes the same pixels').toBe(expected.picture.decodedBgrSha256);
  });

  function placed({ input, placement, placedRgbSha256 }: Layout): Uint8Array {
    const [width, height] = [picture.width * placement.scaleX, picture.height * placement.scaleY].map(Math.round);
    const scaled = opencvLinear(picture, width!, height!);
    const { data } = padded(scaled, input.width, input.height, placement.left, placement.top, 114);
    expect(sha256(data), 'the reference saw the same input').toBe(placedRgbSha256);
    return data;
  }

  it.each(detectors.map((layout) => [`${layout.file} ${layout.input.width}x${layout.input.height}`, layout] as const))(
    '%s returns the boxes of the reference',
    async (_, layout) => {
      const path = join(folder, layout.file);
      const inputSize = { width: layout.input.width, height: layout.input.height };
      const request = { ...places, inputSize };
      const manifest = await loadDetector(path, request);
      expect(manifest.family).toBe(FAMILIES[layout.family] ?? layout.family);
      expect(manifest.input.resize.mode).toBe(layout.input.resize.rule);
      const model = await prepareModel(path, {
        ...request,
        engine: 'onnx',
        precision: 'f32',
        onNotice: () => {},
        mayFetch: false,
      });
      const [outputs] = await runCompiled({ ...model, batch: 1 }, [placed(layout)]);
      for (const classesPerBox of ['best', 'all'] as const) {
        // No candidate has two classes above the threshold, so `best` and `all` return the same boxes.
        const spec: ModelSpec = { ...model.spec, nmsIou: layout.nms?.iou ?? null, classesPerBox };
        const [rows] = DECODERS[spec.family](outputs!, 1, spec, layout.scoreThreshold);
        const { scaleX, scaleY, left, top } = layout.placement;
        const placement = { scaleX, scaleY, offsetX: left, offsetY: top };
        expectBoxes(finishRows(rows!, spec, placement, picture), layout);
      }
    },
  );
});

describe.skipIf(sharedDir === null)('the input of an ONNX file (needs the shared folder)', () => {
  const linear = detectors.filter(({ file }) => !ANTIALIASED.includes(file));
  it.each(linear.map((layout) => [`${layout.file} ${layout.input.width}x${layout.input.height}`, layout] as const))(
    '%s is bit-identical to that of the reference, starting from the photograph',
    async (_, { file, input: { width, height }, placement, placedRgbSha256 }) => {
      const spec = modelSpec(await loadDetector(join(folder, file), { ...places, inputSize: { width, height } }));
      const pixels = new Uint8Array(width * height * 3);
      const placed = await preprocessImage(
        join(sharedDir!, 'coco-val-100', 'images', expected.picture.file),
        spec,
        pixels,
      );
      const { scaleX, scaleY, left, top } = placement;
      expect(placed.placement).toEqual({ scaleX, scaleY, offsetX: left, offsetY: top });
      expect(sha256(pixels)).toBe(placedRgbSha256);
    },
  );
});

/** Matches boxes by class and position, because rounding can swap neighbours in the ranking. */
function expectBoxes(rows: Float32Array, { detections, tolerance }: Layout): void {
  const found = Array.from({ length: rows.length / 6 }, (_, row) => Array.from(rows.subarray(row * 6, row * 6 + 6)));
  expect(found).toHaveLength(detections.length);
  for (const { classId, score, box } of detections) {
    const distance = (row: number[]) => Math.max(...box.map((value, at) => Math.abs(value - row[at]!)));
    const at = found
      .map((row, index) => [row[5] === classId ? distance(row) : Number.POSITIVE_INFINITY, index] as const)
      .sort(([a], [b]) => a - b)[0]!;
    expect(at[0], `class ${classId} at ${box}`).toBeLessThanOrEqual(tolerance.box);
    const [row] = found.splice(at[1], 1);
    expect(Math.abs(row![4]! - score)).toBeLessThanOrEqual(tolerance.score);
  }
}

describe.skipIf(sharedDir === null)('what is inferred (needs the shared folder)', () => {
  it('class names keep their commas, apostrophes and umlauts', async () => {
    const { classes } = await loadDetector(join(folder, 'yolo11.onnx'), places);
    expect(classes).toEqual(["driver's hat", 'box, open', 'Tür: blau']);
  });

  it('a segmentation network is recognised', async () => {
    const manifest = await loadDetector(join(folder, 'yolov8_seg.onnx'), places);
    expect(manifest).toMatchObject({ family: 'yolov8-seg', task: 'masks', classes: ['person', 'bicycle', 'car'] });
  });

  it('a file with fixed axes cannot run at another size, and the error gives a remedy', async () => {
    const inputSize = { width: 416, height: 416 };
    const options = { ...places, inputSize, engine: 'onnx', precision: 'f32', onNotice: () => {} } as const;
    await expect(prepareModel(join(folder, 'yolov8.onnx'), options)).rejects.toMatchObject({
      code: 'COMPILE_UNSUPPORTED',
      message: expect.stringContaining('laid out for 320x320'),
    });
  });
});
