import { basename, extname } from 'node:path';
import { z } from 'zod';
import { LAST_COCO_ID, UNUSED_COCO_IDS } from '../../base/core/coco-ids.ts';
import { roundDetection } from '../../wire/protocol/result-record.ts';
import { isJsonObject, type LineFile } from './line-file.ts';
import { LineSink, type LineSinkOptions } from './line-sink.ts';
import { PartialFile } from './partial-file.ts';
import { FILE_BOX_STEPS } from './result-line.ts';
import type { WrittenFrame } from './sink.ts';
import { sinkKind } from './sink-kind.ts';
import { streams, sync } from './sink-settings.ts';

export const coco = sinkKind({
  settings: z.strictObject({
    type: z.literal('coco').describe('A COCO results file.'),
    path: z
      .string()
      .min(1)
      .describe('File to write when the pipeline ends; a file of an earlier run is kept under a numbered name.'),
    streams,
    sync,
  }),
  file: ({ path }) => path,
  open: ({ path, sync }, context) => ({ sink: new CocoSink({ ...context, path, keepsEarlier: true, sync }) }),
});

export interface CocoSinkOptions extends LineSinkOptions {
  /** File to write; appears when the sink is closed. */
  readonly path: string;
  /**
   * For a pipeline that is restarted: the file of an earlier run is kept under a numbered name, and writing is retried
   * after a failure such as a full disk. Otherwise a complete file replaces an earlier one.
   */
  readonly keepsEarlier?: boolean | undefined;
  /**
   * Labels: those of the pipeline's detector, then what other detectors add. If the first 80 are COCO's they get COCO's category ids; others
   * get their index + 1, behind COCO's from 91 on.
   */
  readonly classes: readonly string[];
  /** Sources in the user's order, which decides the image ids, see `CocoImageIds`. */
  readonly sources?: readonly string[] | undefined;
}

/** Format of the unfinished file: an opened list, and one line with a trailing comma for each entry. */
const OPEN_LIST = { header: '[\n', firstCharacters: '[', isWhole: isEntry };

/**
 * Writes COCO results: `[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}]`, with `segmentation` (RLE), `keypoints` or `angle`
 * where the model finds them, which `sightline score` and pycocotools read. Written as `NAME.partial.EXT`, one line per detection, and renamed when it is complete, so that a file
 * with the final name is always valid.
 */
export class CocoSink extends LineSink {
  readonly #imageIds: CocoImageIds;
  readonly #classes: readonly string[];
  readonly #categoryIds: readonly number[];
  readonly #byLabel: ReadonlyMap<string, number>;

  constructor(options: CocoSinkOptions) {
    const keepsEarlier = options.keepsEarlier ?? false;
    const more = { kind: OPEN_LIST, seal: closeList, keepsEarlier };
    super(options.id, new PartialFile({ ...options, ...more }));
    this.#imageIds = new CocoImageIds(options.sources ?? []);
    this.#classes = options.classes;
    this.#categoryIds = cocoCategoryIds(options.classes);
    this.#byLabel = new Map(options.classes.map((label, i) => [label, this.#categoryIds[i]!]));
  }

  protected linesOf(frame: WrittenFrame, source: string): string[] {
    const imageId = this.#imageIds.imageId(source, frame.frame);
    // What second stages found is no class of the model.
    const own = frame.detections.filter(({ parent }) => parent === undefined);
    return own.map((detection) => {
      const { classId, label, box, score, mask, keypoints, angle } = roundDetection(detection, FILE_BOX_STEPS);
      const entry = {
        image_id: imageId,
        category_id: this.#categoryOf(classId, label),
        bbox: box,
        score,
        ...(mask === undefined ? {} : { segmentation: mask }),
        ...(keypoints === undefined ? {} : { keypoints }),
        ...(angle === undefined ? {} : { angle }),
      };
      return `${JSON.stringify(entry)},\n`;
    });
  }

  /** Detectors with classes of their own number them alike, so the label decides. */
  #categoryOf(classId: number, label: string): number {
    const isOwn = this.#classes[classId] === label;
    return (isOwn ? this.#categoryIds[classId] : this.#byLabel.get(label)) ?? classId + 1;
  }
}

/** The last line has no comma, or is the bracket, if the process died while it completed the list. */
function isEntry(line: string): boolean {
  return line === ']' || isJsonObject(line.replace(/,$/, ''));
}

/** Turns the lines into a JSON list, unless they are one already. */
async function closeList(file: LineFile): Promise<void> {
  const end = await file.end(2);
  if (end === ',\n') await file.replaceEnd(2, '\n]\n');
  else if (end === '[\n') await file.replaceEnd(1, ']\n');
  else if (end === '}\n') await file.replaceEnd(0, ']\n');
}

const COCO_CLASSES = 80;

/** Returns COCO's ids 1 to 90 for its 80 classes, recognised by the first and the last label, and the next ones for more; else index + 1. */
function cocoCategoryIds(classes: readonly string[]): number[] {
  const isCoco = classes[0] === 'person' && classes[COCO_CLASSES - 1] === 'toothbrush';
  if (!isCoco) return classes.map((_, classId) => classId + 1);
  const ids = Array.from({ length: LAST_COCO_ID }, (_, i) => i + 1).filter((id) => !UNUSED_COCO_IDS.has(id));
  return classes.map((_, classId) => ids[classId] ?? LAST_COCO_ID + 1 + classId - COCO_CLASSES);
}

/** Frames that one source can have before its image ids overlap those of the next: 92 hours at 30 fps. */
const IMAGE_IDS_PER_SOURCE = 10_000_000;

const PICTURE_EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff']);

/**
 * Maps frames to the image ids of COCO's results format.
 *
 * - A picture whose file name is a number, like COCO's own (`000000000802.jpg`), gets that number.
 * - Any other frame gets `sourceIndex * 10 000 000 + frame + 1`, where `sourceIndex` is the index of its source in the list
 *   of sources, from 0. For a single video that is the frame number, from 1.
 */
class CocoImageIds {
  readonly #indexOfSource = new Map<string, number>();

  /** @param sources - all sources in the user's order; others get the next index when they first appear. */
  constructor(sources: readonly string[]) {
    for (const source of sources) this.#indexOf(source);
  }

  imageId(source: string, frame: number): number {
    const extension = extname(source);
    const name = basename(source, extension);
    if (frame === 0 && PICTURE_EXTENSIONS.has(extension.toLowerCase()) && /^\d{1,15}$/.test(name)) return Number(name);
    return this.#indexOf(source) * IMAGE_IDS_PER_SOURCE + frame + 1;
  }

  #indexOf(source: string): number {
    const known = this.#indexOfSource.get(source);
    if (known !== undefined) return known;
    this.#indexOfSource.set(source, this.#indexOfSource.size);
    return this.#indexOfSource.size - 1;
  }
}
