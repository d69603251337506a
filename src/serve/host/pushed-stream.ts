import { z } from 'zod';
import { FILE_BOX_STEPS } from '../../after/sinks/result-line.ts';
import type { RawPicture } from '../../base/core/picture.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { PictureFeed } from '../../frame/runtime/stream/picture-feed.ts';
import { check } from '../../settings/config/check.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import { type ResultRecord, resultRecord } from '../../wire/protocol/result-record.ts';
import { parentOf, pictureOptions, type TraceOptions } from './call-options.ts';
import type { HostStreams } from './host-streams.ts';
import { PUSHED } from './push-source.ts';

/** About one pushed picture. */
export interface PushOptions extends TraceOptions {
  /** Media time in microseconds, above that of the picture before; default: the time since the first picture. */
  readonly ptsUs?: number;
  /** Takes the picture back, or stops waiting for its result. */
  readonly signal?: AbortSignal;
}

/** Times and sizes are checked with their picture. */
const pushOptions = z.looseObject(pictureOptions);

/** A stream whose pictures the program hands over, from a decoder of its own for instance. Each picture gives one result. */
export class PushedStream {
  /** Name of the stream. */
  readonly id: string;
  readonly #streams: HostStreams;
  readonly #requireOpen: () => void;
  readonly #feed = new PictureFeed();
  #ending: Promise<void> | null = null;

  private constructor(id: string, streams: HostStreams, requireOpen: () => void) {
    this.id = id;
    this.#streams = streams;
    this.#requireOpen = requireOpen;
  }

  /** @internal @throws STREAM_EXISTS, LIMIT_REACHED, CONFIG_INVALID */
  static async open(config: StreamConfig, streams: HostStreams, requireOpen: () => void): Promise<PushedStream> {
    const stream = new PushedStream(config.id, streams, requireOpen);
    await streams.addPushed(config, stream.#feed);
    return stream;
  }

  /**
   * Hands over the next picture. Await the result before you push more than some pictures: that is the back-pressure. Pixels
   * are copied once, unless they lie in a `SharedArrayBuffer`.
   *
   * @param rgb - u8 `[height, width, 3]` RGB; must not change until the promise settles.
   * @throws CONFIG_INVALID, LIMIT_REACHED if 1024 pictures wait or, with `policy: 'live'`, newer ones took its place; STREAM_STATE if the stream was removed, ENGINE_FAILED; the
   *   reason of the signal.
   */
  push(rgb: Uint8Array, size: Omit<RawPicture, 'data'> & PushOptions): Promise<ResultRecord>;
  /** @param image - path of an image file, or the bytes of one. @throws SOURCE_UNREADABLE, SOURCE_TOO_LARGE besides. */
  push(image: Uint8Array | string, options?: PushOptions): Promise<ResultRecord>;
  async push(
    given: Uint8Array | string,
    options: PushOptions & Partial<Omit<RawPicture, 'data'>> = {},
  ): Promise<ResultRecord> {
    const { signal, ...trace } = check(pushOptions, options, 'push');
    const { ptsUs, width, height } = options;
    const isRaw = given instanceof Uint8Array && (width !== undefined || height !== undefined);
    const picture = isRaw ? { data: given, width: width ?? 0, height: height ?? 0 } : given;
    try {
      return resultRecord(
        await this.#feed.push(picture, ptsUs ?? null, signal, parentOf(trace)),
        FILE_BOX_STEPS,
        PUSHED,
      );
    } catch (error) {
      if (isStreamState(error)) this.#requireOpen();
      throw error;
    }
  }

  /** Waits for the results of all pictures, then removes the stream. Later calls, also after it was removed, do nothing more. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    await this.#feed.idle();
    // Another stream may have its id by now.
    if (!this.#feed.hasEnded) await this.#streams.remove(this.id);
  }
}

/** Whether a picture was refused because its stream has ended, and perhaps the engine with it. */
export function isStreamState(error: unknown): boolean {
  return error instanceof SightlineError && error.code === 'STREAM_STATE';
}
