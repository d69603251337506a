import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { StreamInput } from '../stream/stream-port.ts';
import type { ResultOutlet } from './result-outlet.ts';

/** Readers of results besides sinks: pages that show pictures, clients of the feed, comparisons of two versions, and a program that runs all. */
type Reader = 'previews' | 'detections' | 'shadows' | 'program';

interface ReadStream {
  readonly input: Pick<StreamInput, 'bulk' | 'feed' | 'isKeptFromSinks'>;
  readonly config: Pick<StreamConfig, 'zones'>;
}

/** Knows which streams have somebody who reads masks: for no others are any made. */
export class MaskReaders {
  readonly #sinks: Pick<ResultOutlet, 'reads'>;
  readonly #streamOf: (streamId: string) => ReadStream | undefined;
  readonly #watched = new Map<Reader, ReadonlySet<string> | null>();

  constructor(sinks: Pick<ResultOutlet, 'reads'>, streamOf: (streamId: string) => ReadStream | undefined) {
    this.#sinks = sinks;
    this.#streamOf = streamOf;
  }

  /** @param streams - those that the reader reads from now on; null for all. */
  watch(reader: Reader, streams: ReadonlySet<string> | null): void {
    this.#watched.set(reader, streams);
  }

  isWatched(reader: Reader, streamId: string): boolean {
    const streams = this.#watched.get(reader);
    return streams !== undefined && streams?.has(streamId) !== false;
  }

  has(streamId: string): boolean {
    for (const reader of this.#watched.keys()) if (this.isWatched(reader, streamId)) return true;
    const stream = this.#streamOf(streamId);
    if (stream === undefined) return false;
    const { input, config } = stream;
    // Whoever hands over pictures or a job reads the results.
    if (input.bulk !== undefined || input.feed !== undefined) return true;
    if (config.zones.some(({ anchor }) => anchor === 'mask-foot')) return true;
    return input.isKeptFromSinks !== true && this.#sinks.reads(streamId);
  }
}
