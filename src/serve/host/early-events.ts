import type { ErrorDetails } from '../../base/errors/sightline-error.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { EventKind, EventMessage } from '../../wire/protocol/feed.ts';

/** Events of sinks, which open before the runtime: notices at once, and events for the first listener. */
export class EarlyEvents {
  /** Null once there is a listener. */
  #waiting: EventMessage[] | null = [];
  #runtime: Pick<Runtime, 'emitEvent'> | null = null;
  readonly #onNotice: (text: string) => void;

  constructor(onNotice: (text: string) => void) {
    this.#onNotice = onNotice;
  }

  add(kind: EventKind, text: string, details: ErrorDetails): void {
    if (this.#waiting === null) {
      this.#runtime?.emitEvent(kind, undefined, text, details);
      return;
    }
    this.#onNotice(kind === 'sink-failed' ? `error: ${text} [SINK_FAILED]` : text);
    this.#waiting.push({ type: 'event', timeMs: Date.now(), kind, message: text, details });
  }

  /** Passes what waits to the listeners of a runtime, and from then on each event at once. */
  handOver(runtime: Pick<Runtime, 'emitEvent' | 'events'>): void {
    const waiting = this.#waiting ?? [];
    this.#runtime = runtime;
    this.#waiting = null;
    for (const event of waiting) runtime.events.emit(event);
  }
}
