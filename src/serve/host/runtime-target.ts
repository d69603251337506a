import type { Detection } from '../../base/core/detection.ts';
import type { PublishedFrame } from '../../base/core/frame.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { Listeners } from '../../base/flow/listeners.ts';
import type { RolloutTarget, Sides } from '../../fleet/control/rollout/rollout-target.ts';
import { skipsDiffer } from '../../fleet/control/rollout/stream-changes.ts';
import type { ShadowResult } from '../../frame/runtime/inference/shadow-stream.ts';
import { loadBeside } from '../../frame/runtime/open-runtime.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import { DEFAULT_INSTANCE, type RuntimeStream } from '../../frame/runtime/stream/runtime-stream.ts';
import type { ModelRoots } from '../../network/store/admit-model.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { EventMessage } from '../../wire/protocol/feed.ts';
import type { HostObservation, Rollout, SideObservation, Version } from '../../wire/protocol/rollout-records.ts';
import { type CostSample, HostCost } from './host-cost.ts';
import type { HostStreams, LaneComparison, StreamVersion } from './host-streams.ts';
import type { NamedModels } from './named-models.ts';
import { OthersCpu } from './others-cpu.ts';
import { isPictureStream } from './picture-detector.ts';
import { RecordedTrials } from './recorded-trials.ts';
import { requireModelMemory } from './stream-limits.ts';

/** A version of the pipeline and its name in the runtime. */
export interface LoadedVersion {
  readonly hash: string;
  readonly label: string;
  readonly instance: string;
  /** Boxes below it are not reported. */
  readonly scoreThreshold: number;
}

export interface RuntimeTargetOptions {
  readonly runtime: Runtime;
  readonly streams: HostStreams;
  /** The detector whose versions they are, among `models` of the pipeline; absent: its own. */
  readonly named?: { readonly detector: string; readonly models: NamedModels } | undefined;
  /** The version that the runtime has loaded. */
  readonly initial: Version;
  readonly environment: Environment;
  /** The files that a version may be made of: its record comes over the network. */
  readonly modelRoots: ModelRoots;
  readonly recordings: string;
  readonly onNotice: (text: string) => void;
}

const OBSERVE_MS = 1000;
/** A live stream's observations of one second; more are not needed to see a tail. */
const MOST_LATENCIES = 2000;
/** After a stream has changed its version, frames of the other one may still be published for this long. */
const SETTLE_MS = 250;

/** What was seen of one stream since the last observation. */
interface Tally {
  frames: number;
  boxes: number;
  scoreSum: number;
  inferred: number;
  latenciesMs: number[];
}

/** Counters of a stream at the last observation. */
interface Baseline {
  readonly dropped: number;
  readonly failed: number;
}

/** Runs the versions of a roll-out as models of one runtime, and observes what each does. */
export class RuntimeTarget implements RolloutTarget {
  readonly #options: RuntimeTargetOptions;
  readonly #runtime: Runtime;
  /** Name of the runtime's model by hash of the version. */
  readonly #names: Map<string, string>;
  readonly #versions: Map<string, Version>;
  /** The version of each stream and the one beside it, as they were last arranged. */
  readonly #arranged = new WeakMap<RuntimeStream, string>();
  /** What the current sides need from the lanes of streams, by their ordered settings. */
  #lanes = new WeakMap<StreamConfig, LaneComparison>();
  /** The newest reason why a stream could not be arranged. */
  readonly #complaints = new Map<string, string>();
  readonly #cost: HostCost;
  /** What the control used before the roll-out. Sent one by one: at its start nobody collects evidence yet. */
  #controlCost: CostSample[] = [];
  /** CPU time of the inference threads of each model at the last observation. */
  readonly #cpuMs = new Map<string, number>();
  #othersCpu: OthersCpu;
  readonly #recorded: RecordedTrials;
  /** Frames that each model inferred since the last observation. */
  readonly #inferred = new Map<string, number>();
  readonly #loading = new Map<string, Promise<void>>();
  /** Hashes of versions that are being unloaded. */
  readonly #ending = new Set<string>();
  /** Streams that are being moved. */
  readonly #moving = new Set<string>();
  readonly #shadows = new Map<string, { readonly hash: string; readonly ratio: number; readonly scoreSlack: number }>();
  readonly #tallies = new Map<string, Tally>();
  readonly #baselines = new Map<string, Baseline>();
  readonly #observations: Listeners<HostObservation>;
  readonly #unsubscribe: (() => void)[];
  readonly #timer: NodeJS.Timeout;
  /** Makes others let go of a model that is about to be ended. */
  beforeUnload: (instance: string) => Promise<void> = async () => {};
  /** When streams changed their version or began to run; what was seen since is observed once that has settled. */
  readonly #changedMs = new Map<string, number>();
  #sides: Sides | null = null;
  #isAlone = false;
  #restarts = 0;
  #observedMs = performance.now();

  constructor(options: RuntimeTargetOptions) {
    this.#options = options;
    this.#runtime = options.runtime;
    this.#names = new Map([[options.initial.hash, options.named?.detector ?? DEFAULT_INSTANCE]]);
    this.#versions = new Map([[options.initial.hash, options.initial]]);
    this.#cost = new HostCost(options.runtime);
    this.#othersCpu = this.#newOthersCpu();
    const { recordings: folder, streams } = options;
    const ordered = (): StreamConfig[] =>
      this.#taking.filter(({ input }) => input.bulk === undefined).map((stream) => streams.orderedConfig(stream));
    this.#recorded = new RecordedTrials({ ...options, folder, streams: ordered });
    this.#observations = new Listeners('observations of a roll-out', options.runtime.incidents);
    this.#unsubscribe = [
      this.#runtime.published.add((frame) => this.#onPublished(frame)),
      this.#runtime.shadowed.add((result) => this.#onShadowed(result)),
      this.#runtime.events.add((event) => this.#onEvent(event)),
    ];
    this.#timer = setInterval(() => this.#observe(), OBSERVE_MS);
  }

  streams(): readonly string[] {
    return this.#taking.map(({ id }) => id);
  }

  /** The streams that use the detector which a roll-out replaces. Requests are bound to a version, and belong to no side. */
  get #taking(): readonly RuntimeStream[] {
    return this.#runtime.streams.filter(({ id, config }) => this.#takes(config) && !isPictureStream(id));
  }

  #takes({ model }: StreamConfig): boolean {
    return model === this.#options.named?.detector;
  }

  /** The instance that new streams of the detector get. */
  get #current(): string {
    const { named } = this.#options;
    return named === undefined ? this.#runtime.primary : named.models.currentOf(named.detector);
  }

  /** The versions that can infer now. */
  get loaded(): readonly LoadedVersion[] {
    return [...this.#versions.values()]
      .filter(({ hash }) => this.isLoaded(hash))
      .map(({ hash, label, model }) => {
        const instance = this.#nameOf(hash);
        const { scoreThreshold } = this.#runtime.specOf(instance);
        return { hash, label, instance, scoreThreshold: model.scoreThreshold ?? scoreThreshold };
      });
  }

  versionOf(stream: string): string {
    const { instance } = this.#runtime.stream(stream);
    for (const [hash, name] of this.#names) if (name === instance) return hash;
    return this.#options.initial.hash;
  }

  /** False as soon as it is being unloaded. */
  isLoaded(hash: string): boolean {
    const name = this.#names.get(hash);
    return name !== undefined && !this.#ending.has(hash) && this.#runtime.models.includes(name);
  }

  load(version: Version): Promise<void> {
    if (this.isLoaded(version.hash)) return Promise.resolve();
    let loading = this.#loading.get(version.hash);
    if (loading === undefined) {
      loading = this.#load(version).finally(() => this.#loading.delete(version.hash));
      this.#loading.set(version.hash, loading);
    }
    return loading;
  }

  adopt(hash: string): void {
    const { streams, named } = this.#options;
    if (named === undefined) this.#runtime.primary = this.#nameOf(hash);
    else named.models.adopt(named.detector, this.#nameOf(hash));
    streams.setNewChanges(named?.detector, this.#versions.get(hash)?.streams);
  }

  async unload(hash: string): Promise<void> {
    const name = this.#names.get(hash);
    if (name === undefined || name === this.#current || !this.isLoaded(hash)) return;
    this.#ending.add(hash);
    try {
      await this.beforeUnload(name);
      await this.#runtime.unloadModel(name, this.#current);
      this.#options.named?.models.forget(name);
    } finally {
      this.#ending.delete(hash);
    }
    // It may have been loaded again meanwhile.
    if (this.isLoaded(hash)) return;
    this.#names.delete(hash);
    this.#versions.delete(hash);
  }

  assign(stream: string, hash: string, beside: string | null): void {
    if (this.#moving.has(stream)) return;
    const running = this.#runtime.stream(stream);
    const wish = arrangedAs(hash, beside);
    // It may have had a model of its own meanwhile.
    if (this.#arranged.get(running) === wish && running.instance === this.#names.get(hash)) return;
    const own = this.#versionFor(hash);
    this.#moving.add(stream);
    // A pair must not be made of two results of one version. The next beat starts the shadow of the other one.
    this.#runtime.stopShadow(stream);
    this.#shadows.delete(stream);
    this.#changedMs.set(stream, performance.now());
    this.#options.streams
      .arrange(stream, own, beside === null ? null : this.#versionFor(beside))
      .then(
        (isDone) => {
          if (isDone) this.#arranged.set(running, wish);
          else this.#arranged.delete(running);
          this.#complaints.delete(stream);
        },
        (error: Error) => this.#complain(stream, `stream ${stream} keeps its version: ${error.message}`),
      )
      .finally(() => this.#moving.delete(stream));
  }

  turnCost(stream: string): 'none' | 'reopening' | null {
    const compared = this.#compareLanes(stream);
    return compared === null ? null : compared.isInPlace ? 'none' : 'reopening';
  }

  /** null while a side is not loaded. */
  #compareLanes(stream: string): LaneComparison | null {
    const sides = this.#sides;
    if (sides === null || !this.isLoaded(sides.control) || !this.isLoaded(sides.candidate)) return null;
    const running = this.#runtime.stream(stream);
    const ordered = this.#options.streams.orderedConfig(running);
    let compared = this.#lanes.get(ordered);
    if (compared === undefined) {
      const [control, candidate] = [this.#versionFor(sides.control), this.#versionFor(sides.candidate)];
      compared = this.#options.streams.compareVersions(running, control, candidate);
      this.#lanes.set(ordered, compared);
    }
    return compared;
  }

  tryRecorded(rollout: Rollout | null, nowMs: number): void {
    const found = this.#recorded.follow(rollout, nowMs);
    if (found !== null) this.#observations.emit(found);
  }

  measureCost(isAlone: boolean): void {
    if (isAlone && !this.#isAlone) this.#cost.restart();
    this.#isAlone = isAlone;
  }

  shadow(stream: string, hash: string | null, ratio: number, scoreSlack: number): void {
    const now = this.#shadows.get(stream);
    // A picture that is decoded or resized otherwise must not be compared on the pixels of one side.
    if (hash === null || ratio === 0 || this.#compareLanes(stream)?.isSamePicture !== true) {
      if (now !== undefined) this.#runtime.stopShadow(stream);
      this.#shadows.delete(stream);
      return;
    }
    const isSame =
      now?.hash === hash &&
      now.ratio === ratio &&
      now.scoreSlack === scoreSlack &&
      this.#runtime.shadowCounters(stream) !== null;
    if (isSame || this.#moving.has(stream)) return;
    const isNew = now?.hash !== hash;
    this.#shadows.set(stream, { hash, ratio, scoreSlack });
    const own = this.versionOf(stream);
    const [control, candidate] = [this.#versions.get(hash), this.#versions.get(own)];
    // Results that the candidate's settings give without an inference are compared, too.
    const comparesSkipped = this.#sides?.candidate === own && skipsDiffer(stream, control?.streams, candidate?.streams);
    try {
      this.#runtime.startShadow(stream, this.#nameOf(hash), { ratio, scoreSlack, comparesSkipped });
    } catch (error) {
      if (!(error instanceof SightlineError)) throw error;
      // Alone, frames are made for the candidate only, so a control with another input cannot infer them.
      const isForBoth = this.#arranged.get(this.#runtime.stream(stream)) !== arrangedAs(own, null);
      if (isNew && isForBoth)
        this.#options.onNotice(`stream ${stream} is not compared frame by frame: ${error.message}`);
    }
  }

  compare(sides: Sides | null): void {
    const isSame = sides?.control === this.#sides?.control && sides?.candidate === this.#sides?.candidate;
    if (isSame) return;
    this.#sides = sides;
    this.#tallies.clear();
    this.#baselines.clear();
    this.#changedMs.clear();
    this.#restarts = 0;
    this.#observedMs = performance.now();
    this.#cpuMs.clear();
    this.#inferred.clear();
    this.#othersCpu = this.#newOthersCpu();
    this.#lanes = new WeakMap();
    if (sides !== null) this.#takeCpuPerFrame(sides.control);
    this.#controlCost = sides === null ? [] : this.#cost.take();
  }

  onObservation(listener: (observation: HostObservation) => void): () => void {
    return this.#observations.add(listener);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#recorded.close();
    for (const remove of this.#unsubscribe) remove();
  }

  async #load(version: Version): Promise<void> {
    const { hash, label, model, batch } = version;
    const { environment, modelRoots, onNotice, named, initial } = this.#options;
    if (named !== undefined && hash === initial.hash) this.#names.set(hash, await named.models.load(named.detector));
    else {
      requireModelMemory(label);
      // As many threads as after a fresh start: what is compared is what stays.
      const files = { model, batch, environment, modelRoots, onNotice };
      await loadBeside(this.#runtime, hash, files, named === undefined ? {} : { recordAs: named.detector });
      this.#names.set(hash, hash);
    }
    this.#versions.set(hash, version);
  }

  #versionFor(hash: string): StreamVersion {
    const detector = this.#options.named?.detector;
    return { instance: this.#nameOf(hash), changes: this.#versions.get(hash)?.streams, detector };
  }

  /** A stream that cannot be moved is tried again with each beat; each reason is reported once. */
  #complain(stream: string, text: string): void {
    if (this.#complaints.get(stream) === text) return;
    this.#complaints.set(stream, text);
    this.#options.onNotice(text);
  }

  #nameOf(hash: string): string {
    const name = this.#names.get(hash);
    if (name === undefined) throw new RangeError(`version ${hash.slice(0, 12)} is not loaded`);
    return name;
  }

  #onPublished({ streamId, detections, times, by }: PublishedFrame): void {
    if (this.#sides === null || this.#moving.has(streamId)) return;
    if (!this.#takes(this.#runtime.stream(streamId).config)) return;
    const tally = this.#tallyOf(streamId);
    tally.frames += 1;
    tally.boxes += detections.length;
    for (const { score } of detections) tally.scoreSum += score;
    if (by === 'inferred') {
      tally.inferred += 1;
      this.#countInferred(this.#runtime.stream(streamId).instance);
    }
    if (tally.latenciesMs.length < MOST_LATENCIES) tally.latenciesMs.push(times.published - times.captured);
  }

  #onShadowed({ frame, candidate: other, weak }: ShadowResult): void {
    const sides = this.#sides;
    const shadow = this.#shadows.get(frame.streamId);
    if (sides === null || shadow === undefined) return;
    const { streamId: stream, frame: number, detections } = frame;
    this.#countInferred(this.#nameOf(shadow.hash));
    const isOnCandidate = shadow.hash === sides.control;
    const sidesOf = (published: readonly Detection[], beside: readonly Detection[]) => {
      const [control, candidate] = isOnCandidate ? [beside, published] : [published, beside];
      return { control: copied(control), candidate: copied(candidate) };
    };
    const boxes = { ...sidesOf(detections, other), weak: sidesOf(weak.published, weak.candidate) };
    this.#observations.emit({ stream, frame: number, ...boxes });
  }

  #countInferred(instance: string): void {
    this.#inferred.set(instance, (this.#inferred.get(instance) ?? 0) + 1);
  }

  /** CPU time that the model of a side used for one inference since the last observation; 0 if unknown. */
  #takeCpuPerFrame(hash: string): number {
    if (!this.isLoaded(hash)) return 0;
    const name = this.#nameOf(hash);
    const cpuMs = this.#runtime.inferenceCpuMs(name);
    if (cpuMs === null) return 0;
    const usedMs = cpuMs - (this.#cpuMs.get(name) ?? cpuMs);
    const inferred = this.#inferred.get(name) ?? 0;
    this.#cpuMs.set(name, cpuMs);
    this.#inferred.delete(name);
    return inferred === 0 ? 0 : Math.max(0, usedMs) / inferred;
  }

  #onEvent({ kind, details }: EventMessage): void {
    const candidate = this.#sides === null ? undefined : this.#names.get(this.#sides.candidate);
    if (kind === 'engine-restarted' && candidate !== undefined && details?.model === candidate) this.#restarts += 1;
  }

  #observe(): void {
    const sides = this.#sides;
    const nowMs = performance.now();
    const fromMs = this.#observedMs;
    this.#observedMs = nowMs;
    if (this.#taking.length > 0) this.#cost.sample();
    if (sides === null) return;
    const controlCost = this.#controlCost.shift();
    if (controlCost !== undefined) this.#observations.emit({ costOf: 'control', ...controlCost });
    if (this.#isAlone)
      for (const sample of this.#cost.take()) this.#observations.emit({ costOf: 'candidate', ...sample });
    const cpuPerFrame = {
      control: this.#takeCpuPerFrame(sides.control),
      candidate: this.#takeCpuPerFrame(sides.candidate),
    };
    const othersRatio = this.#othersCpu.take();
    const ofHost = othersRatio === undefined ? {} : { othersRatio };
    for (const stream of this.#taking) {
      const hash = this.versionOf(stream.id);
      const side = hash === sides.candidate ? 'candidate' : hash === sides.control ? 'control' : null;
      if (stream.state !== 'running') this.#changedMs.set(stream.id, nowMs);
      if (side !== null && this.#hasSettled(stream.id, fromMs))
        this.#observeStream(stream, { side, ...ofHost }, (nowMs - fromMs) / 1000, cpuPerFrame[side]);
      else this.#forget(stream);
    }
    if (this.#restarts === 0) return;
    this.#observations.emit({ restarts: this.#restarts });
    this.#restarts = 0;
  }

  /** Returns whether a stream ran with one version all the time since. */
  #hasSettled(stream: string, sinceMs: number): boolean {
    const changedMs = this.#changedMs.get(stream);
    if (changedMs === undefined) return true;
    if (changedMs + SETTLE_MS > sinceMs) return false;
    this.#changedMs.delete(stream);
    return true;
  }

  /** Leaves out what was seen of a stream since the last observation. */
  #forget(stream: RuntimeStream): void {
    this.#tallies.delete(stream.id);
    this.#baselines.set(stream.id, countersOf(stream));
  }

  #observeStream(
    stream: RuntimeStream,
    { side, ...ofHost }: Pick<SideObservation, 'side' | 'othersRatio'>,
    seconds: number,
    cpuPerFrameMs: number,
  ): void {
    const now = countersOf(stream);
    const before = this.#baselines.get(stream.id) ?? now;
    this.#baselines.set(stream.id, now);
    const { frames, inferred, ...tally } = this.#tallyOf(stream.id);
    const { target } = stream.config;
    const compared = this.#compareLanes(stream.id);
    const pace = side === 'candidate' ? compared?.pace : null;
    this.#tallies.delete(stream.id);
    this.#observations.emit({
      stream: stream.id,
      side,
      frames,
      ...tally,
      seconds,
      deviceMs: inferred * cpuPerFrameMs,
      dropped: now.dropped - before.dropped,
      failed: now.failed - before.failed,
      fpsAttained: seconds > 0 ? frames / seconds : 0,
      target: { fps: target.fps ?? null, latencyMs: target.latencyMs ?? null },
      ...(pace == null ? {} : { pace }),
      // If a side decodes differently, that can be why fewer frames arrive; and a file is read as slowly as its side infers.
      isOwnRate: stream.input.policy === 'live' && compared?.isInPlace === true,
      ...ofHost,
    });
  }

  #newOthersCpu(): OthersCpu {
    return new OthersCpu(() => this.#runtime.cpuUse()?.total ?? null);
  }

  #tallyOf(stream: string): Tally {
    let tally = this.#tallies.get(stream);
    if (tally === undefined) {
      tally = { frames: 0, boxes: 0, scoreSum: 0, inferred: 0, latenciesMs: [] };
      this.#tallies.set(stream, tally);
    }
    return tally;
  }
}

function countersOf(stream: RuntimeStream): Baseline {
  return { dropped: stream.droppedCount, failed: stream.telemetry.frames(0).dropped['engine-failed'] ?? 0 };
}

function arrangedAs(hash: string, beside: string | null): string {
  return `${hash} ${beside}`;
}

/** Boxes of messages are arrays of their own. */
function copied(detections: readonly Detection[]) {
  return detections.map(({ box, ...rest }) => ({ ...rest, box: [...box] as [number, number, number, number] }));
}
