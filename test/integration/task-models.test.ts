import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DECODERS } from '../../models/decoders.ts';
import { LAST_COCO_ID, UNUSED_COCO_IDS } from '../../src/base/core/coco-ids.ts';
import type { Box, Detection, Mask } from '../../src/base/core/detection.ts';
import type { CompiledModel } from '../../src/base/core/model.ts';
import { iouXywh } from '../../src/base/geometry/iou.ts';
import { maskIou, runsOfMask } from '../../src/base/geometry/rle.ts';
import { unpackRows } from '../../src/base/geometry/task-rows.ts';
import { finishRows } from '../../src/frame/postprocess/finish-rows.ts';
import { preprocessImage } from '../../src/frame/preprocess/sharp-preprocessor.ts';
import { loadDetector } from '../../src/frame/runtime/model/load-detector.ts';
import { prepareModel } from '../../src/frame/runtime/model/prepare-model.ts';
import { runCompiled } from '../../src/frame/runtime/model/run-compiled.ts';
import { modelPlaces } from '../support/model-places.ts';
import { sharedDir } from '../support/shared.ts';

/** A result of the reference: onnxruntime, OpenCV and numpy in Python, in COCO's form. */
interface Reference {
  readonly image_id: number;
  readonly category_id: number;
  readonly score: number;
  readonly bbox: Box;
  readonly keypoints?: readonly number[];
  readonly segmentation?: Mask;
}

const folder = join(sharedDir ?? '.', 'tasks');
const places = { searchPath: [], cacheDir: modelPlaces.cacheDir };
/** Weaker ones lie at the threshold of suppression more often, where a rounding error decides. */
const LEAST_SCORE = 0.3;
const PICTURES = 6;
const CATEGORIES = Array.from({ length: LAST_COCO_ID }, (_, i) => i + 1).filter((id) => !UNUSED_COCO_IDS.has(id));

function referenceOf(name: string): Map<number, Reference[]> {
  const path = join(folder, 'expected', `${name}.json.gz`);
  const results = JSON.parse(gunzipSync(readFileSync(path)).toString()) as Reference[];
  const strong = results.filter(({ score }) => score >= LEAST_SCORE);
  const pictures = [...new Set(strong.map(({ image_id }) => image_id))].slice(0, PICTURES);
  return new Map(pictures.map((picture) => [picture, strong.filter(({ image_id }) => image_id === picture)]));
}

function prepared(file: string): Promise<CompiledModel> {
  const path = join(folder, 'models', file);
  return prepareModel(path, { ...places, engine: 'onnx', precision: 'f32', onNotice: () => {}, mayFetch: false });
}

/** Of a picture of COCO. */
function nameOf(imageId: number): string {
  return `${`${imageId}`.padStart(12, '0')}.jpg`;
}

async function detect(
  { spec, ...model }: CompiledModel,
  image: string,
  leastScore = LEAST_SCORE / 2,
): Promise<Detection[]> {
  const path = join(sharedDir!, 'coco-val-100', 'images', image);
  const pixels = new Uint8Array(spec.input.width * spec.input.height * 3);
  const picture = await preprocessImage(path, spec, pixels);
  const [outputs] = await runCompiled({ ...model, spec, batch: 1 }, [pixels]);
  const [rows] = DECODERS[spec.family](outputs!, 1, spec, leastScore);
  const prototypes = outputs!.get('prototypes');
  const masks = prototypes && { prototypes, image: 0, picture, isWanted: true };
  return unpackRows(finishRows(rows!, spec, picture.placement, picture, masks), spec.classes, spec);
}

/** Returns the detection that shows the same object. */
function same(found: readonly Detection[], { bbox, score, category_id }: Reference): Detection {
  const distance = (other: Detection): number => 1 - iouXywh(...other.box, ...bbox) + Math.abs(other.score - score);
  const [best] = found
    .filter(({ classId }) => CATEGORIES[classId] === category_id)
    .toSorted((a, b) => distance(a) - distance(b));
  expect(iouXywh(...best!.box, ...bbox), `${bbox} with ${score}`).toBeGreaterThan(0.96);
  expect(Math.abs(best!.score - score), `${bbox} with ${score}`).toBeLessThan(0.05);
  return best!;
}

describe.skipIf(sharedDir === null)('models for other tasks than boxes (needs the shared folder)', () => {
  it('masks agree with the reference', async () => {
    const { spec, ...compiled } = await prepared('yolo11n-seg_w8.onnx');
    expect(spec).toMatchObject({ family: 'yolov8-seg', task: 'masks' });
    const model: CompiledModel = { ...compiled, spec: { ...spec, classesPerBox: 'all' } };
    const ious: number[] = [];
    for (const [imageId, expected] of referenceOf('yolo11n-seg.coco-val-100')) {
      const found = await detect(model, nameOf(imageId));
      for (const reference of expected)
        ious.push(maskIou(runsOfMask(same(found, reference).mask!), runsOfMask(reference.segmentation!)));
    }
    expect(ious.length).toBeGreaterThan(15);
    // Where a box ends between two pixels, a rounding error decides on a row of them.
    expect(ious.filter((iou) => iou <= 0.98).length).toBeLessThanOrEqual(1);
    expect(Math.min(...ious)).toBeGreaterThan(0.95);
  });

  it('key points agree with the reference within a pixel', async () => {
    const model = await prepared('yolo11n-pose_w8.onnx');
    expect(model.spec).toMatchObject({ family: 'yolov8-pose', task: 'keypoints', keypoints: 17, classes: ['person'] });
    let compared = 0;
    for (const [imageId, expected] of referenceOf('yolo11n-pose.keypoints-shared')) {
      const found = await detect(model, nameOf(imageId));
      for (const reference of expected) {
        const { keypoints } = same(found, reference);
        expect(keypoints).toHaveLength(51);
        const differences = keypoints!.map((value, i) => Math.abs(value - reference.keypoints![i]!));
        const isPlace = (_: number, i: number): boolean => i % 3 < 2 && reference.keypoints![i - (i % 3) + 2]! > 0.3;
        expect(Math.max(...differences.filter(isPlace), 0)).toBeLessThan(1);
        expect(Math.max(...differences.filter((_, i) => i % 3 === 2))).toBeLessThan(0.03);
        compared += differences.filter(isPlace).length / 2;
      }
    }
    expect(compared).toBeGreaterThan(100);
  });

  it('the five best classes agree with the reference', async () => {
    const model = await prepared('mobilenet_v2_int8_b07.onnx');
    expect(model.spec).toMatchObject({ family: 'classifier', task: 'classes', maxDetections: 5 });
    // The reference was resized by OpenCV.
    const { input } = model.spec;
    expect(input.resize).toEqual({ mode: 'crop', share: 224 / 256, kernel: 'antialiased-linear' });
    const spec = { ...model.spec, input: { ...input, resize: { ...input.resize, kernel: 'linear' as const } } };
    const { pictures } = JSON.parse(readFileSync(join(folder, 'expected', 'crops.json'), 'utf8')) as {
      pictures: readonly { image: string; top5: readonly number[] }[];
    };
    let best = 0;
    for (const { image, top5 } of pictures) {
      const found = await detect({ ...model, spec }, image, 0);
      expect(found.map(({ box }) => box.slice(0, 2))).toEqual(Array(5).fill([0, 0]));
      // Its 8 bits turn the smallest difference of an input into one of the fifth class.
      const shared = found.filter(({ classId }) => top5.includes(classId));
      expect(shared.length, image).toBeGreaterThanOrEqual(4);
      if (found[0]!.classId === top5[0]) best += 1;
    }
    expect(best).toBeGreaterThanOrEqual(pictures.length - 1);
  });

  it('the manifest of each has its task', async () => {
    const manifest = await loadDetector(join(folder, 'models', 'yolo11n-pose_w8.onnx'), places);
    expect(manifest).toMatchObject({ family: 'yolov8-pose', task: 'keypoints', keypoints: 17 });
    const classifier = await loadDetector(join(folder, 'models', 'mobilenet_v2_int8_b07.onnx'), places);
    expect(classifier).toMatchObject({ family: 'classifier', task: 'classes', maxDetections: 5 });
  });
});
