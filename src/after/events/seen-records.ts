import { SeenNames, SeenWriter } from './seen-codec.ts';
import type { WatchedFrame } from './stream-events.ts';
import type { WatchedState } from './watched-stream.ts';

/** How long what rules read is remembered. */
const SPAN_MS = 3_600_000;
/** A chunk ends after this time, or with this share of what its stream may take. */
const CHUNK_MS = 60_000;
const CHUNK_SHARE = 1 / 16;
/** Streams share what the host may take: an hour of 15 frames/s with five objects each is 2.6 MB. */
const BYTES = { stream: 4 * 2 ** 20, host: 64 * 2 ** 20 };
/** Results are left out only as far as rules about objects stay right: they need 5 frames/s, and frames come unevenly. */
const LONGEST_GAP_US = 150_000;
const SLOWEST_THINNED_US = 100_000;

/** What is remembered of one stream. */
export interface Seen {
  /** Milliseconds until now that it spans. */
  readonly spanMs: number;
  /** Results in that time, and how many of them are kept. */
  readonly results: number;
  readonly kept: number;
  /** Some objects were not followed. */
  readonly hasUntracked: boolean;
  /** See `readSeen`. */
  readonly chunks: readonly Uint8Array[];
  readonly names: readonly string[];
}

interface Chunk {
  readonly sinceMs: number;
  untilMs: number;
  results: number;
  kept: number;
  hasUntracked: boolean;
  bytes: Uint8Array;
}

/** What rules read of one stream in the last hour, in chunks, of which the oldest are dropped. */
class SeenRecord {
  readonly #names = new SeenNames();
  readonly #chunks: Chunk[] = [];
  #closedBytes = 0;
  #open: { readonly chunk: Chunk; readonly writer: SeenWriter } | null = null;
  #signs: readonly string[] = [];
  /** Results that follow the last one that was kept sooner than this are left out. */
  #gapUs = 0;
  #keptUs: number | null = null;

  onResult(frame: WatchedFrame, isTracked: boolean, nowMs: number, mostBytes: number): void {
    const { chunk, writer } = this.#openAt(nowMs, mostBytes);
    chunk.results += 1;
    const passedUs = this.#keptUs === null ? Infinity : frame.ptsUs - this.#keptUs;
    if (passedUs >= 0 && passedUs < this.#gapUs) return;
    this.#keptUs = frame.ptsUs;
    chunk.kept += 1;
    chunk.hasUntracked ||= !isTracked && frame.detections.length > 0;
    writer.result(frame, nowMs);
    this.#trim(nowMs, mostBytes);
  }

  onPicture(signs: readonly string[], nowMs: number, mostBytes: number): void {
    this.#signs = signs;
    this.#openAt(nowMs, mostBytes).writer.picture(signs, nowMs);
  }

  onState(now: WatchedState, nowMs: number, wallMs: number, mostBytes: number): void {
    this.#openAt(nowMs, mostBytes).writer.state(now, nowMs, wallMs);
    this.#trim(nowMs, mostBytes);
  }

  of(nowMs: number): Seen {
    const written = this.#open === null ? [] : [{ ...this.#open.chunk, bytes: this.#open.writer.take() }];
    const chunks = [...this.#chunks, ...written].filter(({ untilMs }) => nowMs - untilMs <= SPAN_MS);
    const sum = (count: (chunk: Chunk) => number): number => chunks.reduce((total, each) => total + count(each), 0);
    return {
      spanMs: Math.max(0, nowMs - (chunks[0]?.sinceMs ?? nowMs)),
      results: sum(({ results }) => results),
      kept: sum(({ kept }) => kept),
      hasUntracked: chunks.some(({ hasUntracked }) => hasUntracked),
      chunks: chunks.map(({ bytes }) => bytes),
      names: [...this.#names.list],
    };
  }

  get bytes(): number {
    return this.#closedBytes + (this.#open?.writer.capacity ?? 0);
  }

  #openAt(nowMs: number, mostBytes: number): { readonly chunk: Chunk; readonly writer: SeenWriter } {
    const open = this.#open;
    const isFull =
      open !== null && (nowMs - open.chunk.sinceMs >= CHUNK_MS || open.writer.size >= mostBytes * CHUNK_SHARE);
    if (isFull) this.#closeChunk(open.chunk, open.writer, nowMs, mostBytes);
    if (this.#open === null) {
      const chunk = {
        sinceMs: nowMs,
        untilMs: nowMs,
        results: 0,
        kept: 0,
        hasUntracked: false,
        bytes: new Uint8Array(),
      };
      this.#open = { chunk, writer: new SeenWriter(this.#names) };
      // It has to be read without the ones before it.
      if (this.#signs.length > 0) this.#open.writer.picture(this.#signs, nowMs);
    }
    this.#open.chunk.untilMs = nowMs;
    return this.#open;
  }

  #closeChunk(chunk: Chunk, writer: SeenWriter, nowMs: number, mostBytes: number): void {
    chunk.bytes = writer.take();
    this.#open = null;
    this.#chunks.push(chunk);
    this.#closedBytes += chunk.bytes.length;
    // If an hour like this one took more than there is, only as many of its results as there is room for.
    const ratio = (chunk.bytes.length * SPAN_MS) / Math.max(1, nowMs - chunk.sinceMs) / mostBytes;
    const spanUs = (chunk.untilMs - chunk.sinceMs) * 1000;
    const [frameUs, keptUs] = [spanUs / Math.max(1, chunk.results), spanUs / Math.max(1, chunk.kept)];
    const isThinned = keptUs * ratio > frameUs && frameUs <= SLOWEST_THINNED_US;
    this.#gapUs = isThinned ? Math.min(LONGEST_GAP_US, keptUs * ratio) : 0;
  }

  #trim(nowMs: number, mostBytes: number): void {
    while (this.#chunks.length > 0 && (nowMs - this.#chunks[0]!.untilMs > SPAN_MS || this.bytes > mostBytes))
      this.#closedBytes -= this.#chunks.shift()!.bytes.length;
  }
}

/**
 * What rules read of all streams of a host in the last hour, so that other rules can be tried on it: in memory, at most 4 MB a stream and
 * 64 MB in all. Where that is too little, results are left out down to 5 frames/s, and then the oldest minutes.
 */
export class SeenRecords {
  readonly #records = new Map<string, SeenRecord>();
  readonly #bounds: typeof BYTES;

  constructor(bounds = BYTES) {
    this.#bounds = bounds;
  }

  /** @param isTracked - its stream follows objects; those that it has just seen have no identity yet. */
  onResult(frame: WatchedFrame & { readonly streamId: string }, isTracked: boolean, nowMs: number): void {
    // One without a run is of a recording that a job reads as fast as it can.
    if (frame.run !== undefined) this.#of(frame.streamId).onResult(frame, isTracked, nowMs, this.#mostBytes);
  }

  onPicture(stream: string, signs: readonly string[], nowMs: number): void {
    this.#records.get(stream)?.onPicture(signs, nowMs, this.#mostBytes);
  }

  onState(stream: string, now: WatchedState, nowMs: number, wallMs: number): void {
    this.#of(stream).onState(now, nowMs, wallMs, this.#mostBytes);
  }

  forget(stream: string): void {
    this.#records.delete(stream);
  }

  of(stream: string, nowMs: number): Seen {
    return (this.#records.get(stream) ?? new SeenRecord()).of(nowMs);
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return [...this.#records.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #of(stream: string): SeenRecord {
    let record = this.#records.get(stream);
    if (record === undefined) {
      record = new SeenRecord();
      this.#records.set(stream, record);
    }
    return record;
  }

  get #mostBytes(): number {
    return Math.min(this.#bounds.stream, this.#bounds.host / Math.max(1, this.#records.size));
  }
}
