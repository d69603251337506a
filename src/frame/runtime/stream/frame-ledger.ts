import { isDeepStrictEqual } from 'node:util';
import type { Detection } from '../../../base/core/detection.ts';
import type { DropReason, FrameTimes, PublishedFrame } from '../../../base/core/frame.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import type { MonoMs } from '../../../base/core/units.ts';
import type { SightlineError } from '../../../base/errors/sightline-error.ts';
import { settlesWithin } from '../../../base/flow/settles-within.ts';
import { inTrace } from '../../../base/flow/trace-context.ts';
import { type RowKind, unpackRows } from '../../../base/geometry/task-rows.ts';
import type { StreamTelemetry } from '../../telemetry/stream-telemetry.ts';
import { type FrameOwner, type FrameRing, type InFlightFrame, releaseFrame } from './in-flight-frame.ts';
import { type Intake, mayShed, StreamIntake } from './intake.ts';
import { droppedPicture, type PictureShedding } from './picture-feed.ts';
import type { PreparedSettings } from './prepared-settings.ts';
import type { PreviewPairs } from './preview-pairs.ts';
import type { AnalysedResult } from './stream-analytics.ts';
import type { StreamPlace } from './stream-place.ts';
import type { FrameStages, Looks, ScheduledStream, StageWaits, StreamPolicy, StreamPort } from './stream-port.ts';

/** Time of a stage that a frame has not reached. */
const NOT_YET = 0 as MonoMs;

const NO_ROWS = new Float32Array(0);

/** A frame of a file that waits longer for second stages is worth a warning. It waits on: each crop is looked at, or given up by its engine. */
const LONG_LOOK_MS = 60_000;

/** A frame that was analysed, and waits for second stages or for frames before it. */
interface HeldFrame {
  readonly frame: InFlightFrame;
  readonly analysed: AnalysedResult;
  readonly looks: Looks | null;
  isReady: boolean;
}

/** What a ledger needs from the runtime. */
export type LedgerPort = Pick<
  StreamPort,
  'partTimes' | 'tracer' | 'event' | 'room' | 'publish' | 'ffmpeg' | 'fakeDetect' | 'scheduler' | 'stagesOf'
>;

/**
 * The in-flight frames of one stream, in order of arrival: takes them from the ring, and publishes them. Inference threads
 * finish in any order; results are published in order of arrival. Every frame that enters leaves exactly once, published or
 * dropped.
 */
export class FrameLedger implements FrameOwner, ScheduledStream {
  readonly id: string;
  readonly run: string;
  #settings: PreparedSettings;
  /** The ring that the lane fills; null while there is none. */
  ring: FrameRing | null = null;
  /** Null while nobody watches the stream. */
  previews: PreviewPairs | null = null;
  /** Null until second stages look at its objects. */
  #stages: FrameStages | null = null;
  readonly #spec: RowKind & Pick<ModelSpec, 'classes'>;
  readonly #place: StreamPlace;
  /** Detector of the newest inferred result, see `InFlightFrame`. */
  #model: string | null = null;
  readonly #telemetry: StreamTelemetry;
  readonly #port: LedgerPort;
  readonly #now: () => MonoMs;
  readonly #wallNowMs: () => number;
  /** In the order of arrival. */
  readonly #frames: InFlightFrame[] = [];
  /** Frames of a file that second stages look at, and those behind them. */
  readonly #held: HeldFrame[] = [];
  /** The newest frame, while its stream cannot decide whether it must be inferred. */
  #undecided: InFlightFrame | null = null;
  #inFlight = 0;
  #droppedMs = 0;
  #onEmpty: (() => void)[] = [];
  #isWaiting = false;
  /** Whether one frame is timed, or a warning was given. */
  #isWatchingLooks = false;
  #isClosing = false;

  /**
   * @param run - see `PublishedFrame`.
   * @param place - follows the frames that enter.
   */
  constructor({
    stream,
    spec,
    settings,
    place,
    telemetry,
    port,
    now,
    wallNowMs = Date.now,
  }: {
    readonly stream: { readonly id: string; readonly run: string };
    readonly spec: RowKind & Pick<ModelSpec, 'classes'>;
    readonly settings: PreparedSettings;
    readonly place: StreamPlace;
    readonly telemetry: StreamTelemetry;
    readonly port: LedgerPort;
    readonly now: () => MonoMs;
    readonly wallNowMs?: () => number;
  }) {
    const { id, run } = stream;
    this.id = id;
    this.run = run;
    this.#settings = settings;
    this.#spec = spec;
    this.#place = place;
    this.#telemetry = telemetry;
    this.#port = port;
    this.#now = now;
    this.#wallNowMs = wallNowMs;
    this.settings = settings;
  }

  get settings(): PreparedSettings {
    return this.#settings;
  }

  /** Replaced as a whole, between two frames. */
  set settings(settings: PreparedSettings) {
    const { config } = settings;
    if (!isDeepStrictEqual(config.masks, this.#settings.config.masks)) this.previews?.forgetPictures();
    this.#settings = settings;
    if (this.#stages !== null) this.#stages.retune(config);
    else if (config.stages !== undefined && config.stages.length > 0)
      this.#stages =
        (settings.input.bulk?.stagesOf ?? this.#port.stagesOf)?.(config, this.#spec.classes.length) ?? null;
  }

  get intake(): Intake | null {
    const { ring, settings } = this;
    if (ring === null || !mayShed(settings, this.#port.ffmpeg.major)) return null;
    return new StreamIntake(ring, this.#telemetry);
  }

  get instance(): string {
    return this.settings.instance;
  }

  get policy(): StreamPolicy {
    return this.settings.policy;
  }

  get retriesFrames(): boolean {
    return this.settings.input.policy === 'file';
  }

  /** A file is read again from the last frame received, and pictures of a program are sent again. */
  get isRepeatable(): boolean {
    return this.retriesFrames || this.settings.input.feed !== undefined;
  }

  /** Frames that entered and are neither published nor dropped. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** See `FrameStages`; null without second stages. */
  stageWaits(nowMs: number): StageWaits | null {
    return this.#stages?.waits(nowMs) ?? null;
  }

  /** Sum over all dropped frames of the time from decoded to dropped, in milliseconds. */
  get droppedMs(): number {
    return this.#droppedMs;
  }

  /** Sum over the frames in flight of the time since they were decoded, in milliseconds. */
  pendingMs(nowMs: number): number {
    let sum = 0;
    for (const { status, meta } of this.#frames) if (status !== 'dropped') sum += nowMs - meta.decoded;
    for (const { frame } of this.#held) sum += nowMs - frame.meta.decoded;
    return sum;
  }

  /** Requests a message when the lane hands over the next frame. */
  wakeOnFrame(): void {
    this.ring?.slots.listen();
  }

  /**
   * Takes the next frame that the lane handed over, oldest first; null if there is none. Only one that is `waiting` must be
   * inferred; the others are published by `flush`.
   */
  take(): InFlightFrame | null {
    const frame = this.#enter();
    const { skips } = this.settings;
    if (frame === null || skips === null) return frame;
    if (!skips.canDecide(frame)) {
      this.#undecided = frame;
      return null;
    }
    if (!skips.mustInfer(frame)) frame.status = 'done';
    return frame;
  }

  /** Counts and drops frames that the lane still hands over while the stream is stopping and no longer served. */
  dropHandedOver(): void {
    for (let frame = this.#enter(); frame !== null; frame = this.#enter()) this.drop(frame, 'stopped');
  }

  #enter(): InFlightFrame | null {
    const undecided = this.#undecided;
    if (undecided !== null) {
      this.#undecided = null;
      return undecided;
    }
    const { ring } = this;
    const slot = ring === null ? -1 : ring.slots.take();
    if (ring === null || slot === -1) return null;
    const meta = ring.slots.readMeta(slot);
    const frame: InFlightFrame = {
      streamId: this.id,
      owner: this,
      ring,
      slot,
      meta,
      capturedMs: meta.captured,
      queuedMs: NOT_YET,
      failures: 0,
      status: 'waiting',
      batchedMs: NOT_YET,
      inferredMs: NOT_YET,
      batch: null,
      rows: null,
      by: 'inferred',
      repeats: null,
      model: null,
      isCached: false,
      slotUsers: { count: 1 },
    };
    ring.onEntered();
    this.#frames.push(frame);
    this.#inFlight += 1;
    this.#telemetry.onIn(this.#now());
    this.#place.onFrame(meta, this.settings.config.every);
    return frame;
  }

  /** Counts frames that entered and were lost before the lane handed them over. */
  enterLost(count: number, reason: DropReason): void {
    for (let i = 0; i < count; i++) this.#telemetry.onIn(this.#now());
    this.#telemetry.onDropped(reason, count);
    this.#port.tracer?.lost(this.id, count, reason, this.#now());
  }

  drop(frame: InFlightFrame, reason: DropReason): void {
    if (frame.status !== 'waiting') return;
    this.#discard(frame, reason);
    this.settings.skips?.onDropped();
    this.flush();
    this.#resume();
  }

  complete(frame: InFlightFrame, rows: Float32Array, inferredMs: MonoMs): void {
    if (frame.status !== 'waiting') return;
    frame.status = 'done';
    frame.rows = rows;
    frame.inferredMs = inferredMs;
    if (frame.isCached) this.#telemetry.onCached();
    else this.#telemetry.onInferred(inferredMs);
    this.flush();
    this.#resume();
  }

  /** A result that was awaited may be there. */
  #resume(): void {
    if (this.#undecided !== null) this.#port.scheduler.framesArrived(this);
  }

  /** Resolves when no frame is in flight. */
  empty(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty.push(resolve));
  }

  #leave(): void {
    this.#inFlight -= 1;
    if (this.#inFlight > 0) return;
    const waiting = this.#onEmpty;
    this.#onEmpty = [];
    for (const resolve of waiting) resolve();
  }

  /** While it closes, what is inferred does not wait for slow sinks. */
  set isClosing(isClosing: boolean) {
    this.#isClosing = isClosing;
    if (isClosing) {
      this.#stages?.withdraw(this.id);
      for (const held of this.#held) held.isReady = true;
    }
    this.flush();
  }

  /** Publishes what is done, as far as no earlier frame waits, and sinks have room. */
  flush(most = Number.POSITIVE_INFINITY): void {
    for (let n = 0; n < most; n++) {
      const isHeldReady = this.#held[0]?.isReady === true;
      const isNextDone = this.#frames.length > 0 && this.#frames[0]!.status !== 'waiting';
      if ((!isHeldReady && !isNextDone) || this.#mustWait()) return;
      if (isHeldReady) {
        const { frame, analysed, looks } = this.#held.shift()!;
        if (!this.#isLeased) this.#discard(frame, 'lease-lost');
        else this.#publish(frame, analysed, looks);
        continue;
      }
      const frame = this.#frames.shift()!;
      if (frame.status !== 'done') continue;
      // Another host may publish this stream by now, so a late result is dropped.
      if (!this.#isLeased) this.#discard(frame, 'lease-lost');
      else if (frame.repeats !== null && frame.repeats.rows === null) this.#discard(frame, 'reference-lost');
      else this.#look(frame, this.#analyse(frame));
    }
  }

  get #isLeased(): boolean {
    return this.settings.input.lease?.isValid() !== false;
  }

  /** Lets second stages look at a frame, and publishes it; a frame of a file waits for them, and for the frames before it. */
  #look(frame: InFlightFrame, analysed: AnalysedResult): void {
    const { policy, picture } = this.settings.input;
    const isLive = policy === 'live';
    const size = frame.ring.slots.shape.pictureBytes === 0 ? null : picture;
    const looks = this.#stages?.look({ frame, picture: size, isLive }, analysed.detections) ?? null;
    const isReady = looks === null || looks.isOver || this.#isClosing;
    if (isReady && this.#held.length === 0) {
      this.#publish(frame, analysed, looks);
      return;
    }
    const held: HeldFrame = { frame, analysed, looks, isReady };
    this.#held.push(held);
    if (isReady) return;
    this.#warnIfSlow(looks, frame.meta.frame);
    void looks.settled.then(() => {
      held.isReady = true;
      this.flush();
      this.#resume();
    });
  }

  /** Says once that frames of a file wait for long. */
  #warnIfSlow({ settled }: Looks, frame: number): void {
    if (this.#isWatchingLooks) return;
    this.#isWatchingLooks = true;
    void settlesWithin(settled, LONG_LOOK_MS).then((isInTime) => {
      this.#isWatchingLooks = !isInTime;
      if (isInTime) return;
      const text = `${this.id}: frame ${frame} has waited for its second stages for ${LONG_LOOK_MS / 1000} s; a file waits for each, so it is read as slowly as they look`;
      this.#port.event('stream-warning', this.id, text);
    });
  }

  #mustWait(): boolean {
    if (this.#isClosing) return false;
    if (this.#isWaiting) return true;
    const room = this.#port.room(this.id, this.settings.input);
    if (room === null) return false;
    this.#isWaiting = true;
    room.then(() => {
      this.#isWaiting = false;
      this.flush(1);
      // Streams that wait for the same sink take turns.
      setImmediate(() => {
        this.flush();
        this.#resume();
      });
    });
    return true;
  }

  #discard(frame: InFlightFrame, reason: DropReason): void {
    const now = this.#now();
    frame.status = 'dropped';
    this.#telemetry.onDropped(reason);
    this.#droppedMs += now - frame.meta.decoded;
    this.#port.tracer?.dropped(frame, reason, now, this.settings.input.feed?.traceOf(frame.meta.frame));
    this.#leave();
    releaseFrame(frame);
    this.#refuse(frame, reason);
  }

  /** How pictures that the program hands over too fast are dropped; null if none may be. */
  get shedding(): PictureShedding | null {
    const { input, config } = this.settings;
    if (input.policy === 'file') return null;
    const shed = (): SightlineError => {
      this.enterLost(1, 'queue-full');
      return droppedPicture(this.id, 'queue-full');
    };
    return { queueSize: config.queueSize, shed };
  }

  /** Rejects the promise of `push`: this picture has no result. */
  #refuse({ meta }: InFlightFrame, reason: DropReason): void {
    this.settings.input.feed?.onRefused(meta.frame, droppedPicture(this.id, reason));
  }

  #publish(inFlight: InFlightFrame, analysed: AnalysedResult, looks: Looks | null): void {
    const { meta, by } = inFlight;
    const { config, input } = this.settings;
    const detections = this.#stages?.dress(analysed.detections, meta.ptsUs, looks) ?? analysed.detections;
    // A frame that was not inferred waits only for earlier frames.
    const batched = by === 'inferred' ? inFlight.batchedMs : meta.preprocessed;
    const times: FrameTimes = {
      captured: meta.captured,
      decoded: meta.decoded,
      preprocessed: meta.preprocessed,
      batched,
      inferred: by === 'inferred' ? inFlight.inferredMs : batched,
      published: this.#now(),
    };
    const { model: configured } = this.settings.config;
    // A result that repeats or follows another one is of the same detector.
    if (by === 'inferred') this.#model = inFlight.isCached ? (configured ?? null) : inFlight.model;
    const result: PublishedFrame = {
      streamId: this.id,
      run: this.run,
      frame: meta.frame,
      ptsUs: meta.ptsUs,
      ...(input.policy === 'live' ? this.#captureTime(meta.wallMs, times) : {}),
      width: meta.width,
      height: meta.height,
      by,
      ...analysed,
      detections,
      times,
      ...(this.#model === null ? {} : { model: this.#model }),
      ...(input.lease === undefined ? {} : { fence: input.lease.fence }),
    };
    // Count before listeners are called, so that they see consistent figures.
    this.#telemetry.onPublished(times, by, config.target.latencyMs);
    this.#port.partTimes.addStages(times);
    this.#leave();
    this.previews?.onPublished(result);
    const { tracer } = this.#port;
    const span =
      tracer == null
        ? null
        : tracer.published(inFlight, times, config.target.latencyMs, input.feed?.traceOf(meta.frame));
    const busy =
      span === null
        ? this.#port.publish(result, inFlight, input)
        : inTrace(span, () => this.#port.publish(result, inFlight, input));
    input.feed?.onPublished(result);
    if (busy === null) releaseFrame(inFlight);
    else busy.finally(() => releaseFrame(inFlight));
  }

  #captureTime(
    wallMs: number,
    { captured, published }: FrameTimes,
  ): Pick<PublishedFrame, 'capturedAtMs' | 'captureClock'> {
    if (!Number.isNaN(wallMs)) return { capturedAtMs: Math.round(wallMs), captureClock: 'sender-report' };
    // The monotonic clock drifts from the wall clock, so only the time since is taken from it.
    return { capturedAtMs: Math.round(this.#wallNowMs() - (published - captured)), captureClock: 'arrival' };
  }

  #boxesOf({ meta, rows, repeats }: InFlightFrame): readonly Detection[] {
    const { fakeDetect } = this.#port;
    if (fakeDetect === undefined)
      return unpackRows((repeats ?? { rows }).rows ?? NO_ROWS, this.#spec.classes, this.#spec);
    const { frame, ptsUs, width, height } = meta;
    return fakeDetect({ stream: this.id, frame, ptsUs, width, height });
  }

  /** Runs tracker and counters on the boxes, once per published frame, in order. A tracked frame has no boxes of its own. */
  #analyse(frame: InFlightFrame): AnalysedResult {
    const { analytics, skips, input } = this.settings;
    const raw = analytics.wanted(this.#boxesOf(frame));
    const startedMs = this.#now();
    const analysed = frame.by === 'tracked' ? analytics.predict(frame.meta) : analytics.update(frame.meta, raw);
    this.#port.partTimes.addTrack(this.#now() - startedMs);
    const { uncertainScore = analytics.reportScore } = input;
    if (frame.by === 'inferred') skips?.onInferred(frame, raw, uncertainScore, analytics.quality);
    for (const { lineId, trackId, label, direction, ptsUs } of analysed.crossings ?? []) {
      const details = { lineId, trackId, label, direction, ptsUs };
      this.#port.event('line-crossed', this.id, `${label} ${trackId} crossed ${lineId} ${direction}`, details);
    }
    return analysed;
  }
}
