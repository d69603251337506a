import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Detection } from '../../base/core/detection.ts';
import type { SightlineError } from '../../base/errors/sightline-error.ts';
import { outlineOf } from '../../base/geometry/mask-outline.ts';
import { runsOfMask } from '../../base/geometry/rle.ts';
import { turnedCorners } from '../../base/geometry/rotated-iou.ts';
import { partialPathOf } from './output-names.ts';
import type { Sink, SinkFailureListener, SinkFigures, WrittenFrame } from './sink.ts';
import { fileFailure } from './sink-failure.ts';

/** Digits of ratios: a hundredth of a pixel in a picture of 10,000. */
const RATIO_DIGITS = 6;
/** Files that may wait to be written before the caller should wait. */
const MOST_WAITING = 64;
/** A key point with a lower score is not seen. */
const SEEN_SCORE = 0.5;

export interface YoloSinkOptions {
  readonly id: string;
  /** An existing folder. */
  readonly folder: string;
  /** Start of the file names. */
  readonly stem: string;
  /** The input is one picture: its file is `STEM.txt`. Otherwise frames have `STEM_FRAME.txt`, with six digits or more. */
  readonly isPicture: boolean;
  readonly onFailure: SinkFailureListener;
}

/**
 * Writes the labels of one input in the text format of YOLO: a file for each frame, possibly empty, with one line for each detection:
 * class index, then the centre and the size of its box, in ratios of the picture; with key points, behind them x, y and 2 for a point that
 * is seen, else 0, of each. A mask is the polygon around its largest part instead, an oriented box its four corners. Each file appears
 * complete or not at all.
 */
export class YoloSink implements Sink {
  readonly id: string;
  readonly #options: YoloSinkOptions;
  #accepted = 0;
  #written = 0;
  #failure: SightlineError | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: YoloSinkOptions) {
    this.id = options.id;
    this.#options = options;
  }

  publish(frame: WrittenFrame): boolean {
    this.#accepted += 1;
    const { folder, stem, isPicture } = this.#options;
    const path = join(folder, labelFileName(stem, isPicture ? null : frame.frame));
    const text = yoloLines(frame);
    this.#writing = this.#writing.then(() => this.#write(path, text));
    return this.#accepted - this.#written < MOST_WAITING;
  }

  drained(): Promise<void> {
    return this.#writing;
  }

  get figures(): SinkFigures {
    const unwritten = this.#accepted - this.#written;
    const isStopped = this.#failure !== null;
    return {
      problem: this.#failure?.message ?? null,
      sent: this.#written,
      waiting: isStopped ? 0 : unwritten,
      retried: 0,
      lost: { overflow: 0, failed: isStopped ? unwritten : 0 },
    };
  }

  async close(): Promise<void> {
    await this.#writing;
    if (this.#failure !== null) throw this.#failure;
  }

  async #write(path: string, text: string): Promise<void> {
    if (this.#failure !== null) return;
    const partialPath = partialPathOf(path);
    try {
      await writeFile(partialPath, text);
      await rename(partialPath, path);
      this.#written += 1;
    } catch (error) {
      this.#failure = fileFailure(this.id, path, error as Error);
      this.#options.onFailure(this.#failure);
    }
  }
}

/** @param frame - number in its video; null for a picture. */
export function labelFileName(stem: string, frame: number | null): string {
  return frame === null ? `${stem}.txt` : `${stem}_${`${frame}`.padStart(6, '0')}.txt`;
}

function yoloLines({ width, height, detections }: WrittenFrame): string {
  const ratio = (px: number, of: number): string => Math.min(1, Math.max(0, px / of)).toFixed(RATIO_DIGITS);
  const corners = (points: readonly number[]): string[] =>
    points.map((px, i) => ratio(px, i % 2 === 0 ? width : height));
  const valuesOf = ({ box, mask, keypoints = [], angle }: Detection): string[] => {
    const [x, y, w, h] = box;
    const outline = mask === undefined ? [] : outlineOf(runsOfMask(mask));
    if (outline.length > 0) return corners(outline);
    if (angle !== undefined) return corners(turnedCorners(box, (angle * Math.PI) / 180).flat());
    const points = keypoints.map((value, i) =>
      i % 3 === 2 ? (value >= SEEN_SCORE ? '2' : '0') : ratio(value, i % 3 === 0 ? width : height),
    );
    return [ratio(x + w / 2, width), ratio(y + h / 2, height), ratio(w, width), ratio(h, height), ...points];
  };
  // What second stages found is no class of the model.
  const own = detections.filter(({ parent }) => parent === undefined);
  return own.map((detection) => `${detection.classId} ${valuesOf(detection).join(' ')}\n`).join('');
}
