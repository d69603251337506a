import type { Attribute, Box, Detection } from '../../../base/core/detection.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';
import type { SecondStage } from './second-stage.ts';

/** A second stage as streams see it, on frames of this kind. */
export interface CropReader<F = InFlightFrame> extends Pick<SecondStage, 'name' | 'config' | 'skip' | 'withdraw'> {
  readonly model: Pick<SecondStage['model'], 'spec' | 'hash' | 'scoreThreshold'>;
  /** As `SecondStage.look`. */
  look(frame: F, ...rest: Tail<Parameters<SecondStage['look']>>): void;
}
type Tail<T extends readonly unknown[]> = T extends readonly [unknown, ...infer Rest] ? Rest : never;

/** A second stage's look at one object of a frame, and what it found. */
export interface Look<F = InFlightFrame> {
  readonly stage: CropReader<F>;
  readonly object: Detection;
  /** Track of the object, or of the one in which it was found. */
  readonly trackId: number;
  readonly trackBox: Box;
  attributes: Readonly<Record<string, Attribute>>;
  /** Nobody looked, so that what was found in earlier frames is not of this one. */
  isMissed: boolean;
  /** In source pixels. */
  found: readonly Detection[];
  /** At what was found. */
  inner: readonly Look<F>[];
}

/** Looks at one frame that take effect together, once all of them are over. */
export class LookGroup<F = InFlightFrame> {
  readonly frame: F;
  readonly looks: Look<F>[] = [];
  readonly #onOver: (group: LookGroup<F>) => void;
  #open = 0;
  #settle: () => void = () => undefined;
  /** Resolves once all are over, or nobody waits for them any more. */
  readonly settled = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });

  constructor(frame: F, onOver: (group: LookGroup<F>) => void) {
    this.frame = frame;
    this.#onOver = onOver;
  }

  get isOver(): boolean {
    return this.#open === 0;
  }

  /** Call it before a look begins; each call is followed by one of `leave`. */
  enter(): void {
    this.#open += 1;
  }

  leave(): void {
    this.#open -= 1;
    if (this.#open > 0) return;
    this.#onOver(this);
    this.#settle();
  }

  /** Holds nothing back any more. */
  giveUp(): void {
    this.#settle();
  }
}
