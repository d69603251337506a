import { isDeepStrictEqual } from 'node:util';
import type { Box, RatioPoint } from '../../base/core/detection.ts';
import type { LineCrossing } from '../../base/core/frame.ts';
import type { LineCount } from '../../wire/protocol/report.ts';
import { type Anchor, anchorOf, type CountedFrame, isCounted } from './anchor.ts';
import { type CrossingRule, LineWalk, type Segment } from './line-walk.ts';
import { MediaTimeline } from './media-timeline.ts';

export interface LineOptions {
  readonly id: string;
  readonly from: RatioPoint;
  readonly to: RatioPoint;
  /** Default `bottom-center`. */
  readonly anchor?: Anchor | undefined;
  /** Labels of the classes to count; all if absent. */
  readonly labels?: readonly string[] | undefined;
  /** Half the width of the band around the line in which an object is on neither side, in picture heights. */
  readonly bandRatio?: number | undefined;
  /** Media time that an object must stay beyond the band before the crossing counts. */
  readonly settleMs?: number | undefined;
  /** Consecutive frames in which it must be seen there as well. */
  readonly settleFrames?: number | undefined;
}

const LINE_DEFAULTS = {
  anchor: 'bottom-center',
  bandRatio: 0.015,
  settleMs: 200,
  settleFrames: 2,
} as const satisfies Partial<LineOptions>;

interface Line {
  readonly options: LineOptions;
  readonly anchor: Anchor;
  readonly labels: ReadonlySet<string> | null;
  readonly rule: CrossingRule;
  readonly walks: Map<number, LineWalk>;
  /** Shared by all lines that have had this id one after the other. */
  readonly count: { leftToRight: number; rightToLeft: number };
}

/** A track that was not seen for longer than this is forgotten: what reappears may be another object. */
const FORGET_MS = 5000;

/**
 * Counts tracked objects that cross line segments, in both directions. One instance per stream.
 *
 * An object has crossed when its anchor was clearly on one side, went through the segment (not past one of its ends),
 * and then stayed clearly on the other side for `settleMs` and `settleFrames`. Clearly means beyond a band around the
 * line. So a box that flickers at the line, or a person standing on it, is not counted. Neither is a track that ends before
 * it has settled, or that jumps to a position its object cannot have reached.
 */
export class LineCounter {
  readonly #lines: Line[];
  readonly #timeline: MediaTimeline;

  /**
   * @param before - the counter of the same stream until now, which must count no further once this one does. A line that keeps
   *   its id keeps its counts. One whose settings stay the same also continues with the objects that are about to cross it.
   * @throws RangeError if the two points of a line are the same.
   */
  constructor(lines: readonly LineOptions[], before: LineCounter | null = null) {
    const known = before === null ? [] : before.#lines;
    this.#timeline = before === null ? new MediaTimeline(FORGET_MS) : before.#timeline;
    this.#lines = lines.map((options) =>
      toLine(
        options,
        known.find((line) => line.options.id === options.id),
      ),
    );
  }

  /** Processes the next frame of the stream and returns the crossings that became certain with it. */
  update(frame: CountedFrame): LineCrossing[] {
    const { isBroken } = this.#timeline.advance(frame.ptsUs);
    const crossings: LineCrossing[] = [];
    for (const line of this.#lines) {
      if (isBroken) line.walks.clear();
      this.#forget(line);
      this.#follow(line, frame, crossings);
    }
    return crossings;
  }

  /** Returns the crossings of each line so far. */
  report(): LineCount[] {
    return this.#lines.map(({ options: { id }, count }) => ({ id, ...count }));
  }

  #follow(line: Line, frame: CountedFrame, crossings: LineCrossing[]): void {
    const { walks } = line;
    const segment = segmentOf(line.options, frame);
    for (const detection of frame.detections) {
      if (!isCounted(detection, line.labels)) continue;
      let walk = walks.get(detection.trackId);
      if (walk === undefined) {
        walk = new LineWalk();
        walks.set(detection.trackId, walk);
      }
      const box = inHeights(detection.box, frame);
      const side = walk.step(
        { anchor: anchorOf(box, line.anchor), box, nowUs: this.#timeline.nowUs },
        segment,
        line.rule,
      );
      if (side === null) continue;
      if (side === 'right') line.count.leftToRight += 1;
      else line.count.rightToLeft += 1;
      crossings.push({
        lineId: line.options.id,
        trackId: detection.trackId,
        label: detection.label,
        direction: side === 'right' ? 'left-to-right' : 'right-to-left',
        ptsUs: frame.ptsUs,
      });
    }
  }

  #forget(line: Line): void {
    for (const [trackId, walk] of line.walks) {
      if (this.#timeline.nowUs - walk.lastUs > FORGET_MS * 1000) line.walks.delete(trackId);
    }
  }
}

function toLine(options: LineOptions, before?: Line): Line {
  if (before !== undefined && isDeepStrictEqual(before.options, options)) return before;
  const { id, from, to, labels } = options;
  if (from[0] === to[0] && from[1] === to[1]) {
    throw new RangeError(`line ${id}: expected two different points, received ${from} twice`);
  }
  return {
    options,
    anchor: options.anchor ?? LINE_DEFAULTS.anchor,
    labels: labels === undefined ? null : new Set(labels),
    rule: {
      band: options.bandRatio ?? LINE_DEFAULTS.bandRatio,
      settleUs: (options.settleMs ?? LINE_DEFAULTS.settleMs) * 1000,
      settleFrames: options.settleFrames ?? LINE_DEFAULTS.settleFrames,
    },
    walks: new Map(),
    count: before?.count ?? { leftToRight: 0, rightToLeft: 0 },
  };
}

function segmentOf({ from, to }: LineOptions, { width, height }: CountedFrame): Segment {
  const aspect = width / height;
  return { fromX: from[0] * aspect, fromY: from[1], toX: to[0] * aspect, toY: to[1] };
}

/** Converts pixels to picture heights, so that a camera may change its resolution during a crossing. */
function inHeights([x, y, width, height]: Box, picture: CountedFrame): Box {
  const unitPx = picture.height;
  return [x / unitPx, y / unitPx, width / unitPx, height / unitPx];
}
