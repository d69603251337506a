import { Worker } from 'node:worker_threads';
import { z } from 'zod';
import { type Clock, systemClock } from '../../base/core/clock.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { AnnotateRequest, FromAnnotate, OverlayCounts, ToAnnotate } from '../../wire/protocol/annotate.ts';
import { incompleteText } from './output-names.ts';
import type { PictureSink, SinkFailureListener, SinkFigures } from './sink.ts';
import { sinkKind } from './sink-kind.ts';

/** Pictures in the thread at once: one being encoded, one being drawn, one that has just arrived. */
const PLACES = 3;
/** Shortest time between two notices about dropped pictures. */
const DROP_NOTICE_MS = 10_000;
const NO_COUNTS: OverlayCounts = { zones: [], lines: [] };

export const video = sinkKind({
  settings: z.strictObject({
    type: z.literal('video').describe('The video with boxes drawn in.'),
    path: z
      .string()
      .min(1)
      .describe('Video file to write, with boxes drawn in; a file of an earlier run is kept under a numbered name.'),
    streams: z.array(z.string().min(1)).length(1).describe('The one stream that is drawn.'),
  }),
  file: ({ path }) => path,
  open: null,
});

export interface VideoSinkOptions extends Omit<AnnotateRequest, 'places'> {
  readonly id: string;
  /** Compiled entry point of the thread (`workers/annotate.thread`). */
  readonly thread: URL;
  /** A live stream drops pictures while the encoder is busy; a file waits. */
  readonly policy: 'live' | 'file';
  /** Returns the counts of the stream's zones and lines after the frame that is being drawn. */
  readonly counts?: (() => OverlayCounts) | undefined;
  readonly onFailure: SinkFailureListener;
  /** Called when a new file is being written after a failure. @param lostPictures - since that failure. */
  readonly onRecovery?: ((lostPictures: number) => void) | undefined;
  /** Receives a sentence about dropped pictures, at most every ten seconds, and about files kept under other names. */
  readonly onNotice: (text: string) => void;
  readonly clock?: Clock | undefined;
}

interface QueuedPicture {
  readonly frame: PublishedFrame;
  readonly picture: Uint8Array;
  readonly counts: OverlayCounts;
  readonly settle: () => void;
}

/**
 * Writes a video of one stream with its results drawn in. Drawing and encoding run on a separate thread and in a separate
 * ffmpeg; this class passes views of shared memory to the thread, and counts.
 */
export class VideoSink implements PictureSink {
  readonly id: string;
  readonly #options: VideoSinkOptions;
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #exited: Promise<void>;
  readonly #childPids = new Set<number>();
  /** Pictures waiting for a free place in the thread; only with policy `file`. */
  readonly #queue: QueuedPicture[] = [];
  /** `settle` functions of pictures that the thread has not copied yet. */
  readonly #untaken: (() => void)[] = [];
  #unwritten = 0;
  #accepted = 0;
  #written = 0;
  #dropped = 0;
  #nextDropNoticeMs = 0;
  #isClosing = false;
  #isComplete = true;
  #isFinished = false;
  #failure: SightlineError | null = null;
  /** The last failure after which the video continued in another file. */
  #interruption: SightlineError | null = null;
  #isInterrupted = false;
  #interruptions = 0;
  #lostBefore = 0;
  #lost = 0;
  #closing: Promise<void> | null = null;

  /** Starts the thread. If the file cannot be written, `onFailure` is called and `close` rejects. */
  constructor(options: VideoSinkOptions) {
    this.id = options.id;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { file, width, height, fit, overlay } = options;
    const workerData: AnnotateRequest = { file, width, height, fit, overlay, places: PLACES };
    this.#worker = new Worker(options.thread, { workerData });
    this.#worker.on('message', (message: FromAnnotate) => this.#onMessage(message));
    let lastError: Error | null = null;
    this.#worker.on('error', (error) => {
      lastError = error;
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#onExit(lastError?.message ?? `exit code ${code}`);
        resolve();
      });
    });
  }

  get figures(): SinkFigures {
    const isOver = this.#failure !== null || this.#isFinished;
    const rest = this.#accepted - this.#written - this.#dropped - this.#lost;
    return {
      problem: (this.#failure ?? (this.#isInterrupted ? this.#interruption : null))?.message ?? null,
      sent: this.#written,
      waiting: isOver ? 0 : rest,
      retried: this.#interruptions,
      lost: { overflow: this.#dropped, failed: this.#lost + (isOver ? rest : 0) },
    };
  }

  draw(frame: PublishedFrame, picture: Uint8Array): Promise<void> {
    if (this.#isClosing) return Promise.resolve();
    this.#accepted += 1;
    if (this.#failure !== null) return Promise.resolve();
    const isFull = this.#unwritten >= PLACES;
    if (isFull && this.#options.policy === 'live') return this.#drop();
    const counts = this.#options.counts?.() ?? NO_COUNTS;
    return new Promise((settle) => {
      if (isFull) this.#queue.push({ frame, picture, counts, settle });
      else this.#send({ frame, picture, counts, settle });
    });
  }

  close(isComplete = true): Promise<void> {
    if (this.#closing === null) this.#isComplete = isComplete;
    this.#closing ??= this.#complete();
    return this.#closing;
  }

  /** Terminates the thread like a crash, for fault tests. */
  async crash(): Promise<void> {
    await this.#worker.terminate();
  }

  async #complete(): Promise<void> {
    this.#isClosing = true;
    if (this.#queue.length === 0) this.#postFinish();
    await this.#exited;
    if (this.#dropped > 0) this.#reportDropped();
    const failure = this.#failure ?? this.#interruption;
    if (failure === null) return;
    const lost = this.#accepted - this.#dropped - this.#written;
    const text = `${failure.message}. ${lost} ${lost === 1 ? 'picture is' : 'pictures are'} missing`;
    throw new SightlineError('SINK_FAILED', text, { ...failure.details, lostPictures: lost });
  }

  #send({ frame, picture, counts, settle }: QueuedPicture): void {
    this.#unwritten += 1;
    this.#untaken.push(settle);
    this.#post({
      type: 'picture',
      pixels: picture,
      ptsUs: frame.ptsUs,
      sourceWidth: frame.width,
      sourceHeight: frame.height,
      detections: frame.detections,
      counts,
    });
  }

  #postFinish(): void {
    this.#post({ type: 'finish', isComplete: this.#isComplete });
  }

  #post(message: ToAnnotate): void {
    this.#worker.postMessage(message);
  }

  #drop(): Promise<void> {
    this.#dropped += 1;
    const now = this.#clock.now();
    if (now >= this.#nextDropNoticeMs) {
      this.#nextDropNoticeMs = now + DROP_NOTICE_MS;
      this.#reportDropped();
    }
    return Promise.resolve();
  }

  #reportDropped(): void {
    const { file, onNotice } = this.#options;
    onNotice(
      `sink ${this.id}: ${file.path} lacks ${this.#dropped} of ${this.#accepted} pictures: encoding is too slow`,
    );
  }

  #onMessage(message: FromAnnotate): void {
    switch (message.type) {
      case 'child-started':
        this.#childPids.add(message.pid);
        break;
      case 'child-gone':
        this.#childPids.delete(message.pid);
        break;
      case 'taken':
        this.#untaken.shift()?.();
        break;
      case 'written':
        this.#written += 1;
        this.#onDone();
        break;
      case 'lost':
        this.#lost += 1;
        this.#onDone();
        break;
      case 'interrupted':
        this.#interruption = SightlineError.fromWire(message.error);
        this.#isInterrupted = true;
        this.#interruptions += 1;
        this.#lostBefore = this.#lost;
        this.#options.onFailure(this.#interruption);
        break;
      case 'resumed':
        this.#isInterrupted = false;
        this.#options.onRecovery?.(this.#lost - this.#lostBefore);
        break;
      case 'notice':
        this.#options.onNotice(message.text);
        break;
      case 'finished':
        this.#onFinished(message.path);
        break;
      case 'failed':
        this.#fail(SightlineError.fromWire(message.error));
        break;
    }
  }

  #onFinished(writtenPath: string | null): void {
    this.#isFinished = true;
    const { file, onNotice } = this.#options;
    if (writtenPath === null || writtenPath === file.path) return;
    onNotice(incompleteText(this.id, file.path, writtenPath));
  }

  /** Called when the thread is done with its oldest picture. */
  #onDone(): void {
    this.#unwritten -= 1;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#send(next);
    if (this.#isClosing && this.#queue.length === 0) this.#postFinish();
  }

  /** Cleans up after the thread: ends its ffmpeg processes, and fails pending calls if it crashed. */
  #onExit(why: string): void {
    for (const pid of this.#childPids) endProcess(pid);
    this.#childPids.clear();
    if (this.#isFinished || this.#failure !== null) return;
    const { path } = this.#options.file;
    this.#fail(
      new SightlineError('SINK_FAILED', `sink ${this.id}: cannot write ${path}: its thread ended: ${why}`, { path }),
    );
  }

  #fail(failure: SightlineError): void {
    if (this.#failure !== null) return;
    const isNew = failure.message !== this.#interruption?.message;
    this.#failure = failure;
    for (const settle of this.#untaken.splice(0)) settle();
    for (const { settle } of this.#queue.splice(0)) settle();
    if (isNew) this.#options.onFailure(failure);
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
