import type { Detection } from '../../src/base/core/detection.ts';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import type { CocoAnnotation, CocoAnnotations, CocoBox } from '../../src/network/evaluate/coco-dataset.ts';
import type { RecordedFrame, RecordedResults } from '../../src/network/evaluate/recorded-results.ts';

const LABELS = ['person', 'car', 'dog'] as const;
/** COCO's numbers do not begin at 0 and are not those of the classes. */
const CATEGORY_IDS = [10, 20, 30];
const PICTURE = { width: 640, height: 480 } as const;

/** How well a detector sees a scene. */
export interface Eyesight {
  /** What it sees differs by seed: two detectors with the same sight and other seeds are equally good. */
  readonly seed: number;
  /** Share of the objects that it misses by chance. */
  readonly missRatio: number;
  /** Largest shift of a box by chance, in sizes of the box. */
  readonly jitter: number;
}

/** Pictures with labelled objects. */
export function labelledScene(pictures: number, seed: number): CocoAnnotations {
  const random = seededRandom(seed);
  const images = Array.from({ length: pictures }, (_, i) => ({ id: 1000 + i, fileName: `${i}.jpg` }));
  const annotations = images.flatMap(({ id: imageId }) =>
    Array.from({ length: 5 }, (_, i): CocoAnnotation => {
      const size = [24, 60, 110][i % 3]! * (0.8 + random() * 0.4);
      // On a grid, so that no two objects overlap much.
      const box: CocoBox = [i * 125 + random() * 10, random() * 300, size, size];
      const categoryId = CATEGORY_IDS[i % 3]!;
      return { imageId, categoryId, box, areaPx: size * size, isCrowd: false };
    }),
  );
  const categories = LABELS.map((name, i) => ({ id: CATEGORY_IDS[i]!, name }));
  return { path: 'scene.json', images, categories, annotations };
}

/**
 * What a detector finds in labelled pictures. Most objects are seen by every detector or by none: two detectors agree about
 * what is hard.
 */
export function seePictures(scene: CocoAnnotations, { seed, missRatio, jitter }: Eyesight): RecordedResults {
  const random = seededRandom(seed);
  const hardness = seededRandom(77);
  const objects = new Map<number, CocoAnnotation[]>(scene.images.map(({ id }) => [id, []]));
  for (const annotation of scene.annotations) objects.get(annotation.imageId)!.push(annotation);
  const frames = scene.images.map(({ id }, frame): RecordedFrame => {
    const detections = objects.get(id)!.flatMap((object): Detection[] => {
      const isHopeless = hardness() < 0.2;
      const isMissed = random() < missRatio;
      const found = detection(CATEGORY_IDS.indexOf(object.categoryId), object.box, 0.3 + 0.6 * random());
      const shifted = { ...found, box: shiftedBy(object.box, jitter * random(), jitter * random()) };
      return isHopeless || isMissed ? [] : [shifted];
    });
    const wrong = detection(Math.floor(random() * 3), [random() * 500, 400, 60, 60], 0.4 * random());
    return { frame, ptsUs: 0, ...PICTURE, detections: [...detections, wrong] };
  });
  return { classes: LABELS, scoreThreshold: 0.3, frames };
}

export const VIDEO_FPS = 10;

/** A clip of 40 s in which some eighty objects walk through the picture, as a detector with a tracker reports them. */
export function seeVideo({ seed, missRatio, jitter }: Eyesight, frames = 400): RecordedResults {
  const scene = seededRandom(5);
  const random = seededRandom(seed);
  const walkers = Array.from({ length: 80 }, (_, id) => ({
    id: id + 1,
    classId: id % 10 < 6 ? 0 : id % 10 < 9 ? 1 : 2,
    from: Math.floor(scene() * 400) - 10,
    lasts: 25 + Math.floor(scene() * 50),
    lane: (id * 37) % 400,
    size: 24 + scene() * 60,
    speed: 2 + scene() * 4,
  }));
  const recorded = Array.from({ length: frames }, (_, frame): RecordedFrame => {
    const detections = walkers
      .filter(({ from, lasts }) => frame >= from && frame < from + lasts)
      .flatMap(({ id, classId, from, lane, size, speed }): Detection[] => {
        const isMissed = random() < missRatio;
        const box = [20 + (frame - from) * speed, lane, size, size * 1.5] as const;
        const shifted = shiftedBy(box, jitter * (random() - 0.5), jitter * (random() - 0.5));
        return isMissed ? [] : [{ ...detection(classId, shifted, 0.6 + 0.3 * random()), trackId: seed * 1000 + id }];
      });
    return { frame, ptsUs: (frame * 1_000_000) / VIDEO_FPS, ...PICTURE, detections };
  });
  return { classes: LABELS, scoreThreshold: 0.3, frames: recorded };
}

/** Changes every detection; null removes it. */
export function mapDetections(
  results: RecordedResults,
  change: (detection: Detection, frame: RecordedFrame) => Detection | null,
): RecordedResults {
  const frames = results.frames.map((frame) => ({
    ...frame,
    detections: frame.detections.flatMap((found) => change(found, frame) ?? []),
  }));
  return { ...results, frames };
}

/** A change gate that never wakes up: from one frame on it repeats the same result. */
export function asleepFrom(results: RecordedResults, from: number): RecordedResults {
  const { detections } = results.frames[from]!;
  return {
    ...results,
    frames: results.frames.map((frame, i) => (i <= from ? frame : { ...frame, detections, by: 'unchanged' })),
  };
}

/** Moves a box by a share of its own size. */
export function shiftedBy([x, y, width, height]: CocoBox, right: number, down: number): CocoBox {
  return [x + width * right, y + height * down, width, height];
}

function detection(classId: number, box: CocoBox, score: number): Detection {
  return { classId, label: LABELS[classId]!, score, box };
}
