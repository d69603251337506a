import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { BackOff } from '../../../base/flow/back-off.ts';
import { LaneClient, type LaneEvents } from './lane-client.ts';

/** A lane that ran this long resets the back-off. */
const STEADY_MS = 10_000;
/** Threads in a row that end before they have started: a missing file or a damaged installation, which another attempt does not mend. */
const MOST_FAILED_STARTS = 3;

export interface LanePoolEvents extends Pick<LaneEvents, 'onPackets'> {
  /** Time that a lane spent on preprocessing, in milliseconds. */
  onBusy(preprocessMs: number): void;
  /** A lane has died, and another one takes its place. */
  onRestarted(error: SightlineError): void;
  /** No lane can be started; it is not tried again. */
  onFailed(error: SightlineError): void;
}

/** The lanes of a runtime. One that dies is replaced until `shutdown`, unless none can be started. */
export class LanePool {
  readonly #events: LanePoolEvents;
  readonly #lanes: LaneClient[] = [];
  readonly #backOff = new BackOff({ firstMs: 100, maxMs: 5_000 });
  readonly #entry: URL | undefined;
  #isStopping = false;
  #failedStarts = 0;
  #failure: SightlineError | null = null;

  /** @param entry - script of the threads; see `LaneOptions`. */
  constructor(count: number, events: LanePoolEvents, entry?: URL) {
    this.#events = events;
    this.#entry = entry;
    for (let i = 0; i < count; i++) this.#add();
  }

  get all(): readonly LaneClient[] {
    return this.#lanes;
  }

  /** Why no lane can be started any more; null as long as that is not known. */
  get failure(): SightlineError | null {
    return this.#failure;
  }

  /** The lane with the fewest streams. @throws LANE_FAILED if none can be started */
  get least(): LaneClient {
    if (this.#failure !== null && this.#lanes.length === 0) throw this.#failure;
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
      this.#failedStarts = lane.hasAnswered ? 0 : this.#failedStarts + 1;
      if (this.#failedStarts >= MOST_FAILED_STARTS) {
        this.#fail(error);
        return;
      }
      // A lane that ran for a while is replaced at once; one that fails early is restarted with a back-off.
      const isSteady = lane.ageMs > STEADY_MS;
      if (isSteady) this.#backOff.reset();
      this.#add(isSteady ? 0 : this.#backOff.nextMs());
      if (lane.hasAnswered) this.#events.onRestarted(error);
    };
    this.#lanes.push(
      new LaneClient({ onBusy, onPackets, onLost }, { startDelayMs, ...(this.#entry && { entry: this.#entry }) }),
    );
  }

  #fail({ message }: SightlineError): void {
    if (this.#failure !== null) return;
    this.#failure = new SightlineError('LANE_FAILED', `no lane thread can be started: ${message}`);
    this.#events.onFailed(this.#failure);
  }
}
