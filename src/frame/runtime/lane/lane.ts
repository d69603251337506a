import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { FromLane, LaneStream, ToLane } from '../../../wire/protocol/threads.ts';
import type { LanePort } from './lane-frames.ts';
import { LaneImages } from './lane-images.ts';
import { LaneSchedule } from './lane-schedule.ts';
import { LaneVideo } from './lane-video.ts';

const BUSY_INTERVAL_MS = 1000;

/** Runs on a lane thread: owns a set of streams, from their bytes to the model's input. */
export class Lane implements LanePort {
  readonly #streams = new Map<number, LaneVideo | LaneImages>();
  readonly #schedule = new LaneSchedule();
  readonly #send: LanePort['post'];
  readonly #busyTimer: NodeJS.Timeout;
  #preprocessMs = 0;

  constructor(send: LanePort['post']) {
    this.#send = send;
    this.#busyTimer = setInterval(() => {
      this.post({ type: 'busy', preprocessMs: this.#preprocessMs });
      this.#preprocessMs = 0;
    }, BUSY_INTERVAL_MS);
  }

  post(message: FromLane, transfer?: readonly ArrayBuffer[]): void {
    this.#send(message, transfer);
  }

  addPreprocessMs(ms: number): void {
    this.#preprocessMs += ms;
  }

  handle(message: Exclude<ToLane, { type: 'shutdown' }>): void {
    try {
      this.#handle(message);
    } catch (error) {
      // A stream that cannot be opened fails alone, not the thread and with it the other streams.
      const ringId = message.type === 'open' ? message.stream.ring.ringId : message.ringId;
      this.post({ type: 'failed', ringId, error: SightlineError.from(error, 'INTERNAL_ERROR').toWire() });
    }
  }

  #handle(message: Exclude<ToLane, { type: 'shutdown' }>): void {
    switch (message.type) {
      case 'open':
        this.#open(message.stream);
        break;
      case 'close':
        void this.#close(message.ringId);
        break;
      case 'slot-free':
        this.#streams.get(message.ringId)?.onSlotFree();
        break;
      case 'watch': {
        const stream = this.#streams.get(message.ringId);
        if (stream !== undefined) stream.isWatched = message.isWatched;
        break;
      }
      case 'picture': {
        const stream = this.#streams.get(message.ringId);
        if (stream instanceof LaneImages) stream.push(message.next);
        break;
      }
      case 'shed': {
        const stream = this.#streams.get(message.ringId);
        if (stream instanceof LaneVideo) stream.keepRatio = message.keepRatio;
        break;
      }
      case 'tune': {
        const stream = this.#streams.get(message.ringId);
        if (stream instanceof LaneVideo) stream.tune(message.tuning);
        break;
      }
    }
  }

  #open(stream: LaneStream): void {
    const { input } = stream;
    const reader =
      input.kind === 'video' ? new LaneVideo(stream, input.source, this) : new LaneImages(stream, input, this);
    this.#streams.set(stream.ring.ringId, reader);
    this.#schedule.follow([...this.#streams.values()].some(({ policy }) => policy === 'live'));
    reader.open();
  }

  async #close(ringId: number): Promise<void> {
    const reader = this.#streams.get(ringId);
    this.#streams.delete(ringId);
    try {
      await reader?.close();
    } catch (error) {
      this.post({ type: 'warning', ringId, message: `it did not close properly: ${(error as Error).message}` });
    } finally {
      this.post({ type: 'closed', ringId });
    }
  }

  /** Closes every stream. */
  async shutdown(): Promise<void> {
    clearInterval(this.#busyTimer);
    await Promise.all([...this.#streams.keys()].map((ringId) => this.#close(ringId)));
  }
}
