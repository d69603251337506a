import { FILE_BOX_STEPS } from '../../after/sinks/result-line.ts';
import type { Detection } from '../../base/core/detection.ts';
import type { Picture } from '../../base/core/picture.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { TraceParent } from '../../base/flow/trace-context.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { PictureFeed } from '../../frame/runtime/stream/picture-feed.ts';
import type { BulkWork } from '../../frame/runtime/stream/stream-port.ts';
import { parseStream } from '../../settings/config/parse-stream.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import { roundDetection } from '../../wire/protocol/result-record.ts';
import type { HostStreams } from './host-streams.ts';
import { PUSHED } from './push-source.ts';

/** What was found in one picture. */
export interface PictureResult {
  /** Width of the picture in pixels, upright as its EXIF data says. */
  readonly width: number;
  /** Height of the picture in pixels, upright as its EXIF data says. */
  readonly height: number;
  /** Boxes in pixels of the picture, best score first. */
  readonly detections: readonly Detection[];
  /** What is wrong with the file, such as that it is cut off: what is missing counts as grey. Usually none. */
  readonly warnings: readonly string[];
}

/** Prefix of the ids of streams that single pictures take; no user's id has a colon. */
const ID_PREFIX = 'detect:';

interface PictureStream {
  readonly id: string;
  readonly feed: PictureFeed;
  readonly added: Promise<unknown>;
  /** Calls without an answer. */
  pending: number;
  /** By frame number. */
  readonly warnings: Map<number, string>;
}

/** Returns whether a stream serves single pictures. */
export function isPictureStream(id: string): boolean {
  return id.startsWith(ID_PREFIX);
}

export interface PictureDetectorOptions {
  /** Pictures that are read and fitted at once: as many as there are lanes. */
  readonly most: number;
  /** Tells its streams from those of others. */
  readonly name?: string;
  /** The loaded model that infers the pictures; default: that of new streams. */
  readonly instance?: string;
  /** Default: that of the model of new streams. */
  readonly scoreThreshold?: number;
  /** Gets nothing while a frame of a stream waits. */
  readonly isBelowStreams?: boolean;
}

/** Below what a stream can have. */
const LOWEST_PRIORITY = -101;

/** Detects objects in single pictures, which share batches with each other and with the frames of streams. */
export class PictureDetector {
  readonly #runtime: Runtime;
  readonly #streams: HostStreams;
  readonly #options: PictureDetectorOptions;
  #own: PictureStream[] = [];
  #opened = 0;

  constructor(runtime: Runtime, streams: HostStreams, options: PictureDetectorOptions) {
    this.#runtime = runtime;
    this.#streams = streams;
    this.#options = options;
  }

  /** Ends its streams once the pictures that were given to it have their results. */
  async close(): Promise<void> {
    const ending = this.#own.map(async ({ id, feed, added }) => {
      // Why it could not be added, its callers know.
      await added.catch(() => undefined);
      await feed.idle();
      if (!feed.hasEnded) await this.#streams.remove(id);
    });
    await Promise.all(ending);
  }

  /** @throws as `PictureFeed.push` */
  async detect(picture: Picture, signal?: AbortSignal, parent?: TraceParent): Promise<PictureResult> {
    signal?.throwIfAborted();
    const stream = this.#leastBusy();
    stream.pending += 1;
    try {
      await stream.added;
      const { frame, width, height, detections } = await stream.feed.push(picture, null, signal, parent);
      const warning = stream.warnings.get(frame);
      return {
        width,
        height,
        warnings: warning === undefined ? [] : [warning],
        detections: detections.map((each) => roundDetection(each, FILE_BOX_STEPS)),
      };
    } finally {
      stream.pending -= 1;
      if (stream.pending === 0) stream.warnings.clear();
    }
  }

  #leastBusy(): PictureStream {
    const { most, name = '', scoreThreshold = this.#runtime.scoreThreshold, isBelowStreams = false } = this.#options;
    // A client of the gateway may have removed one.
    this.#own = this.#own.filter(({ feed }) => !feed.hasEnded);
    const idle = this.#own.toSorted((a, b) => a.pending - b.pending)[0];
    if (idle !== undefined && (idle.pending === 0 || this.#own.length >= most)) return idle;
    const feed = new PictureFeed();
    this.#opened += 1;
    const id = `${ID_PREFIX}${name}${this.#opened}`;
    const own = parseStream({ id: 'detect', source: PUSHED }, {});
    const config = { ...own, id, priority: isBelowStreams ? LOWEST_PRIORITY : own.priority };
    const warnings = new Map<number, string>();
    const bulk: BulkWork = {
      scoreThreshold,
      take: () => null,
      takeWarning: (message, frame) => {
        if (frame !== undefined) warnings.set(frame, message);
        return frame !== undefined;
      },
      isBackground: isBelowStreams,
    };
    const stream: PictureStream = { id, feed, added: this.#add(config, feed, bulk), pending: 0, warnings };
    this.#own.push(stream);
    stream.added.catch((error: unknown) => feed.end(SightlineError.from(error, 'INTERNAL_ERROR')));
    return stream;
  }

  async #add(config: StreamConfig, feed: PictureFeed, bulk: BulkWork): Promise<void> {
    await this.#streams.addPushed(config, feed, bulk);
    const { instance } = this.#options;
    if (instance !== undefined) await this.#runtime.assignModel(config.id, instance);
  }
}
