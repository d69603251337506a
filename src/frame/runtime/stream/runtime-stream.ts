import { isDeepStrictEqual } from 'node:util';
import { monoNowMs } from '../../../base/core/clock.ts';
import type { ModelSpec } from '../../../base/core/model.ts';
import type { FramePicture } from '../../../base/core/picture.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { StreamReport, StreamState } from '../../../wire/protocol/report.ts';
import type { StreamLoad } from '../../telemetry/judge-overload.ts';
import { StreamTelemetry } from '../../telemetry/stream-telemetry.ts';
import type { LaneListener, StreamMessage } from '../lane/lane-client.ts';
import { type Arrangement, laneKey, laneTuning, type Models, sharedFrames } from './arrangement.ts';
import { CameraSight } from './camera-sight.ts';
import { FrameLedger } from './frame-ledger.ts';
import { laneStream, tunableOf } from './lane-stream.ts';
import type { StreamPace } from './miss-reason.ts';
import { loadOf, type PreparedSettings, prepareSettings } from './prepared-settings.ts';
import { PreviewPairs } from './preview-pairs.ts';
import { planRing } from './ring-plan.ts';
import { placedCounts, reportScoreOf } from './stream-analytics.ts';
import { StreamDecoding } from './stream-decoding.ts';
import { isOtherChoice, isOtherSource, StreamPlace } from './stream-place.ts';
import type { StreamInput, StreamPort } from './stream-port.ts';
import { StreamRing } from './stream-ring.ts';
import { StreamLife } from './stream-states.ts';

/** Name of the model instance that a pipeline starts with. */
export const DEFAULT_INSTANCE = 'default';

/** One stream on the main thread: its lifecycle, its frames, its metrics. */
export class RuntimeStream implements LaneListener {
  static #lastRunMs = 0;
  readonly id: string;
  readonly telemetry: StreamTelemetry;
  readonly ledger: FrameLedger;
  readonly #port: StreamPort;
  #ring: StreamRing | null = null;
  readonly #life: StreamLife;
  readonly #sight: CameraSight;
  #seq = 0;
  readonly decoding = new StreamDecoding();
  #reconnects = 0;
  #hasRun = false;
  readonly #place = new StreamPlace();
  #failure: SightlineError | null = null;
  #restart: NodeJS.Timeout | undefined;
  #isWatched = false;
  #isClosing = false;
  #onClosed: (() => void) | null = null;
  #closing: Promise<void> | null = null;
  #removal: Promise<void> | null = null;
  durationUs: number | null = null;
  readonly warnings: string[] = [];

  constructor(config: StreamConfig, input: StreamInput, port: StreamPort, instance: string = port.primary()) {
    this.id = config.id;
    this.#port = port;
    this.telemetry = new StreamTelemetry(monoNowMs());
    if (input.startAfter !== undefined) this.#place.continueAfter(input.startAfter, config.every);
    this.#life = new StreamLife(this.id, (message, details) => port.event('stream-state', this.id, message, details));
    this.#sight = new CameraSight(this.id, port);
    const settings = this.#prepare({ config, instance, beside: null }, input, null);
    this.ledger = new FrameLedger({
      stream: { id: this.id, run: RuntimeStream.#nextRun() },
      spec: port.modelOf(instance).spec,
      settings,
      place: this.#place,
      telemetry: this.telemetry,
      port,
      now: monoNowMs,
    });
  }

  /** Returns the present time as ISO text, and a later one at each call, so that a stream that is added again has another run. */
  static #nextRun(): string {
    RuntimeStream.#lastRunMs = Math.max(Date.now(), RuntimeStream.#lastRunMs + 1);
    return new Date(RuntimeStream.#lastRunMs).toISOString();
  }

  get #settings(): PreparedSettings {
    return this.ledger.settings;
  }

  /** Name of the model instance that infers its frames. */
  get instance(): string {
    return this.#settings.instance;
  }

  /** True if a model infers its frames, or those that another one shares with it. */
  uses(name: string): boolean {
    return this.instance === name || this.#settings.beside?.instance === name;
  }

  #prepare(to: Arrangement, input: StreamInput, before: PreparedSettings | null): PreparedSettings {
    const reportScore = reportScoreOf(to.config, input, this.#port.modelOf(to.instance).scoreThreshold);
    return prepareSettings(to, input, reportScore, before, () => this.#ring?.slots.requestLook());
  }

  readonly #specOf = (instance: string): ModelSpec => this.#port.modelOf(instance).spec;

  get input(): StreamInput {
    return this.#settings.input;
  }

  get arrangement(): Arrangement {
    return this.#settings;
  }

  get config(): StreamConfig {
    return this.#settings.config;
  }

  get state(): StreamState {
    return this.#life.state;
  }

  /** Connections to its source that were made again after a loss. */
  get reconnectCount(): number {
    return this.#reconnects;
  }

  /** Frames that entered and were dropped, for any reason. */
  get droppedCount(): number {
    return Object.values(this.telemetry.frames(0).dropped).reduce((sum, count) => sum + count, 0);
  }

  /** Why the stream failed; null if it did not. */
  get failure(): SightlineError | null {
    return this.#failure;
  }

  /** Opens the source on a lane. The state becomes `running` with the first decoded frame, `failed` if that throws. */
  start(): void {
    try {
      this.#open();
    } catch (error) {
      this.#failure = SightlineError.from(error, 'INTERNAL_ERROR');
      this.#life.enter('failed', this.#failure);
    }
  }

  /** Returns whether it can take an arrangement between two frames, without opening its source again. */
  isInPlace(to: Arrangement): boolean {
    const tunable = this.isOpen ? tunableOf(this.input, this.#port.ffmpeg.major) : undefined;
    return laneKey(this.arrangement, this.#specOf, tunable) === laneKey(to, this.#specOf, tunable);
  }

  /** Takes an arrangement between two frames, see `isInPlace`. Throws before anything has changed. */
  rearrange(to: Arrangement, input: StreamInput): void {
    const { config, skips } = this.#settings;
    const before = laneTuning(this.arrangement, this.#specOf);
    const tuning = laneTuning(to, this.#specOf);
    const next = this.#prepare(to, input, this.#settings);
    if (isOtherChoice(config, to.config)) this.#place.forgetCount();
    this.ledger.settings = isDeepStrictEqual(config.skip, to.config.skip) ? { ...next, skips } : next;
    if (this.#ring === null) return;
    if (this.ledger.intake === null) this.#ring.keepRatio = 1;
    this.#ring.tune(before, tuning);
  }

  /**
   * Applies settings for which the source must be opened again; counts and frame numbers stay. A paused stream stays paused,
   * one that has failed is started, and one that has ended if its source is another.
   * @param models - those that change; the others stay.
   * @throws what opening it throws, after which it runs with its old settings; STREAM_STATE if it was removed meanwhile.
   */
  async reopen(config: StreamConfig, input: StreamInput, models: Partial<Models> = {}): Promise<void> {
    const before = this.#settings;
    this.#prepare({ ...this.arrangement, config }, input, before);
    const { state } = this;
    const isHeld = state === 'pausing' || state === 'paused';
    if (state === 'pausing') await this.#closing;
    else if (state !== 'paused' && state !== 'ended' && state !== 'failed') await this.pause(null);
    if (state === 'ended' || isOtherSource(before.input, input)) this.#place.clear();
    else if (isOtherChoice(before.config, config)) this.#place.forgetCount();
    // Another model may have been assigned meanwhile.
    const now = this.#settings;
    this.ledger.settings = this.#prepare({ ...this.arrangement, ...models, config }, input, now);
    // It has been read to its end. Other settings do not play it again.
    const isRead = state === 'ended' && !isOtherSource(before.input, input);
    if (isHeld || isRead) return;
    this.#life.noteError(null);
    this.#life.enter('starting', undefined, `${this.id}: settings changed, its source is opened again`);
    try {
      this.#open();
    } catch (error) {
      // Made anew, since both share a tracker.
      this.ledger.settings = this.#prepare(now, now.input, now);
      this.start();
      throw error;
    }
  }

  /** True while it is served; false once it is ending, pausing or paused. */
  get isOpen(): boolean {
    return this.#ring !== null && !this.#isClosing;
  }

  set isWatched(isWatched: boolean) {
    if (isWatched === this.#isWatched) return;
    this.#isWatched = isWatched;
    const { id, run } = this.ledger;
    this.ledger.previews = isWatched
      ? new PreviewPairs({ id, run }, (picture) => this.#port.onPreview(picture), monoNowMs)
      : null;
    if (this.#ring !== null) this.#ring.lane.watch(this.#ring.ringId, isWatched);
  }

  /** Resolves when the stream has ended, failed, or was removed. */
  settled(): Promise<void> {
    return this.#life.settled();
  }

  /** @param message - null: without events. */
  async pause(message?: null): Promise<void> {
    this.#life.enter('pausing', undefined, message);
    await this.#close();
    // It may be removed meanwhile.
    if (this.#life.state === 'pausing') this.#life.enter('paused', undefined, message);
  }

  resume(): void {
    this.#life.enter('starting');
    this.start();
  }

  /** Can be called repeatedly, and while the stream is being paused. */
  remove(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  async #remove(): Promise<void> {
    this.#life.enter('removing');
    await this.#close();
    this.#life.enter('removed');
    this.input.feed?.end(new SightlineError('STREAM_STATE', `${this.id} was removed`));
  }

  #open(): void {
    this.#failure = null;
    const { config, input, instance } = this.#settings;
    const lane = this.#port.pickLane();
    const model = this.#port.modelOf(instance);
    const shared = sharedFrames(this.arrangement, this.#specOf);
    const { shape, refillAt } = planRing(config, input, model, shared.second);
    const ring = new StreamRing(shape, lane, refillAt, (retired) => this.#port.detach(retired.ringId));
    const message = laneStream(config, input, this.#port, model, ring, this.#place, shared);
    this.#useRing(ring);
    this.#isClosing = false;
    this.ledger.isClosing = false;
    try {
      this.#port.attach(ring.handle);
      this.#port.scheduler.serve(this.ledger);
      ring.slots.listen();
      lane.open(message, this);
      const push = (next: FramePicture): void => lane.push(ring.ringId, next);
      input.feed?.connect({ slots: shape.slots, push, shedding: this.ledger.shedding }, this.#place.nextFrame);
    } catch (error) {
      this.#withdraw();
      ring.retire();
      this.#useRing(null);
      throw error;
    }
    if (this.#isWatched) lane.watch(ring.ringId, true);
  }

  #useRing(ring: StreamRing | null): void {
    if (ring === null) {
      this.input.feed?.disconnect();
      if (this.#ring !== null) this.#sight.end(this.#ring.slots, monoNowMs());
    } else this.#sight.begin(monoNowMs());
    this.#ring = ring;
    this.ledger.ring = ring;
  }

  onFrames(): void {
    this.#port.scheduler.framesArrived(this.ledger);
    // Nobody serves the stream any more.
    if (this.#isClosing && !this.#mustKeep) this.ledger.dropHandedOver();
  }

  onLaneMessage(message: StreamMessage): void {
    // It follows the frames that the lane handed over before, so those enter first.
    this.onFrames();
    const ring = this.#ring;
    if (ring === null || !('ringId' in message) || message.ringId !== ring.ringId) return;
    this.decoding.onMessage(message);
    switch (message.type) {
      case 'dropped':
        ring.received += message.count;
        this.ledger.enterLost(message.count, message.reason);
        break;
      case 'running':
        this.#onRunning();
        break;
      case 'reconnecting':
        // Ignored if the close request and this message crossed.
        if (!this.#isClosing) this.#onReconnecting(SightlineError.fromWire(message.error));
        break;
      case 'picture-refused':
        this.input.feed?.onRefused(message.frame, SightlineError.fromWire(message.error));
        break;
      case 'ended':
        void this.#finish(null);
        break;
      case 'failed':
        void this.#finish(SightlineError.fromWire(message.error));
        break;
      case 'warning':
        if (this.input.bulk?.takeWarning?.(message.message, message.frame) === true) break;
        if (this.warnings.push(message.message) > 100) this.warnings.shift();
        this.#port.event('stream-warning', this.id, message.message);
        break;
      case 'sign':
        if (!this.#isClosing) this.#sight.onSign(message);
        break;
      case 'late':
        if (!this.#isClosing) this.#sight.onLate(message.lateMs);
        break;
      case 'duration':
        this.durationUs = message.durationUs;
        break;
      case 'preview':
        if (ring.mayShow(message)) this.ledger.previews?.onPicture(message);
        break;
      case 'closed':
        this.#onClosed?.();
        break;
    }
  }

  /** How much later its pictures come than they did at best, in milliseconds; null: they are not late. */
  get lateMs(): number | null {
    return this.#sight.lateMs;
  }

  onLaneLost(error: SightlineError): void {
    this.onFrames();
    const ring = this.#ring;
    if (ring === null) return;
    const lost = ring.lostCount;
    ring.retire(true);
    this.#useRing(null);
    if (!this.ledger.isRepeatable && lost > 0) this.ledger.enterLost(lost, 'lane-failed');
    if (this.#isClosing) return void this.#onClosed?.();
    if (this.#life.state === 'ended' || this.#life.state === 'failed') return;
    const waitMs = this.#life.laneLost(ring.hasDelivered);
    if (waitMs === null) return void this.#finish(error);
    this.#onReconnecting(error);
    if (waitMs === 0) this.start();
    else this.#restart = setTimeout(() => this.start(), waitMs);
  }

  #onRunning(): void {
    const { state } = this.#life;
    if (state === 'reconnecting' && this.#hasRun) this.#reconnects += 1;
    this.#hasRun = true;
    if (state === 'starting' || state === 'reconnecting') this.#life.enter('running');
  }

  #onReconnecting(error: SightlineError): void {
    if (this.#life.state === 'reconnecting') this.#life.noteError(error);
    else this.#life.enter('reconnecting', error);
  }

  /** Called when the source has ended or failed by itself. In-flight frames are published first. */
  async #finish(failure: SightlineError | null): Promise<void> {
    await this.ledger.empty();
    if (this.#isClosing) return;
    this.#failure = failure;
    await this.#close();
    if (this.#life.state === 'removing' || this.#life.state === 'pausing') return;
    this.#life.enter(failure === null ? 'ended' : 'failed', failure ?? undefined);
    if (failure !== null) this.input.feed?.fail(failure);
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
    clearTimeout(this.#restart);
    const ring = this.#ring;
    this.#isClosing = true;
    this.ledger.isClosing = true;
    this.input.feed?.disconnect();
    if (ring !== null) {
      const closed = new Promise<void>((resolve) => {
        this.#onClosed = resolve;
      });
      ring.lane.close(ring.ringId);
      await closed;
      this.#onClosed = null;
      if (this.#ring !== null && ring.lostCount > 0 && !this.#mustKeep)
        this.ledger.enterLost(ring.lostCount, 'stopped');
      if (this.#ring !== null && ring.leakedCount > 0) {
        const slots = ring.leakedCount === 1 ? '1 ring slot was' : `${ring.leakedCount} ring slots were`;
        this.#port.event('stream-warning', this.id, `${this.id}: ${slots} not released`, { code: 'FRAME_LEAKED' });
      }
    }
    await this.ledger.empty();
    this.#withdraw();
    if (ring !== null && this.#ring !== null) {
      // Sinks may still hold slots of published frames; the ring is detached when they are done.
      ring.retire();
      this.#useRing(null);
    }
  }

  #withdraw(): void {
    for (const frame of this.#port.scheduler.withdraw(this.ledger)) this.ledger.drop(frame, 'stopped');
  }

  /** A paused file or program loses nothing: frames already read are finished, the rest is read after the resume. */
  get #mustKeep(): boolean {
    return this.ledger.isRepeatable && this.#life.state === 'pausing';
  }

  /**
   * Called once a second; also emits events for targets that are missed or met again.
   *
   * @param busy - the stage that limits the host; null if none does.
   */
  report(nowMs: number, queueDepth: number, busy: StreamPace['busy'] = null): StreamReport {
    const fps = this.telemetry.fps(nowMs);
    const latencyMs = this.telemetry.latencyMs(nowMs);
    const stagesMs = this.telemetry.stagesMs(nowMs);
    const { reported: state, lastError, lastErrorAtMs } = this.#life;
    const { targets } = this.#settings;
    const pace: StreamPace = {
      fps,
      droppedFps: this.telemetry.droppedFps(nowMs),
      latencyMs: latencyMs.window,
      stagesMs,
      stageWaits: this.ledger.stageWaits(nowMs),
      isReconnecting: state === 'reconnecting',
      isHeldBack: this.isHeldBack,
      busy,
    };
    const isChecked = state === 'running' || state === 'reconnecting';
    for (const event of targets.update(this.id, isChecked ? pace : null, nowMs)) this.#port.onTarget(this.id, event);
    const detect = this.#settings.skips?.pace;
    const { trackProblem } = this.#settings.analytics;
    return {
      id: this.id,
      source: this.input.label,
      state,
      ...this.#sight.report(this.#ring?.slots ?? null, nowMs),
      ...(this.config.model === undefined ? {} : { model: this.config.model }),
      policy: this.input.policy,
      ...(this.config.insecureTls ? { insecureTls: true } : {}),
      seq: this.#seq++,
      fps,
      target: { fps: this.config.target.fps ?? null, latencyMs: this.config.target.latencyMs ?? null },
      isMissing: targets.isMissing,
      missReasons: targets.missReasons,
      latencyMs,
      stagesMs,
      frames: this.telemetry.frames(this.ledger.inFlight),
      results: this.telemetry.results,
      ...this.decoding.report(this.config),
      ...(detect == null ? {} : { detectEvery: { now: detect.stride, longest: detect.longestGap } }),
      queueDepth,
      decodeErrors: this.decoding.errors,
      reconnects: this.#reconnects,
      width: this.#place.size.width,
      height: this.#place.size.height,
      priority: this.config.priority,
      weight: this.config.weight,
      ...placedCounts(this.counts, this.config),
      lastError,
      lastErrorAtMs,
      ...(trackProblem === null ? {} : { trackProblem }),
    };
  }

  /** What is expected of it and what it does; null unless it is a live stream that runs. */
  load(nowMs: number): StreamLoad | null {
    if (this.state !== 'running' || this.input.policy !== 'live') return null;
    const { keyFps, keyShare, hasKeyFramesOnly } = this.decoding;
    return { ...loadOf(this.#settings), fps: this.telemetry.fps(nowMs), keyFps, keyShare, hasKeyFramesOnly };
  }

  /** State of zones and lines after the newest frame. */
  get counts(): Pick<StreamReport, 'zones' | 'lines'> {
    return { zones: this.#settings.analytics.zones, lines: this.#settings.analytics.lines };
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
