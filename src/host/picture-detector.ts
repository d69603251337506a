import type { Detection } from '../core/detection.ts';
import type { Picture } from '../core/picture.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { parseStream } from '../pipeline/load-pipeline.ts';
import { roundDetection } from '../protocol/result-record.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { PictureFeed } from '../runtime/stream/picture-feed.ts';
import type { BulkWork } from '../runtime/stream/stream-port.ts';
import { FILE_BOX_STEPS } from '../sinks/result-line.ts';
import { type HostStreams, PUSHED } from './host-streams.ts';

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

/** Detects objects in single pictures, which share batches with each other and with the frames of streams. */
export class PictureDetector {
  readonly #runtime: Runtime;
  readonly #streams: HostStreams;
  readonly #most: number;
  #own: PictureStream[] = [];
  #opened = 0;

  /** @param most - pictures that are read and fitted at once: as many as there are lanes. */
  constructor(runtime: Runtime, streams: HostStreams, most: number) {
    this.#runtime = runtime;
    this.#streams = streams;
    this.#most = most;
  }

  /** @throws as `PictureFeed.push` */
  async detect(picture: Picture, signal?: AbortSignal): Promise<PictureResult> {
    signal?.throwIfAborted();
    const stream = this.#leastBusy();
    stream.pending += 1;
    try {
      await stream.added;
      const { frame, width, height, detections } = await stream.feed.push(picture, null, signal);
      const warning = stream.warnings.get(frame);
      return {
        ...{ width, height, warnings: warning === undefined ? [] : [warning] },
        detections: detections.map((each) => roundDetection(each, FILE_BOX_STEPS)),
      };
    } finally {
      stream.pending -= 1;
      if (stream.pending === 0) stream.warnings.clear();
    }
  }

  #leastBusy(): PictureStream {
    // A client of the gateway may have removed one.
    this.#own = this.#own.filter(({ feed }) => !feed.hasEnded);
    const idle = this.#own.toSorted((a, b) => a.pending - b.pending)[0];
    if (idle !== undefined && (idle.pending === 0 || this.#own.length >= this.#most)) return idle;
    const feed = new PictureFeed();
    this.#opened += 1;
    const id = `${ID_PREFIX}${this.#opened}`;
    const config = { ...parseStream({ id: 'detect', source: PUSHED }, {}), id };
    const warnings = new Map<number, string>();
    const bulk: BulkWork = {
      scoreThreshold: this.#runtime.scoreThreshold,
      take: () => null,
      takeWarning: (message, frame) => {
        if (frame !== undefined) warnings.set(frame, message);
        return frame !== undefined;
      },
      isBackground: false,
    };
    const stream: PictureStream = { feed, added: this.#streams.addPushed(config, feed, bulk), pending: 0, warnings };
    this.#own.push(stream);
    stream.added.catch((error: unknown) => feed.end(SightlineError.from(error, 'INTERNAL_ERROR')));
    return stream;
  }
}
