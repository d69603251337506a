import { createHash, randomUUID } from 'node:crypto';
import type { GapReason, StreamPackets } from '../../../wire/protocol/packets.ts';
import type { LaneStream } from '../../../wire/protocol/threads.ts';
import { codecOf, FragmentReader, nameAsPlayed, parseFragment, timescaleOf } from '../../decode/fragment-reader.ts';
import { sourceUs } from '../../decode/packet-tap.ts';
import type { LaneFrames, LanePort } from './lane-frames.ts';

/** Fragments that wait for the first decoded picture, which says what their times are in results. */
const MOST_WAITING = 30;

/** The packets of one stream, connection by connection. */
export class LaneTaps {
  readonly #stream: LaneStream;
  readonly #frames: Pick<LaneFrames, 'shiftUs'>;
  readonly #port: LanePort;
  readonly #onRefused: (why: string) => void;
  #isRefused = false;
  #gap: GapReason = 'reopened';

  /** @param onRefused - gets, once, why no packets are kept. */
  constructor(
    stream: LaneStream,
    frames: Pick<LaneFrames, 'shiftUs'>,
    port: LanePort,
    onRefused: (why: string) => void,
  ) {
    this.#stream = stream;
    this.#frames = frames;
    this.#port = port;
    this.#onRefused = onRefused;
  }

  /**
   * Returns what takes the packets of the next connection; null if none are kept.
   *
   * @param onOutOfStep - called if the times of packets and pictures have come apart: the connection must be made again.
   */
  open(onOutOfStep: (why: string) => void): LaneTap | null {
    if (!this.#stream.tapsPackets || this.#isRefused) return null;
    const gap = this.#gap;
    this.#gap = 'reconnect';
    return new LaneTap(
      {
        stream: this.#stream.streamId,
        shiftUs: () => this.#frames.shiftUs,
        post: (packets, transfer) => this.#port.post(packets, transfer),
        onClockSet: () => {
          this.#gap = 'clock';
          onOutOfStep('the source has set its clock back');
        },
        onFault: (why) => this.refuse(why),
      },
      gap,
    );
  }

  /** None are kept any more. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  refuse(why: string): void {
    if (!this.#isRefused)
      this.#onRefused(
        `its packets cannot be kept as MP4, so it has no clips, no recording, no live video and no restream: ${why}`,
      );
    this.#isRefused = true;
  }
}

interface TapOptions {
  readonly stream: string;
  /** What is added to the times of the source; null before the first picture of the connection. */
  readonly shiftUs: () => number | null;
  readonly post: (packets: StreamPackets, transfer: readonly ArrayBuffer[]) => void;
  readonly onClockSet: () => void;
  readonly onFault: (why: string) => void;
}

/** Cuts the packets of one connection into fragments with the times of results. */
export class LaneTap {
  readonly #options: TapOptions;
  readonly #gap: GapReason;
  readonly #connection = randomUUID();
  readonly #reader = new FragmentReader(
    (init) => this.#onInit(init),
    (bytes) => this.#onFragment(bytes),
  );
  #init: Uint8Array<ArrayBuffer> | null = null;
  #timescale = 0;
  /** Null until the connection was reported. */
  #shiftUs: number | null = null;
  #waiting: { readonly bytes: Uint8Array<ArrayBuffer>; readonly endMs: number }[] = [];
  #isOver = false;

  constructor(options: TapOptions, gap: GapReason) {
    this.#options = options;
    this.#gap = gap;
  }

  push(bytes: Uint8Array): void {
    this.#try(() => this.#reader.push(bytes));
  }

  /** Hands on what waits: the connection has ended. */
  end(): void {
    this.#try(() => this.#flush());
    this.#isOver = true;
  }

  /** What is wrong with packets must not end a connection. */
  #try(run: () => void): void {
    if (this.#isOver) return;
    try {
      run();
    } catch (error) {
      this.#isOver = true;
      this.#options.onFault((error as Error).message);
    }
  }

  #onInit(init: Uint8Array<ArrayBuffer>): void {
    nameAsPlayed(init);
    this.#init = init;
    this.#timescale = timescaleOf(init);
  }

  #onFragment(bytes: Uint8Array<ArrayBuffer>): void {
    this.#waiting.push({ bytes, endMs: Date.now() });
    if (this.#waiting.length > MOST_WAITING) this.#waiting.shift();
    this.#flush();
  }

  #flush(): void {
    const shiftUs = this.#options.shiftUs();
    if (shiftUs === null || this.#init === null) return;
    if (this.#shiftUs !== null && shiftUs !== this.#shiftUs) {
      this.#isOver = true;
      this.#waiting = [];
      this.#options.onClockSet();
      return;
    }
    const { stream, post } = this.#options;
    const [connection, timescale] = [this.#connection, this.#timescale];
    if (this.#shiftUs === null) {
      this.#shiftUs = shiftUs;
      const codec = codecOf(this.#init);
      post(
        { type: 'packets-opened', stream, connection, init: this.#init, codec, timescale, shiftUs, gap: this.#gap },
        [],
      );
    }
    for (const { bytes, endMs } of this.#waiting.splice(0)) {
      const { isKey, baseTicks, baseAt, ptsTicks, durationTicks } = parseFragment(bytes);
      const us = (ticks: number): number => sourceUs(ticks, timescale) + shiftUs;
      const startTicks = Math.min(...ptsTicks);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      post(
        {
          type: 'packets',
          stream,
          connection,
          bytes,
          sha256,
          isKey,
          frames: ptsTicks.length,
          baseTicks,
          baseAt,
          startUs: us(startTicks),
          endUs: us(startTicks + durationTicks),
          endMs,
          firstUs: us(ptsTicks[0]!),
          firstTicks: ptsTicks[0]!,
        },
        [bytes.buffer],
      );
    }
  }
}
