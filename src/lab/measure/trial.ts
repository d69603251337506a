import { setTimeout as sleep } from 'node:timers/promises';
import { ResultSinks } from '../../after/sinks/result-sinks.ts';
import { monoNowMs } from '../../base/core/clock.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { FfmpegBinary } from '../../frame/decode/ffmpeg-binary.ts';
import { loadStages, lookedAt } from '../../frame/runtime/load-stages.ts';
import { openRuntime } from '../../frame/runtime/open-runtime.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { RuntimeStream } from '../../frame/runtime/stream/runtime-stream.ts';
import { resolveStreamInput } from '../../frame/runtime/stream/stream-input.ts';
import { GpuMeter } from '../../frame/telemetry/gpu-meter.ts';
import { DEFAULT_LIMITS, type InterferenceLimits } from '../../frame/telemetry/interference.ts';
import type { PipelineConfig } from '../../serve/pipeline/pipeline.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import { RunRecorder, type RunWindow } from './run-recorder.ts';
import { type Scenario, scenarioName, scenarioStreams } from './scenario.ts';
import { type DueTime, summariseWindows, windowFigures } from './summarise-windows.ts';
import { judgeTargets, type Target } from './targets.ts';
import type { TrialResult, WindowFigures } from './trial-result.ts';

/** What is measured. */
export interface TrialSetup {
  readonly pipeline: Pick<PipelineConfig, 'model' | 'batch' | 'preview' | 'lanes' | 'streams'> &
    Partial<Pick<PipelineConfig, 'stages'>>;
  readonly environment: Environment;
  readonly ffmpeg?: FfmpegBinary;
  /** Default none. Closed with the runtime. */
  readonly sinks?: ResultSinks;
  /** Restates what a run of it gives, such as in frames of another one; default: as measured. */
  readonly restated?: (result: TrialResult, scenario: Scenario) => TrialResult;
}

/** How long and against what it is measured. */
export interface TrialOptions {
  readonly signal: AbortSignal;
  /** Receives sentences about what takes time or is not as it should be. */
  readonly note: (text: string) => void;
  /** Measured time; at least three windows. Default 3. */
  readonly seconds?: number;
  /** Not measured, after every stream has published a frame: Node compiles what runs often. Default 2. */
  readonly warmUpSeconds?: number;
  /** Default 1. */
  readonly windowSeconds?: number;
  /** Longest time for all windows, the discarded included. Default four times what a quiet machine takes. */
  readonly limitSeconds?: number;
  readonly interference?: InterferenceLimits;
  readonly targets?: readonly Target[];
}

/** In addition to the streams' own time limit, for a busy machine. */
const START_SLACK_MS = 20_000;
const START_POLL_MS = 50;
/** Time between the starts of two cameras: those of a site do not send in step, and starting all at once leaves a backlog. */
const CAMERA_START_MS = 100;
/** A window that was cut short by the end of all streams counts if it has this share of its length. */
const MIN_WINDOW_RATIO = 0.5;

/** Opens a runtime, runs one scenario on it, and closes it. @throws as `OpenTrial.open` and `measure`. */
export async function runTrial(setup: TrialSetup, scenario: Scenario, options: TrialOptions): Promise<TrialResult> {
  const trial = await OpenTrial.open(setup, options);
  try {
    return await trial.measure(scenario, options);
  } finally {
    await trial.close();
  }
}

/** A pipeline that is loaded, on which scenarios are run one after the other. */
export class OpenTrial {
  readonly runtime: Runtime;
  /** Null where there are none whose driver reports their use. */
  readonly gpus: GpuMeter | null;
  readonly #streams: readonly StreamConfig[];
  readonly #stages: PipelineConfig['stages'];
  readonly #restated: NonNullable<TrialSetup['restated']>;

  private constructor(runtime: Runtime, setup: TrialSetup, gpus: GpuMeter | null) {
    this.runtime = runtime;
    this.#streams = setup.pipeline.streams;
    this.#stages = setup.pipeline.stages ?? [];
    this.#restated = setup.restated ?? ((result) => result);
    this.gpus = gpus;
  }

  /** @throws CONFIG_INVALID, FFMPEG_MISSING, MODEL_*, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE */
  static async open(
    setup: TrialSetup,
    { note, signal }: Pick<TrialOptions, 'note'> & { readonly signal?: AbortSignal | undefined },
  ): Promise<OpenTrial> {
    signal?.throwIfAborted();
    const { model, batch, preview, lanes } = setup.pipeline;
    const { environment, ffmpeg, sinks = new ResultSinks([]) } = setup;
    const options = { model, batch, preview, lanes, ffmpeg, sinks, environment, onNotice: note, signal };
    const runtime = await openRuntime(options);
    try {
      await loadStages(runtime, setup.pipeline.stages ?? [], options);
    } catch (error) {
      await runtime.stop();
      throw error;
    }
    return new OpenTrial(runtime, setup, GpuMeter.find(environment.searchPath));
  }

  /**
   * Runs a scenario until it is stable, and measures.
   *
   * @throws the failure of a stream; SOURCE_*; the signal's reason.
   */
  async measure(scenario: Scenario, options: TrialOptions): Promise<TrialResult> {
    const { runtime } = this;
    const looked = scenarioStreams(this.#streams, scenario).map((stream) => lookedAt(stream, this.#stages));
    const configs = looked.map(({ config }) => config);
    const inputs = await Promise.all(
      looked.map(({ config, need }) => resolveStreamInput(config, runtime.ffmpeg, need, runtime.spec)),
    );
    options.signal.throwIfAborted();
    const streams: RuntimeStream[] = [];
    try {
      for (const [i, config] of configs.entries()) {
        if (i > 0 && scenario.kind === 'cameras') await sleep(CAMERA_START_MS, undefined, { signal: options.signal });
        streams.push(runtime.add(config, inputs[i]!));
      }
      const recorder = new RunRecorder(runtime, streams, { gpus: this.gpus });
      try {
        const result = await new TrialRun({ runtime, streams, recorder, scenario, options }).run();
        return this.#restated(result, scenario);
      } finally {
        recorder.close();
      }
    } finally {
      await Promise.all(streams.map((stream) => runtime.remove(stream.id)));
    }
  }

  async close(): Promise<void> {
    await this.gpus?.close();
    await this.runtime.stop();
  }
}

interface Kept {
  readonly window: RunWindow;
  readonly figures: WindowFigures;
}

/** One run of a scenario, from its first frame to its result. */
class TrialRun {
  readonly #runtime: Runtime;
  readonly #streams: readonly RuntimeStream[];
  readonly #recorder: RunRecorder;
  readonly #scenario: Scenario;
  readonly #options: TrialOptions;
  readonly #startedMs = monoNowMs();
  readonly #dueMs: DueTime;
  readonly #all: Kept[] = [];
  /** Windows since the batch size has settled: those before are another experiment. */
  #settled: Kept[] = [];
  #isOver = false;

  constructor({
    runtime,
    streams,
    recorder,
    scenario,
    options,
  }: {
    readonly runtime: Runtime;
    readonly streams: readonly RuntimeStream[];
    readonly recorder: RunRecorder;
    readonly scenario: Scenario;
    readonly options: TrialOptions;
  }) {
    this.#runtime = runtime;
    this.#streams = streams;
    this.#recorder = recorder;
    this.#scenario = scenario;
    this.#options = options;
    this.#dueMs =
      scenario.kind === 'cameras' ? (frame) => recorder.dueMs(frame) : ({ times }) => times.captured as number;
  }

  async run(): Promise<TrialResult> {
    const { seconds = 3, windowSeconds = 1, warmUpSeconds = 2 } = this.#options;
    const needed = Math.max(STABLE_WINDOWS, Math.ceil(seconds / windowSeconds));
    const { limitSeconds = needed * windowSeconds * 4 } = this.#options;
    const ended = Promise.all(this.#streams.map((stream) => stream.settled())).then(() => {
      this.#isOver = true;
    });
    await untilStarted(this.#streams, this.#options.signal, () => this.#isOver);
    await this.#pause(warmUpSeconds, ended);
    this.#recorder.closeWindow();
    const unsubscribe = this.#runtime.events.add(({ kind }) => {
      if (kind === 'batch-settled') this.#settled = [];
    });
    try {
      const isStable = await this.#windows(needed, windowSeconds, limitSeconds, ended);
      throwFailure(this.#streams);
      return this.#result(needed, isStable);
    } finally {
      unsubscribe();
    }
  }

  /** @returns whether the last windows were stable. */
  async #windows(
    needed: number,
    windowSeconds: number,
    limitSeconds: number,
    ended: Promise<unknown>,
  ): Promise<boolean> {
    const untilMs = monoNowMs() + limitSeconds * 1000;
    const { interference = DEFAULT_LIMITS } = this.#options;
    while (!this.#isOver && monoNowMs() < untilMs) {
      await this.#pause(windowSeconds, ended);
      const window = this.#recorder.closeWindow();
      const isShort = window.endMs - window.startMs < windowSeconds * 1000 * MIN_WINDOW_RATIO;
      if (isShort && this.#all.length > 0) break;
      const figures = windowFigures(window, this.#dueMs, this.#startedMs, interference);
      this.#all.push({ window, figures });
      this.#settled.push({ window, figures });
      const quiet = this.#quiet;
      if (quiet.length >= needed && isStable(quiet.map((kept) => kept.figures))) return true;
    }
    return false;
  }

  get #quiet(): Kept[] {
    return this.#settled.filter(({ figures }) => !figures.isDiscarded);
  }

  #result(needed: number, isStable: boolean): TrialResult {
    const { note, targets = [] } = this.#options;
    const quiet = this.#quiet;
    const settled = this.#settled.length > 0 ? this.#settled : this.#all;
    const isDisturbed = quiet.length < STABLE_WINDOWS && quiet.length < settled.length;
    // Figures of a disturbed run are better than none, and marked. One quiet window is not enough to judge by.
    const counted = (isDisturbed ? settled : quiet).slice(-needed).map(({ window }) => window);
    const figures = this.#all.map((kept) => kept.figures);
    const discarded = figures.filter(({ isDiscarded }) => isDiscarded);
    const name = scenarioName(this.#scenario);
    if (!isStable) note(`${name}: not stable after ${figures.length} windows${reasonOf(figures)}`);
    if (discarded.length > 0)
      note(`${name}: ${discarded.length} windows discarded: ${discarded.at(-1)!.discardedBecause}`);
    const ids = this.#streams.map(({ id }) => id);
    const summary = summariseWindows(counted, ids, this.#dueMs, targets);
    const { device, batch, rssBytes, childRssBytes, cores } = this.#runtime.report().host;
    return {
      scenario: name,
      streams: ids.length,
      ...summary,
      isStable,
      discardedWindows: discarded.length,
      isDisturbed,
      windows: figures,
      servers: serversOf(this.#streams, device.threads, cores),
      cores,
      rssBytes,
      childRssBytes,
      device,
      batch,
      targets: judgeTargets(targets, { ...summary, streams: ids.length, isDisturbed }),
    };
  }

  /** Waits, at most until all streams have ended. @throws the failure of a stream; the signal's reason. */
  async #pause(seconds: number, ended: Promise<unknown>): Promise<void> {
    const waiting = new AbortController();
    const timer = sleep(seconds * 1000, undefined, { signal: AbortSignal.any([this.#options.signal, waiting.signal]) });
    try {
      if (!this.#isOver) await Promise.race([timer, ended]);
      throwFailure(this.#streams);
    } finally {
      waiting.abort();
      timer.catch(() => undefined);
    }
  }
}

/** @throws the failure of a stream. */
export function throwFailure(streams: readonly RuntimeStream[]): void {
  const failure = streams.find((stream) => stream.failure !== null)?.failure;
  if (failure != null) throw failure;
}

/**
 * Waits until every stream has published a frame. Under overload some may get nothing: that is a result, so long as others have some.
 *
 * @param isOver - true if no more frames will come: then nothing is waited for. Default never.
 * @returns ids of streams without a frame after the time that they may take.
 * @throws the failure of a stream; SOURCE_STALLED if none has any; the signal's reason.
 */
export async function untilStarted(
  streams: readonly RuntimeStream[],
  signal: AbortSignal,
  isOver: () => boolean = () => false,
): Promise<readonly string[]> {
  const limitMs = Math.max(0, ...streams.map(({ config }) => config.openTimeoutMs)) + START_SLACK_MS;
  const untilMs = monoNowMs() + limitMs;
  for (;;) {
    throwFailure(streams);
    const missing = streams.filter(({ telemetry }) => telemetry.frames(0).published === 0).map(({ id }) => id);
    if (missing.length === 0 || isOver()) return [];
    if (monoNowMs() > untilMs) {
      if (missing.length < streams.length) return missing;
      throw new SightlineError('SOURCE_STALLED', `${missing[0]}: no result within ${limitMs / 1000} s`);
    }
    await sleep(START_POLL_MS, undefined, { signal });
  }
}

/** Places where a stage works at the same time. */
export function serversOf(
  streams: readonly RuntimeStream[],
  inferenceThreads: number,
  cores: number,
): TrialResult['servers'] {
  const decoders = streams.map(({ config }) => (config.decodeThreads === 0 ? cores : config.decodeThreads));
  return {
    decode: decoders.reduce((sum, threads) => sum + threads, 0),
    preprocess: Math.min(streams.length, cores),
    infer: inferenceThreads,
    main: 1,
  };
}

function reasonOf(figures: readonly WindowFigures[]): string {
  const last = figures.slice(-STABLE_WINDOWS);
  const fps = last.map((window) => window.fps.toFixed(1)).join(', ');
  const p50 = last.map(({ latencyMs }) => latencyMs.p50.toFixed(1)).join(', ');
  return `: the last ones had ${fps} frames/s and a median latency of ${p50} ms`;
}

/** Windows that must agree. */
const STABLE_WINDOWS = 3;
/** Largest over smallest, as in Triton's perf_analyzer. */
const MAX_SPREAD = 1.1;
/** Latencies that differ by less than this are equal: the system's timers are not more exact. */
const LATENCY_SLACK_MS = 0.5;

/** True if rate and median latency of the last three windows are within 10 % of each other. */
export function isStable(windows: readonly Pick<WindowFigures, 'fps' | 'latencyMs'>[]): boolean {
  const last = windows.slice(-STABLE_WINDOWS);
  if (last.length < STABLE_WINDOWS || last.some(({ latencyMs }) => latencyMs.count === 0)) return false;
  const rates = last.map(({ fps }) => fps);
  const medians = last.map(({ latencyMs }) => latencyMs.p50);
  return areClose(rates, 0) && areClose(medians, LATENCY_SLACK_MS);
}

function areClose(values: readonly number[], slack: number): boolean {
  const smallest = Math.min(...values);
  const largest = Math.max(...values);
  return largest <= smallest * MAX_SPREAD || largest - smallest <= slack;
}
