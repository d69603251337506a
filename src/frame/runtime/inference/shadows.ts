import type { Clock } from '../../../base/core/clock.ts';
import type { PublishedFrame } from '../../../base/core/frame.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { BatchStreamOptions } from '../../batch/micro-batcher.ts';
import type { InFlightFrame } from '../stream/in-flight-frame.ts';
import type { RuntimeStream } from '../stream/runtime-stream.ts';
import type { Scheduler } from './scheduler.ts';
import { type ShadowCounters, type ShadowOptions, type ShadowResult, ShadowStream } from './shadow-stream.ts';

type ComparedStream = Pick<RuntimeStream, 'id' | 'instance' | 'arrangement'>;

/** What a shadow needs to know about the model instances. */
interface Models {
  requireSameClasses(from: string, to: string): void;
  isSameInput(from: string, to: string): boolean;
  get(name: string): { readonly spec: ModelSpec; readonly scoreThreshold: number; readonly scheduler: Scheduler };
}

/** Shadow work yields: at most one frame waits, none is old, and live work of the same instance goes first. */
const SHADOW_OPTIONS: BatchStreamOptions = { priority: -1000, weight: 1, queueSize: 1, maxAgeMs: 1000 };

/** How the frames of a stream are compared. */
export interface ShadowRequest
  extends Pick<ShadowOptions, 'ratio'>,
    Partial<Pick<ShadowOptions, 'scoreSlack' | 'comparesSkipped'>> {}

interface Shadow {
  readonly stream: ShadowStream;
  /** Boxes of both models are needed from this score on. */
  readonly neededScore: number;
  /** Of the candidate. */
  readonly scheduler: Scheduler;
}

/** The streams of which a candidate infers a share of the frames. */
export class Shadows {
  readonly #onPair: (result: ShadowResult) => void;
  readonly #clock: Clock;
  /** By id of the stream. */
  readonly #shadows = new Map<string, Shadow>();

  constructor(onPair: (result: ShadowResult) => void, clock: Clock) {
    this.#onPair = onPair;
    this.#clock = clock;
  }

  /** @throws MODEL_NOT_FOUND; MODEL_INCOMPATIBLE if the models take other inputs or have other classes. */
  start(stream: ComparedStream, name: string, models: Models, request: ShadowRequest): void {
    const { id, instance, arrangement } = stream;
    models.requireSameClasses(instance, name);
    if (!models.isSameInput(instance, name) && arrangement.beside?.instance !== name)
      throw new SightlineError(
        'MODEL_INCOMPATIBLE',
        `model "${name}" cannot infer the frames of stream "${id}": it takes inputs of another size or resize rule`,
      );
    this.stop(id);
    const { spec, scoreThreshold, scheduler } = models.get(name);
    const publishedMinScore = models.get(instance).scoreThreshold;
    const { scoreSlack = 0, comparesSkipped = false, ratio } = request;
    const options = {
      ratio,
      minScore: scoreThreshold,
      publishedMinScore,
      scoreSlack,
      comparesSkipped,
      settingsOf: () => stream.arrangement.config,
    };
    const shadow = new ShadowStream(id, options, spec, this.#onPair);
    scheduler.model.batcher.setStream(shadow.id, SHADOW_OPTIONS);
    const neededScore = Math.max(0, Math.min(scoreThreshold, publishedMinScore) - scoreSlack);
    this.#shadows.set(id, { stream: shadow, scheduler, neededScore });
  }

  /** Lowest score of boxes that the comparisons need. */
  get neededScores(): number[] {
    return [...this.#shadows.values()].map(({ neededScore }) => neededScore);
  }

  /** Ids of the streams that are compared, and of their shadows: both sides need all that their task finds. */
  get compared(): ReadonlySet<string> {
    return new Set([...this.#shadows].flatMap(([id, { stream }]) => [id, stream.id]));
  }

  /** Ends the shadow of a stream, if it has one. */
  stop(streamId: string): void {
    const shadow = this.#shadows.get(streamId);
    if (shadow === undefined) return;
    this.#shadows.delete(streamId);
    const { stream, scheduler } = shadow;
    for (const frame of scheduler.model.batcher.removeStream(stream.id)) stream.drop(frame, 'stopped');
  }

  /** Null if the stream has no shadow. */
  counters(streamId: string): ShadowCounters | null {
    return this.#shadows.get(streamId)?.stream.counters ?? null;
  }

  /** Ids of the streams whose frames this candidate infers. */
  streamsOf(candidate: Scheduler): string[] {
    return [...this.#shadows].filter(([, { scheduler }]) => scheduler === candidate).map(([id]) => id);
  }

  /** Gives a frame to the candidate as well. Its queue holds one frame, so what it cannot keep up with is dropped there. */
  offer(frame: InFlightFrame): void {
    if (this.#shadows.size === 0 || frame.meta.change === 'without-input') return;
    const shadow = this.#shadows.get(frame.streamId);
    const second = shadow?.stream.shadowOf(frame) ?? null;
    if (shadow === undefined || second === null) return;
    const { stream, scheduler } = shadow;
    for (const displaced of scheduler.model.batcher.add(stream.id, second, this.#clock.now()))
      stream.drop(displaced, 'queue-full');
    scheduler.run();
  }

  onPublished(frame: PublishedFrame, { rows, repeats }: Pick<InFlightFrame, 'rows' | 'repeats'>): void {
    this.#shadows.get(frame.streamId)?.stream.onPublished(frame, (repeats ?? { rows }).rows);
  }
}
