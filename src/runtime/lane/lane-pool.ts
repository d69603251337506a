import type { SightlineError } from '../../errors/sightline-error.ts';
import { BackOff } from '../../flow/back-off.ts';
import { LaneClient, type LaneEvents } from './lane-client.ts';

/** A lane that ran this long resets the back-off. */
const STEADY_MS = 10_000;

export interface LanePoolEvents extends Pick<LaneEvents, 'onPackets'> {
  /** Time that a lane spent on preprocessing, in milliseconds. */
  onBusy(preprocessMs: number): void;
  /** A lane has died, and another one takes its place. */
  onRestarted(error: SightlineError): void;
}

/** The lanes of a runtime. One that dies is replaced until `shutdown`. */
export class LanePool {
  readonly #events: LanePoolEvents;
  readonly #lanes: LaneClient[] = [];
  readonly #backOff = new BackOff({ firstMs: 100, maxMs: 5_000 });
  #isStopping = false;

  constructor(count: number, events: LanePoolEvents) {
    this.#events = events;
    for (let i = 0; i < count; i++) this.#add();
  }

  get all(): readonly LaneClient[] {
    return this.#lanes;
  }

  /** The lane with the fewest streams. */
  get least(): LaneClient {
    return this.#lanes.reduce((a, b) => (b.streamCount < a.streamCount ? b : a));
  }

  async shutdown(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#lanes.map((lane) => lane.shutdown()));
  }

  #add(startDelayMs = 0): void {
    const onBusy = (preprocessMs: number): void => this.#events.onBusy(preprocessMs);
    const onPackets: LaneEvents['onPackets'] = (packets) => this.#events.onPackets(packets);
    const onLost = (lane: LaneClient, error: SightlineError): void => {
      this.#lanes.splice(this.#lanes.indexOf(lane), 1);
      if (this.#isStopping) return;
      // A lane that ran for a while is replaced at once; one that fails early is restarted with a back-off.
      const isSteady = lane.ageMs > STEADY_MS;
      if (isSteady) this.#backOff.reset();
      this.#add(isSteady ? 0 : this.#backOff.nextMs());
      this.#events.onRestarted(error);
    };
    this.#lanes.push(new LaneClient({ onBusy, onPackets, onLost }, { startDelayMs }));
  }
}
