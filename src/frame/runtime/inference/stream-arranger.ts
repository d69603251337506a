import { type Arrangement, laneKey } from '../stream/arrangement.ts';
import type { RuntimeStream } from '../stream/runtime-stream.ts';
import type { StreamInput } from '../stream/stream-port.ts';
import type { ModelInstances } from './model-instances.ts';

/** Moves streams to other settings and models. No frame of a file is lost, and counts, tracks and frame numbers go on. */
export class StreamArranger {
  readonly #models: ModelInstances;

  constructor(models: ModelInstances) {
    this.#models = models;
  }

  /** Returns whether a stream can take an arrangement between two frames, without opening its source again. */
  #isInPlace(stream: RuntimeStream, to: Arrangement): boolean {
    this.#models.requireSameClasses(stream.instance, to.instance);
    const isHeld = !stream.isOpen && stream.state !== 'pausing';
    return isHeld || this.#laneKey(stream.arrangement) === this.#laneKey(to);
  }

  #laneKey(arrangement: Arrangement): string {
    return laneKey(arrangement, (name) => this.#models.get(name).spec);
  }

  /**
   * Between two frames no frame is lost, repeated or reordered. If the lane has to do something else, the source of a running
   * stream is opened again: a file goes on with its next frame, a camera with what it sends then.
   *
   * @param input - for the new settings and model.
   * @throws MODEL_NOT_FOUND; MODEL_INCOMPATIBLE if the classes differ; STREAM_STATE, and what opening the source throws. The
   *   stream then goes on as before.
   */
  async rearrange(stream: RuntimeStream, to: Arrangement, input: StreamInput): Promise<void> {
    if (!this.#isInPlace(stream, to)) {
      await stream.reopen(to.config, input, to);
      return;
    }
    this.#models.move(stream.ledger, to.instance, () => stream.rearrange(to, input));
    if (stream.isOpen) this.#models.serve(stream.ledger);
  }
}
