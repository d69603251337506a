import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import type { PublishedFrame } from '../core/frame.ts';
import { CocoImageIds } from './coco-image-id.ts';
import { roundPx, roundScore } from './result-line.ts';
import type { Sink, SinkFailureListener } from './sink.ts';
import { fileFailure } from './sink-failure.ts';
import { TextOutput } from './text-output.ts';

/** COCO's 80 categories have ids from 1 to 90; these ten were never used. */
const UNUSED_COCO_IDS: ReadonlySet<number> = new Set([12, 26, 29, 30, 45, 66, 68, 69, 71, 83]);

export interface CocoSinkOptions {
  readonly id: string;
  /** File to write; appears when the sink is closed, replaced if it exists. */
  readonly path: string;
  /** The model's labels. COCO's own 80 get COCO's category ids, all others their class index + 1. */
  readonly classes: readonly string[];
  /** Sources in the order in which the user named them: it decides the image ids, see `CocoImageIds`. */
  readonly sources?: readonly string[] | undefined;
  readonly onFailure: SinkFailureListener;
  readonly clock?: Clock | undefined;
}

/**
 * Writes COCO results: `[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}]`, which `sightline score` and
 * pycocotools read. Grows beside its path under a temporary name and takes its place when it is complete, so that a
 * file of that name is always a whole one.
 */
export class CocoSink implements Sink {
  readonly id: string;
  readonly #path: string;
  readonly #temporaryPath: string;
  readonly #output: TextOutput;
  readonly #imageIds: CocoImageIds;
  readonly #categoryIds: readonly number[];
  readonly #onFailure: SinkFailureListener;
  #separator = '[\n';
  #results = 0;
  #closing: Promise<void> | null = null;

  constructor({ id, path, classes, sources, onFailure, clock }: CocoSinkOptions) {
    this.id = id;
    this.#path = path;
    this.#temporaryPath = `${path}.${randomUUID().slice(0, 8)}.tmp`;
    this.#imageIds = new CocoImageIds(sources ?? []);
    this.#categoryIds = cocoCategoryIds(classes);
    this.#onFailure = onFailure;
    const stream = createWriteStream(this.#temporaryPath);
    this.#output = new TextOutput({ id, path, stream, ownsStream: true, onFailure, clock });
  }

  publish(frame: PublishedFrame, source: string): boolean {
    if (this.#closing !== null) return true;
    const imageId = this.#imageIds.imageId(source, frame.frame);
    let text = '';
    for (const { classId, box, score } of frame.detections) {
      const entry = {
        image_id: imageId,
        category_id: this.#categoryIds[classId] ?? classId + 1,
        bbox: box.map(roundPx),
        score: roundScore(score),
      };
      text += `${this.#separator}${JSON.stringify(entry)}`;
      this.#separator = ',\n';
    }
    this.#results += frame.detections.length;
    return this.#output.write(text, frame.detections.length);
  }

  drained(): Promise<void> {
    return this.#output.drained();
  }

  close(): Promise<void> {
    this.#closing ??= this.#complete();
    return this.#closing;
  }

  async #complete(): Promise<void> {
    this.#output.write(this.#separator === '[\n' ? '[]\n' : '\n]\n', 0);
    try {
      await this.#output.finish();
      await rename(this.#temporaryPath, this.#path).catch((cause: Error) => {
        const failure = fileFailure(this.id, this.#path, cause, this.#results);
        this.#onFailure(failure);
        throw failure;
      });
    } catch (error) {
      // What is there is not a whole file. That it cannot be removed changes nothing about the failure.
      await rm(this.#temporaryPath, { force: true }).catch(() => undefined);
      throw error;
    }
  }
}

/** COCO's ids 1 to 90 for the list of its 80 classes, known by its length and its ends; else the index + 1. */
function cocoCategoryIds(classes: readonly string[]): number[] {
  const isCoco = classes.length === 80 && classes[0] === 'person' && classes[79] === 'toothbrush';
  if (!isCoco) return classes.map((_, classId) => classId + 1);
  return Array.from({ length: 90 }, (_, i) => i + 1).filter((id) => !UNUSED_COCO_IDS.has(id));
}
