import type { StreamConfig } from '../config/stream.ts';
import type { RawPicture } from '../core/picture.ts';
import { type ResultRecord, resultRecord } from '../protocol/result-record.ts';
import { PictureFeed } from '../runtime/stream/picture-feed.ts';
import { FILE_BOX_STEPS } from '../sinks/result-line.ts';
import { type HostStreams, PUSHED } from './host-streams.ts';

/** About one pushed picture. */
export interface PushOptions {
  /** Media time in microseconds, above that of the picture before; default: the time since the first picture. */
  readonly ptsUs?: number;
  /** Takes the picture back, or stops waiting for its result. */
  readonly signal?: AbortSignal;
}

/** A stream whose pictures the program hands over, from a decoder of its own for instance. Each picture gives one result. */
export class PushedStream {
  readonly id: string;
  readonly #streams: HostStreams;
  readonly #feed = new PictureFeed();

  private constructor(id: string, streams: HostStreams) {
    this.id = id;
    this.#streams = streams;
  }

  /** @throws STREAM_EXISTS, LIMIT_REACHED, CONFIG_INVALID */
  static async open(config: StreamConfig, streams: HostStreams): Promise<PushedStream> {
    const stream = new PushedStream(config.id, streams);
    await streams.addPushed(config, stream.#feed);
    return stream;
  }

  /**
   * Hands over the next picture. Await the result before you push more than some pictures: that is the back-pressure. Pixels
   * are copied once, unless they lie in a `SharedArrayBuffer`.
   *
   * @param rgb - u8 `[height, width, 3]` RGB; must not change until the promise settles.
   * @throws CONFIG_INVALID, LIMIT_REACHED if 1024 pictures wait, STREAM_STATE if the stream was removed, ENGINE_FAILED; the
   *   reason of the signal.
   */
  push(rgb: Uint8Array, size: Omit<RawPicture, 'data'> & PushOptions): Promise<ResultRecord>;
  /** @param image - path of an image file, or the bytes of one. @throws SOURCE_UNREADABLE, SOURCE_TOO_LARGE besides. */
  push(image: Uint8Array | string, options?: PushOptions): Promise<ResultRecord>;
  async push(
    given: Uint8Array | string,
    { ptsUs, signal, width, height }: PushOptions & Partial<Omit<RawPicture, 'data'>> = {},
  ): Promise<ResultRecord> {
    const isRaw = given instanceof Uint8Array && (width !== undefined || height !== undefined);
    const picture = isRaw ? { data: given, width: width ?? 0, height: height ?? 0 } : given;
    return resultRecord(await this.#feed.push(picture, ptsUs ?? null, signal), FILE_BOX_STEPS, PUSHED);
  }

  /** Waits for the results of all pictures, then removes the stream. */
  async end(): Promise<void> {
    await this.#feed.idle();
    await this.#streams.remove(this.id);
  }
}
