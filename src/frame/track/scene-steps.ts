import { NO_SHIFT, type SceneShift } from '../../base/core/frame.ts';

/** How far the scene goes from frame to frame of a recording, which may be read in parts, each of which begins at no shift. */
export class SceneSteps {
  #at = NO_SHIFT;

  /** Returns how far it went since the last call; undefined: not at all. */
  to(shift: SceneShift): SceneShift | undefined {
    const step = { x: shift.x - this.#at.x, y: shift.y - this.#at.y };
    this.#at = shift;
    return step.x === 0 && step.y === 0 ? undefined : step;
  }

  /** Returns how far it has gone after another step. */
  by(step: SceneShift | undefined): SceneShift {
    if (step !== undefined) this.#at = { x: this.#at.x + step.x, y: this.#at.y + step.y };
    return this.#at;
  }
}

/** Returns the step that a line of a file has as its last entry, `{ moved }`, and removes it; undefined if there is none. */
export function takeStep(line: unknown[]): SceneShift | undefined {
  if (!Object.hasOwn(Object(line.at(-1)), 'moved')) return undefined;
  return (line.pop() as { readonly moved: SceneShift }).moved;
}
