import { monoNowMs } from '../../../base/core/clock.ts';
import type { FromLane } from '../../../wire/protocol/threads.ts';
import type { LogEvent } from '../../decode/ffmpeg-log.ts';
import type { Connection } from './lane-connection.ts';

/** So long packets of a new connection count as signs of life before a frame: key frames may be far apart. */
const MOST_KEY_GAP_MS = 60_000;
/** A smaller change of the distance of key frames is not reported. */
const KEY_GAP_CHANGE = 0.95;
/** Packets that can be read and not decoded yet. */
const IN_DECODER = 32;

/** Counts of one video that only decoding knows: damage, frames that are not decoded by choice, the distance of key frames. */
export class DecodeCounts {
  readonly #ringId: number;
  readonly #post: (message: FromLane) => void;
  #errors = 0;
  #notDecoded = 0;
  #lastKey: { readonly us: number; readonly decoded: number } | null = null;
  #keyGapUs = Number.POSITIVE_INFINITY;
  /** Media time of the newest packet, which may not be decoded; 0 while packets are not counted. */
  readUntilUs = 0;

  constructor(ringId: number, post: (message: FromLane) => void) {
    this.#ringId = ringId;
    this.#post = post;
  }

  onError(): void {
    this.#errors += 1;
  }

  /** Times of another connection are of another source. */
  onConnection(): void {
    this.#lastKey = null;
  }

  /**
   * The shortest distance counts: of a damaged video, key frames are missing.
   *
   * @param isNext - the frame before it was a key frame, too.
   * @param decoded - frames that were decoded so far on its connection.
   */
  onKeyFrame(us: number, isNext: boolean, decoded: number): void {
    const last = this.#lastKey ?? { us, decoded };
    this.#lastKey = { us, decoded };
    const gapUs = us - last.us;
    if (gapUs <= 0 || gapUs > KEY_GAP_CHANGE * this.#keyGapUs) return;
    this.#keyGapUs = gapUs;
    const frames = Math.max(1, decoded - last.decoded);
    this.#post({ type: 'key-gap', ringId: this.#ringId, us: gapUs, isEachFrame: isNext, frames });
  }

  /**
   * Packets are a sign of life where frames are not decoded by choice. ffmpeg 5 reads a video that it plays in real time up to its first
   * decoded frame at once, and then waits until that time has come.
   */
  onRead(connection: Connection, { packets, untilUs, isEnd }: Extract<LogEvent, { kind: 'read' }>): void {
    const { frames, decoded, startedMs, notDecoded } = connection;
    const passedMs = monoNowMs() - startedMs;
    const isAhead = (untilUs ?? 0) / 1000 > passedMs;
    const mayWait = frames > 0 || passedMs < MOST_KEY_GAP_MS;
    if ((packets > connection.packets && mayWait) || isAhead) connection.silentMs = 0;
    connection.packets = packets;
    this.readUntilUs = untilUs ?? this.readUntilUs;
    const newest = packets - decoded - (isEnd ? 0 : IN_DECODER);
    if (newest <= notDecoded) return;
    this.#notDecoded += newest - notDecoded;
    connection.notDecoded = newest;
  }

  /** From now on nobody knows how many frames are not decoded. */
  loseCount(): void {
    this.#post({ type: 'not-decoded', ringId: this.#ringId, count: null });
  }

  /** Reports what was counted since the last call. */
  flush(): void {
    const ringId = this.#ringId;
    if (this.#notDecoded > 0) this.#post({ type: 'not-decoded', ringId, count: this.#notDecoded });
    if (this.#errors > 0) this.#post({ type: 'decode-errors', ringId, count: this.#errors });
    this.#notDecoded = 0;
    this.#errors = 0;
  }
}
