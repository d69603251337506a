import type { Detection } from '../../../base/core/detection.ts';
import type { DropReason, PublishedFrame } from '../../../base/core/frame.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import { type RowKind, unpackRows } from '../../../base/geometry/task-rows.ts';
import { type FrameOwner, holdFrame, type InFlightFrame, releaseFrame } from '../stream/in-flight-frame.ts';

/** Detections of a candidate in a frame whose published result came from the stream's own model. */
export interface ShadowResult {
  readonly frame: PublishedFrame;
  /** Of the candidate: at least the reported score, without tracks, in source pixels. */
  readonly candidate: readonly Detection[];
  /** Boxes of both that are at most `scoreSlack` too weak to be reported. */
  readonly weak: { readonly published: readonly Detection[]; readonly candidate: readonly Detection[] };
  /** Milliseconds from the choice of its batch to the candidate's result. */
  readonly candidateMs: number;
}

/** Frames of a stream that a candidate infers, too. */
export interface ShadowCounters {
  readonly compared: number;
  /** Frames that were displaced by a newer one, too old, or failed: live work goes first. */
  readonly dropped: number;
}

export interface ShadowOptions {
  /** Share of the frames, 0 to 1. */
  readonly ratio: number;
  /** Weaker boxes are not reported: of the candidate, and of the stream's own model. */
  readonly minScore: number;
  readonly publishedMinScore: number;
  /** Boxes that miss these scores by this much at most are returned as weak ones. */
  readonly scoreSlack: number;
  /** What the stream sets for itself, which may change while it runs. */
  readonly settingsOf: () => {
    readonly scoreThreshold?: number | undefined;
    readonly labels?: readonly string[] | undefined;
  };
  /** Frames as well whose published result comes without an inference. */
  readonly comparesSkipped: boolean;
}

/** Results that wait for the result of the other model. */
const MOST_PENDING = 64;
/** Multiplier of a Weyl sequence (the golden ratio), which spreads the chosen frames evenly. */
const GOLDEN = 0.6180339887498949;

/** Lets a candidate infer a share of one stream's frames without publishing its results, and pairs both results. */
export class ShadowStream implements FrameOwner {
  readonly id: string;
  /** A failed frame is not tried again. */
  readonly retriesFrames = false;
  readonly #options: ShadowOptions;
  readonly #spec: RowKind & Pick<ModelSpec, 'classes'>;
  readonly #onPair: (result: ShadowResult) => void;
  readonly #published = new Map<number, Published>();
  readonly #inferred = new Map<number, Inferred>();
  #compared = 0;
  #dropped = 0;

  constructor(
    streamId: string,
    options: ShadowOptions,
    spec: RowKind & Pick<ModelSpec, 'classes'>,
    onPair: (result: ShadowResult) => void,
  ) {
    this.id = `shadow of ${streamId}`;
    this.#options = options;
    this.#spec = spec;
    this.#onPair = onPair;
  }

  get counters(): ShadowCounters {
    return { compared: this.#compared, dropped: this.#dropped };
  }

  /** Returns a second frame on the same slot; null if the candidate does not see this one. */
  shadowOf(frame: InFlightFrame): InFlightFrame | null {
    if (frame.by !== 'inferred' && !this.#options.comparesSkipped) return null;
    if (!this.#isChosen(frame.meta.frame)) return null;
    holdFrame(frame);
    return {
      ...frame,
      streamId: this.id,
      owner: this,
      failures: 0,
      status: 'waiting',
      rows: null,
      by: 'inferred',
      repeats: null,
    };
  }

  complete(frame: InFlightFrame, rows: Float32Array, inferredMs: number): void {
    if (frame.status !== 'waiting') return;
    frame.status = 'done';
    releaseFrame(frame);
    const found = { rows, candidateMs: inferredMs - frame.batchedMs };
    const published = this.#published.get(frame.meta.frame);
    if (published === undefined) keep(this.#inferred, frame.meta.frame, found);
    else this.#pair(published, found);
  }

  drop(frame: InFlightFrame, _reason: DropReason): void {
    if (frame.status !== 'waiting') return;
    frame.status = 'dropped';
    releaseFrame(frame);
    this.#published.delete(frame.meta.frame);
    this.#dropped += 1;
  }

  /**
   * Records a published result. Results without inference are compared only if `comparesSkipped` says so.
   *
   * @param rows - of the frame's own inference; null if its result came without one.
   */
  onPublished(frame: PublishedFrame, rows: Float32Array | null): void {
    if ((frame.by !== 'inferred' && !this.#options.comparesSkipped) || !this.#isChosen(frame.frame)) return;
    const published = { frame, rows };
    const found = this.#inferred.get(frame.frame);
    if (found === undefined) keep(this.#published, frame.frame, published);
    else this.#pair(published, found);
  }

  #isChosen(frame: number): boolean {
    return (frame * GOLDEN) % 1 < this.#options.ratio;
  }

  #pair({ frame, rows: own }: Published, { rows, candidateMs }: Inferred): void {
    this.#published.delete(frame.frame);
    this.#inferred.delete(frame.frame);
    this.#compared += 1;
    const { settingsOf, scoreSlack } = this.#options;
    const { scoreThreshold = 0, labels } = settingsOf();
    const [minScore, publishedMinScore] = [this.#options.minScore, this.#options.publishedMinScore].map((least) =>
      Math.max(least, scoreThreshold),
    ) as [number, number];
    const boxesOf = (packed: Float32Array): Detection[] =>
      unpackRows(packed, this.#spec.classes, this.#spec).filter(({ label }) => labels?.includes(label) !== false);
    const found = boxesOf(rows);
    const published = own === null ? [] : boxesOf(own);
    const weakOf = (boxes: readonly Detection[], least: number): Detection[] =>
      boxes.filter(({ score }) => score < least && score >= least - scoreSlack);
    const weak = { published: weakOf(published, publishedMinScore), candidate: weakOf(found, minScore) };
    this.#onPair({ frame, candidate: found.filter(({ score }) => score >= minScore), weak, candidateMs });
  }
}

interface Published {
  readonly frame: PublishedFrame;
  readonly rows: Float32Array | null;
}

interface Inferred {
  readonly rows: Float32Array;
  readonly candidateMs: number;
}

function keep<T>(map: Map<number, T>, key: number, value: T): void {
  map.set(key, value);
  if (map.size > MOST_PENDING) map.delete(map.keys().next().value!);
}
