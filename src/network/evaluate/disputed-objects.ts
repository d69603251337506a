import { createHash } from 'node:crypto';
import type { Box, Detection } from '../../base/core/detection.ts';
import { iouXywh } from '../../base/geometry/iou.ts';
import { NOT_FOUND } from '../../base/geometry/match-boxes.ts';
import { type FrameMatches, NOT_ASKED } from './frame-matches.ts';

/** A box of a disputed object. */
export interface DisputedBox {
  /** Media time. */
  readonly atUs: number;
  /** x, y, width, height in pixels of the picture. */
  readonly box: Box;
  readonly score: number;
}

/** One object that one of two detectors reports in a recording and the other does not. */
export interface DisputedObject {
  /** Says nothing of which detector reports it. */
  readonly id: string;
  /** Which detector reports it: the reference, or the one that may replace it. */
  readonly by: 'today' | 'new';
  /** In the order of their times; at least one. */
  readonly boxes: readonly DisputedBox[];
  /** What the other one reports at the place of the surest box, if that is something else. */
  readonly other?: { readonly label: string; readonly box: Box };
}

/** A class on which two detectors disagree. */
export interface DisputedClass {
  readonly label: string;
  /** Boxes that both report. */
  readonly both: number;
  readonly objects: readonly DisputedObject[];
}

/** A frame in which an object is disputed, with all that is reported there. */
interface DisputedFrame {
  /** Media time. */
  readonly atUs: number;
  readonly boxes: readonly { readonly label: string; readonly box: Box }[];
}

export interface Disputes {
  readonly classes: readonly DisputedClass[];
  /** Those of the asked boxes, in the order of their times. */
  readonly frames: readonly DisputedFrame[];
}

/** Boxes of one detector are one object if they overlap so much ... */
const SAME_IOU = 0.3;
/** ... and follow each other within this time. */
const MOST_GAP_US = 500_000;
/** Something else at the same place. */
const OTHER_IOU = 0.3;

/** Finds the objects of some classes on which two runs over a recording disagree. */
export function disputedObjects(frames: readonly FrameMatches[], labels: readonly string[]): Disputes {
  const makers = new Map(labels.map((label) => [label, new ClassMaker(label)]));
  for (const { ptsUs: atUs, reference, candidate, found, confirmed } of frames) {
    for (const [i, detection] of reference.entries()) {
      const maker = makers.get(detection.label);
      if (maker === undefined) continue;
      if (found[i]! >= 0) maker.both += 1;
      else if (found[i] === NOT_FOUND) maker.add('today', detection, atUs, candidate);
    }
    for (const [i, detection] of candidate.entries())
      if (confirmed[i] === NOT_FOUND) makers.get(detection.label)?.add('new', detection, atUs, reference);
  }
  const classes = [...makers.values()].map((maker) => maker.made());
  const asked = new Set(classes.flatMap(({ objects }) => objects.map((object) => askedBox(object).atUs)));
  return { classes, frames: frames.filter(({ ptsUs }) => asked.has(ptsUs)).map(frameOf) };
}

/** What both report, once, and what one of them does. */
function frameOf({ ptsUs, reference, candidate, found, confirmed }: FrameMatches): DisputedFrame {
  const reported = reference.filter((_, i) => found[i] !== NOT_ASKED);
  const others = candidate.filter((_, i) => confirmed[i] === NOT_FOUND);
  return { atUs: ptsUs, boxes: [...reported, ...others].map(({ label, box }) => ({ label, box: rounded(box) })) };
}

function rounded([x, y, width, height]: Box): Box {
  return [Math.round(x), Math.round(y), Math.round(width), Math.round(height)];
}

interface Growing {
  readonly by: DisputedObject['by'];
  readonly boxes: DisputedBox[];
  other: DisputedObject['other'];
  surest: number;
}

class ClassMaker {
  both = 0;
  readonly #label: string;
  readonly #objects: Growing[] = [];

  constructor(label: string) {
    this.#label = label;
  }

  /** @param there - what the other one reports in the frame. */
  add(by: DisputedObject['by'], { box, score }: Detection, atUs: number, there: readonly Detection[]): void {
    const found = { atUs, box: rounded(box), score: Number(score.toFixed(3)) };
    const known = this.#objects.findLast(({ by: side, boxes }) => {
      const last = boxes.at(-1)!;
      return (
        side === by && last.atUs < atUs && atUs - last.atUs <= MOST_GAP_US && iouXywh(...last.box, ...box) >= SAME_IOU
      );
    });
    const object = known ?? { by, boxes: [], other: undefined, surest: -1 };
    if (known === undefined) this.#objects.push(object);
    object.boxes.push(found);
    if (score <= object.surest) return;
    object.surest = score;
    const same = there.find((one) => one.label !== this.#label && iouXywh(...one.box, ...box) >= OTHER_IOU);
    object.other = same === undefined ? undefined : { label: same.label, box: rounded(same.box) };
  }

  made(): DisputedClass {
    const objects = this.#objects.map(({ by, boxes, other }): DisputedObject => {
      const { atUs, box } = boxes[0]!;
      // It must not say which detector reports the object.
      const id = createHash('sha256')
        .update(`${this.#label} ${atUs} ${box.join(' ')}`)
        .digest('hex')
        .slice(0, 12);
      return { id, by, boxes, ...(other === undefined ? {} : { other }) };
    });
    return { label: this.#label, both: this.both, objects };
  }
}

/** The box by which people are asked: the surest. */
export function askedBox({ boxes }: Pick<DisputedObject, 'boxes'>): DisputedBox {
  return boxes.reduce((best, one) => (one.score > best.score ? one : best));
}
