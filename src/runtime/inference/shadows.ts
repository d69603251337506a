import type { PublishedFrame } from '../../core/frame.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { RuntimeStream } from '../stream/runtime-stream.ts';
import type { ModelInstances } from './model-instances.ts';
import type { Scheduler } from './scheduler.ts';
import { type ShadowCounters, type ShadowResult, ShadowStream } from './shadow-stream.ts';

type ComparedStream = Pick<RuntimeStream, 'id' | 'instance' | 'arrangement'>;

/** The streams of which a candidate infers a share of the frames. */
export class Shadows {
  readonly #scheduler: Scheduler;
  readonly #models: ModelInstances;
  readonly #onPair: (result: ShadowResult) => void;
  /** By id of the stream. */
  readonly #streams = new Map<string, ShadowStream>();

  constructor(scheduler: Scheduler, models: ModelInstances, onPair: (result: ShadowResult) => void) {
    this.#scheduler = scheduler;
    this.#models = models;
    this.#onPair = onPair;
  }

  /** @throws MODEL_NOT_FOUND; MODEL_INCOMPATIBLE if the models take other inputs or have other classes. */
  start(stream: ComparedStream, name: string, ratio: number, comparesSkipped: boolean): void {
    const { id, instance, arrangement } = stream;
    if (!this.#models.isSameInput(instance, name) && arrangement.beside?.instance !== name)
      throw new SightlineError(
        'MODEL_INCOMPATIBLE',
        `model "${name}" cannot infer the frames of stream "${id}": it takes inputs of another size or resize rule`,
      );
    this.stop(id);
    const { spec, scoreThreshold } = this.#models.get(name);
    const shadow = new ShadowStream(
      id,
      { ratio, minScore: scoreThreshold, comparesSkipped },
      spec.classes,
      this.#onPair,
    );
    this.#streams.set(id, shadow);
    this.#scheduler.setShadow(id, shadow, name);
  }

  /** Ends the shadow of a stream, if it has one. */
  stop(streamId: string): void {
    if (this.#streams.delete(streamId)) this.#scheduler.endShadow(streamId);
  }

  /** Null if the stream has no shadow. */
  counters(streamId: string): ShadowCounters | null {
    return this.#streams.get(streamId)?.counters ?? null;
  }

  onPublished(frame: PublishedFrame): void {
    this.#streams.get(frame.streamId)?.onPublished(frame);
  }
}
