import type { Attribute, Box, Detection } from '../../core/detection.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';
import type { SecondStage } from './second-stage.ts';

/** A second stage's look at one object of a frame, and what it found. */
export interface Look {
  readonly stage: SecondStage;
  readonly object: Detection;
  /** Track of the object, or of the one in which it was found. */
  readonly trackId: number;
  readonly trackBox: Box;
  attributes: Readonly<Record<string, Attribute>>;
  /** In source pixels. */
  found: readonly Detection[];
  /** At what was found. */
  inner: readonly Look[];
}

/** Looks at one frame that take effect together, once all of them are over. */
export class LookGroup {
  readonly frame: InFlightFrame;
  readonly looks: Look[] = [];
  readonly #onOver: (group: LookGroup) => void;
  #open = 0;
  #settle: () => void = () => undefined;
  /** Resolves once all are over, or nobody waits for them any more. */
  readonly settled = new Promise<void>((resolve) => {
    this.#settle = resolve;
  });

  constructor(frame: InFlightFrame, onOver: (group: LookGroup) => void) {
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
