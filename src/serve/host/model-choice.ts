import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import { WeeklyClock } from '../../settings/config/weekly-times.ts';
import type { HostStreams } from './host-streams.ts';

type Choice = StreamConfig['modelWhen'][number];

/** So long a stream keeps a detector: one that finds less may end the event for which it was chosen. */
const HOLD_MS = 30_000;
/** A detector that cannot be loaded is tried again after so long. */
const RETRY_MS = 60_000;

export interface ModelChoiceOptions {
  readonly runtime: Pick<Runtime, 'emitEvent' | 'streams'>;
  readonly streams: Pick<HostStreams, 'orderedConfig' | 'followModel'>;
  /** Whether an event of a rule of a stream is open. */
  readonly isOpen: (stream: string, rule: string) => boolean;
  /** Milliseconds since 1970. */
  readonly wallMs?: () => number;
}

/** Which detector each stream uses now, by the times and events of its `modelWhen`. */
export class ModelChoice {
  readonly #options: ModelChoiceOptions;
  readonly #wallMs: () => number;
  readonly #clocks = new WeakMap<object, WeeklyClock>();
  /** Until when streams are left alone that were moved, or could not be. */
  readonly #held = new Map<string, number>();

  constructor(options: ModelChoiceOptions) {
    this.#options = options;
    this.#wallMs = options.wallMs ?? Date.now;
  }

  /** @returns the detector for a stream now; undefined: the pipeline's own. */
  modelOf({ id, model, modelWhen }: StreamConfig): string | undefined {
    return modelWhen.find((choice) => this.#applies(id, choice))?.model ?? model;
  }

  /** Moves the streams whose time or event has come or gone. Call it about once a second. */
  update(): void {
    const { runtime, streams } = this.#options;
    const nowMs = this.#wallMs();
    for (const [id, untilMs] of this.#held) if (nowMs >= untilMs) this.#held.delete(id);
    for (const stream of runtime.streams) {
      const { id, model } = stream.config;
      if (this.modelOf(streams.orderedConfig(stream)) === model) continue;
      if (!this.#held.has(id)) void this.#move(id, nowMs);
    }
  }

  async #move(id: string, nowMs: number): Promise<void> {
    this.#held.set(id, nowMs + RETRY_MS);
    try {
      await this.#options.streams.followModel(id);
      this.#held.set(id, nowMs + HOLD_MS);
    } catch (error) {
      const { code, message } = SightlineError.from(error, 'CONFIG_INVALID');
      if (code === 'STREAM_NOT_FOUND') this.#held.delete(id);
      else this.#options.runtime.emitEvent('stream-warning', id, `modelWhen: ${message}; tried again in a minute`);
    }
  }

  #applies(id: string, { times, event }: Choice): boolean {
    if (event !== undefined && !this.#options.isOpen(id, event)) return false;
    if (times === undefined) return true;
    let clock = this.#clocks.get(times);
    if (clock === undefined) {
      clock = new WeeklyClock(times);
      this.#clocks.set(times, clock);
    }
    return clock.includes(this.#wallMs());
  }
}
