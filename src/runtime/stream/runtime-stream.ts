import { isDeepStrictEqual } from 'node:util';
import type { StreamConfig } from '../../config/stream.ts';
import { monoNowMs } from '../../core/clock.ts';
import type { Detection } from '../../core/detection.ts';
import type { PublishedFrame } from '../../core/frame.ts';
import { SightlineError } from '../../errors/sightline-error.ts';
import type { StreamReport, StreamState } from '../../protocol/report.ts';
import type { FromLane } from '../../protocol/threads.ts';
import { StreamTelemetry } from '../../telemetry/stream-telemetry.ts';
import type { LaneListener } from '../lane/lane-client.ts';
import { type Arrangement, type Beside, laneKey, pixelKey, sharedFrames } from './arrangement.ts';
import { FrameLedger, type InFlightFrame, type LedgerPort } from './frame-ledger.ts';
import { laneStream } from './lane-stream.ts';
import { PreviewPairs } from './preview-pairs.ts';
import { planRing } from './ring-plan.ts';
import { SkipPlan } from './skip-plan.ts';
import { StreamAnalytics } from './stream-analytics.ts';
import type { ServedStream, StreamInput, StreamLease, StreamPort } from './stream-port.ts';
import { StreamRing } from './stream-ring.ts';
import { STREAM_TRANSITIONS } from './stream-states.ts';
import { StreamTargets } from './stream-targets.ts';

/** Name of the model instance that a pipeline starts with. */
export const DEFAULT_INSTANCE = 'default';

/** One stream on the main thread: its lifecycle, its frames, its metrics. */
export class RuntimeStream implements LaneListener, ServedStream, LedgerPort {
  readonly id: string;
  #instance: string;
  /** Another model that shares its frames; null if there is none. */
  #beside: Beside | null = null;
  #input: StreamInput;
  readonly telemetry: StreamTelemetry;
  readonly ledger: FrameLedger;
  readonly #port: StreamPort;
  readonly #previews: PreviewPairs;
  #config: StreamConfig;
  #analytics: StreamAnalytics;
  #targets: StreamTargets;
  #skips: SkipPlan | null;
  /** Frames that need no inference, since the last `completeSkipped`. */
  #skipped: InFlightFrame[] = [];
  #ring: StreamRing | null = null;
  #state: StreamState = 'starting';
  #seq = 0;
  #decodeErrors = 0;
  #reconnects = 0;
  #size: { width: number; height: number } | null = null;
  #lastPtsUs = 0;
  #nextFrame = 0;
  #received = 0;
  #lastError: string | null = null;
  #failure: SightlineError | null = null;
  #isWatched = false;
  #isClosing = false;
  #onClosed: (() => void) | null = null;
  #closing: Promise<void> | null = null;
  #removal: Promise<void> | null = null;
  readonly #onSettled: (() => void)[] = [];
  durationUs: number | null = null;
  readonly warnings: string[] = [];

  constructor(config: StreamConfig, input: StreamInput, port: StreamPort) {
    this.id = config.id;
    this.#input = input;
    this.#config = config;
    this.#port = port;
    this.telemetry = new StreamTelemetry(monoNowMs());
    this.#instance = port.primary();
    const { spec, scoreThreshold } = port.modelOf(this.#instance);
    this.#analytics = new StreamAnalytics(config, input.bulk?.scoreThreshold ?? scoreThreshold);
    this.#targets = new StreamTargets(config.target);
    this.#skips = SkipPlan.of(config.skip, () => this.#ring?.slots.requestLook());
    this.#previews = new PreviewPairs((frame, jpeg) => port.onPreview(frame, jpeg));
    this.ledger = new FrameLedger(config.id, spec.classes, this.telemetry, this, monoNowMs);
  }

  /** Name of the model instance that infers its frames. */
  get instance(): string {
    return this.#instance;
  }

  /** True if a model infers its frames, or those that another one shares with it. */
  uses(name: string): boolean {
    return this.#instance === name || this.#beside?.instance === name;
  }

  /** Makes another instance infer the frames that the stream has not handed over yet. */
  useInstance(name: string): void {
    this.#instance = name;
    this.#analytics.reportScore = this.input.bulk?.scoreThreshold ?? this.#port.modelOf(name).scoreThreshold;
  }

  get input(): StreamInput {
    return this.#input;
  }

  get arrangement(): Arrangement {
    return { config: this.#config, instance: this.#instance, beside: this.#beside };
  }

  /** Names what the lane does for an arrangement: between two with the same key no source is opened again. */
  laneKey(arrangement: Arrangement): string {
    return laneKey(arrangement, (name) => this.#port.modelOf(name).spec);
  }

  /** Names how the pixels of its frames are made under an arrangement. */
  pixelKey(arrangement: Arrangement): string {
    return pixelKey(arrangement, (name) => this.#port.modelOf(name).spec);
  }

  /**
   * Takes other settings, another model and input, and keeps counts, tracks and frame numbers. While it is open, the
   * arrangement must have the lane key of the current one.
   */
  rearrange({ config, instance, beside }: Arrangement, input: StreamInput): void {
    const before = this.#config;
    this.#config = config;
    this.#beside = beside;
    this.#input = input;
    this.#targets = new StreamTargets(config.target);
    this.useInstance(instance);
    if (!isDeepStrictEqual(before.skip, config.skip)) {
      this.#analytics.retune(config);
      this.#skips = SkipPlan.of(config.skip, () => this.#ring?.slots.requestLook());
    }
  }

  get lease(): StreamLease | null {
    return this.input.lease ?? null;
  }

  get config(): StreamConfig {
    return this.#config;
  }

  get state(): StreamState {
    return this.#state;
  }

  get decodeErrorCount(): number {
    return this.#decodeErrors;
  }

  /** Frames that entered and were dropped, for any reason. */
  get droppedCount(): number {
    return Object.values(this.telemetry.frames(0).dropped).reduce((sum, count) => sum + count, 0);
  }

  /** Why the stream failed; null if it did not. */
  get failure(): SightlineError | null {
    return this.#failure;
  }

  /** Opens the source on a lane. The state becomes `running` with the first decoded frame. */
  start(): void {
    this.#failure = null;
    this.#openOnLane(this.#port.pickLane(), this.input.policy === 'file' ? this.#received : 0);
  }

  /** Applies settings that need no new connection: batching and targets. */
  retune(config: StreamConfig): void {
    this.#config = config;
    this.#targets = new StreamTargets(config.target);
  }

  /** True while it is served; false once it is ending, pausing or paused. */
  get isOpen(): boolean {
    return this.#ring !== null && !this.#isClosing;
  }

  set isWatched(isWatched: boolean) {
    if (isWatched === this.#isWatched) return;
    this.#isWatched = isWatched;
    if (this.#ring !== null) this.#ring.lane.watch(this.#ring.ringId, isWatched);
  }

  /** Resolves when the stream has ended, failed, or was removed. */
  settled(): Promise<void> {
    if (['ended', 'failed', 'removed'].includes(this.#state)) return Promise.resolve();
    return new Promise((resolve) => this.#onSettled.push(resolve));
  }

  async pause(): Promise<void> {
    this.#enter('pausing');
    await this.#close();
    // It may be removed meanwhile.
    if (this.#state === 'pausing') this.#enter('paused');
  }

  resume(): void {
    this.#enter('starting');
    this.start();
  }

  /** Can be called repeatedly, and while the stream is being paused. */
  remove(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  async #remove(): Promise<void> {
    this.#enter('removing');
    await this.#close();
    this.#enter('removed');
  }

  #openOnLane(lane: ReturnType<StreamPort['pickLane']>, skip: number): void {
    const { policy } = this.input;
    const model = this.#port.modelOf(this.#instance);
    const shared = sharedFrames(this.arrangement, (name) => this.#port.modelOf(name).spec);
    const { shape, refillAt } = planRing(this.#config, this.input, model, shared.second);
    const ring = new StreamRing(shape, lane, refillAt, (retired) => this.#port.detach(retired.ringId));
    this.#ring = ring;
    this.#isClosing = false;
    this.#port.attach(ring.handle);
    this.#port.serve(this);
    ring.slots.listen();
    const from = { firstFrame: this.#nextFrame, firstPtsUs: policy === 'live' ? this.#lastPtsUs : 0, skip };
    const opened = laneStream(this.#config, this.input, this.#port, model, ring, from, shared);
    lane.open(opened, this.#port.laneListener(this));
    if (this.#isWatched) lane.watch(ring.ringId, true);
  }

  onLaneMessage(message: FromLane): void {
    const ring = this.#ring;
    if (ring === null || !('ringId' in message) || message.ringId !== ring.ringId) return;
    this.#dropLateFrames();
    switch (message.type) {
      case 'frames':
        break;
      case 'dropped':
        ring.received += message.count;
        this.#received += message.count;
        this.ledger.enterLost(message.count, message.reason);
        break;
      case 'running':
        if (this.#state === 'starting' || this.#state === 'reconnecting') this.#enter('running');
        break;
      case 'reconnecting':
        // Ignored if the close request and this message crossed.
        if (!this.#isClosing) this.#onReconnecting(SightlineError.fromWire(message.error));
        break;
      case 'ended':
        void this.#finish(null);
        break;
      case 'failed':
        void this.#finish(SightlineError.fromWire(message.error));
        break;
      case 'warning':
        this.warnings.push(message.message);
        if (this.warnings.length > 100) this.warnings.shift();
        this.#port.event('stream-warning', this.id, message.message);
        break;
      case 'decode-errors':
        this.#decodeErrors += message.count;
        break;
      case 'duration':
        this.durationUs = message.durationUs;
        break;
      case 'preview':
        this.#previews.onPicture(message.frame, message.jpeg);
        break;
      case 'closed':
        this.#onClosed?.();
        break;
    }
  }

  onLaneLost(error: SightlineError): void {
    const ring = this.#ring;
    if (ring === null) return;
    this.#dropLateFrames();
    const lost = ring.lostCount;
    ring.retire(true);
    this.#ring = null;
    // A file is read again from the last frame received, so nothing is lost; frames of a live source are lost.
    if (this.input.policy === 'live' && lost > 0) this.ledger.enterLost(lost, 'lane-failed');
    if (this.#isClosing) return void this.#onClosed?.();
    if (this.#state === 'ended' || this.#state === 'failed') return;
    this.#onReconnecting(error);
    this.start();
  }

  /** Takes the next frame that the lane handed over, oldest first; null if there is none to infer. */
  takeFrame(): InFlightFrame | null {
    const ring = this.#ring;
    if (ring === null) return null;
    for (;;) {
      const slot = ring.slots.take();
      if (slot === -1) return null;
      const frame = this.#enterFrame(ring, slot);
      if (this.#isDiscarding) this.ledger.drop(frame, 'stopped');
      else if (this.#skips === null || this.#skips.mustInfer(frame)) return frame;
      else {
        this.#skipped.push(frame);
        this.#port.onSkipped(frame);
      }
    }
  }

  /** Publishes frames that `takeFrame` kept back because they need no inference. */
  completeSkipped(): void {
    if (this.#skipped.length === 0) return;
    const skipped = this.#skipped;
    this.#skipped = [];
    this.ledger.completeSkipped(skipped);
  }

  onDropped(_frame: InFlightFrame): void {
    this.#skips?.onDropped();
  }

  /** Requests a message when the lane hands over the next frame. */
  wakeOnFrame(): void {
    this.#ring?.slots.listen();
  }

  /** Counts and drops frames that the lane still hands over while the stream is stopping and no longer served. */
  #dropLateFrames(): void {
    if (this.#isDiscarding) this.takeFrame();
  }

  get #isDiscarding(): boolean {
    return this.#isClosing && !this.#mustKeep;
  }

  #enterFrame(ring: StreamRing, slot: number): InFlightFrame {
    ring.onEntered();
    this.#received += 1;
    const frame = this.ledger.enter(ring, slot);
    this.#size = { width: frame.meta.width, height: frame.meta.height };
    this.#nextFrame = frame.meta.frame + this.#config.every;
    this.#lastPtsUs = frame.meta.ptsUs;
    return frame;
  }

  #onReconnecting(error: SightlineError): void {
    this.#reconnects += 1;
    this.#lastError = error.message;
    if (this.#state !== 'reconnecting') this.#enter('reconnecting', error);
  }

  /** Called when the source has ended or failed by itself. In-flight frames are published first. */
  async #finish(failure: SightlineError | null): Promise<void> {
    await this.ledger.empty();
    if (this.#isClosing) return;
    this.#failure = failure;
    await this.#close();
    if (this.#state === 'removing' || this.#state === 'pausing') return;
    this.#enter(failure === null ? 'ended' : 'failed', failure ?? undefined);
  }

  /** Stops in this order: no new frames, none waiting, none in flight; then the ring must be empty. */
  #close(): Promise<void> {
    if (!this.#mustKeep) this.#withdraw();
    // The lane answers once, so a second close (a stream that is removed while it is pausing) joins the first.
    this.#closing ??= this.#closeOnce().finally(() => {
      this.#closing = null;
    });
    return this.#closing;
  }

  async #closeOnce(): Promise<void> {
    const ring = this.#ring;
    this.#isClosing = true;
    if (ring !== null) {
      const closed = new Promise<void>((resolve) => {
        this.#onClosed = resolve;
      });
      ring.lane.close(ring.ringId);
      await closed;
      this.#onClosed = null;
      if (this.#ring !== null && ring.lostCount > 0 && !this.#mustKeep)
        this.ledger.enterLost(ring.lostCount, 'stopped');
      if (this.#ring !== null && ring.leakedCount > 0)
        this.#port.event('stream-warning', this.id, `${this.id}: slots that were not released: ${ring.leakedCount}`, {
          code: 'FRAME_LEAKED',
        });
    }
    await this.ledger.empty();
    this.#withdraw();
    if (ring !== null && this.#ring !== null) {
      // Sinks may still hold slots of published frames; the ring is detached when they are done.
      ring.retire();
      this.#ring = null;
    }
  }

  #withdraw(): void {
    for (const frame of this.#port.withdraw(this)) this.ledger.drop(frame, 'stopped');
    this.completeSkipped();
  }

  get retriesFrames(): boolean {
    return this.input.policy === 'file' && (!this.#isClosing || this.#mustKeep);
  }

  /** A paused file loses nothing: frames already read are finished, the rest is read after the resume. */
  get #mustKeep(): boolean {
    return this.input.policy === 'file' && this.#state === 'pausing';
  }

  #enter(state: StreamState, error?: SightlineError): void {
    if (!STREAM_TRANSITIONS[this.#state].includes(state)) {
      throw new SightlineError('STREAM_STATE', `stream "${this.id}" is ${this.#state} and cannot become ${state}`, {
        from: this.#state,
        to: state,
      });
    }
    const from = this.#state;
    this.#state = state;
    if (error !== undefined) this.#lastError = error.message;
    const why = error === undefined ? '' : `: ${error.message}`;
    this.#port.event('stream-state', this.id, `${this.id} is ${state}${why}`, {
      from,
      to: state,
      code: error?.code ?? null,
    });
    if (state === 'ended' || state === 'failed' || state === 'removed')
      for (const resolve of this.#onSettled.splice(0)) resolve();
  }

  analyse({ meta, by }: InFlightFrame, raw: Detection[]): readonly Detection[] {
    const startedMs = monoNowMs();
    const { detections, crossings } =
      by === 'tracked' ? this.#analytics.predict(meta) : this.#analytics.update(meta, raw);
    this.#port.partTimes.addTrack(monoNowMs() - startedMs);
    if (by === 'inferred') this.#skips?.onInferred(this.#analytics.quality);
    for (const { lineId, trackId, label, direction, ptsUs } of crossings) {
      this.#port.event('line-crossed', this.id, `${label} ${trackId} crossed ${lineId} ${direction}`, {
        lineId,
        trackId,
        label,
        direction,
        ptsUs,
      });
    }
    return detections;
  }

  publish(result: PublishedFrame, frame: InFlightFrame): Promise<unknown> | null {
    this.#previews.onPublished(result);
    return this.#port.publish(this, result, frame);
  }

  /** Called once a second; also emits events for targets that are missed or met again. */
  report(nowMs: number, queueDepth: number): StreamReport {
    const fps = this.telemetry.fps(nowMs);
    const latencyMs = this.telemetry.latencyMs(nowMs);
    const isLive = this.#state === 'running' || this.#state === 'reconnecting';
    const events = this.#targets.update(this.id, fps.published, latencyMs.window, isLive, nowMs);
    for (const { kind, message, details } of events) this.#port.event(kind, this.id, message, details);
    const pace = this.#skips?.pace;
    return {
      id: this.id,
      source: this.input.label,
      state: this.#state,
      policy: this.input.policy,
      seq: this.#seq++,
      fps,
      target: { fps: this.#config.target.fps ?? null, latencyMs: this.#config.target.latencyMs ?? null },
      isMissing: this.#targets.isMissing,
      latencyMs,
      stagesMs: this.telemetry.stagesMs(nowMs),
      frames: this.telemetry.frames(this.ledger.inFlight),
      results: this.telemetry.results,
      ...(pace == null ? {} : { detectEvery: { now: pace.stride, longest: pace.longestGap } }),
      queueDepth,
      decodeErrors: this.#decodeErrors,
      reconnects: this.#reconnects,
      width: this.#size?.width ?? null,
      height: this.#size?.height ?? null,
      priority: this.#config.priority,
      weight: this.#config.weight,
      ...this.counts,
      lastError: this.#lastError,
    };
  }

  /** State of zones and lines after the newest frame. */
  get counts(): Pick<StreamReport, 'zones' | 'lines'> {
    return { zones: this.#analytics.zones, lines: this.#analytics.lines };
  }

  /** Frames between decoded and published or dropped: those that wait in the ring, and those in the ledger. */
  get pendingFrames(): number {
    return (this.#ring?.lostCount ?? 0) + this.ledger.inFlight;
  }

  /** True while its ffmpeg is held back because no slot is free. Never for a live stream. */
  get isHeldBack(): boolean {
    return this.#ring?.slots.isWaiting ?? false;
  }

  /** Slots currently held, for leak checks; 0 once the stream is closed. */
  get heldSlots(): number {
    return this.#ring?.slots.heldCount ?? 0;
  }
}
