import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Environment } from '../config/environment.ts';
import type { StreamConfig } from '../config/stream.ts';
import type { FfmpegBinary } from '../decode/ffmpeg-binary.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { findBottlenecks } from '../measure/bottlenecks.ts';
import { latencyParts } from '../measure/breakdown.ts';
import { GpuMeter } from '../measure/gpu-meter.ts';
import { RunRecorder, type RunWindow } from '../measure/run-recorder.ts';
import { summariseWindows } from '../measure/summarise-windows.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { ResultSinks } from '../runtime/results/result-sinks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { RuntimeStream } from '../runtime/stream/runtime-stream.ts';
import { resolveStreamInput } from '../runtime/stream/stream-input.ts';
import { conservationGap } from '../telemetry/stream-telemetry.ts';
import type { Constraint } from './load-result.ts';
import {
  isFileSource,
  type LatencyBound,
  type LoadObserver,
  type LoadStream,
  type LoadSubject,
  type LoadWindow,
  type ResourceFigures,
} from './load-subject.ts';

/** In addition to the streams' own time limit, for a busy machine. */
const START_SLACK_MS = 20_000;
const POLL_MS = 50;
/** Windows that constraints are found from. */
const KEPT_WINDOWS = 10;

/** A pipeline that runs in this process, without its own streams and sinks. */
export class RuntimeSubject implements LoadSubject {
  readonly name: string;
  readonly #runtime: Runtime;
  readonly #templates: readonly StreamConfig[];
  readonly #gpus: GpuMeter | null;

  private constructor(name: string, runtime: Runtime, templates: readonly StreamConfig[], gpus: GpuMeter | null) {
    this.name = name;
    this.#runtime = runtime;
    this.#templates = templates;
    this.#gpus = gpus;
  }

  /** @throws CONFIG_INVALID, MODEL_*, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE */
  static async open(
    name: string,
    pipeline: Pick<PipelineConfig, 'model' | 'batch' | 'preview' | 'lanes' | 'streams'>,
    context: {
      readonly ffmpeg: FfmpegBinary;
      readonly environment: Environment;
      readonly note: (text: string) => void;
      /** Ends the opening. */
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<RuntimeSubject> {
    const { model, batch, preview, lanes, streams } = pipeline;
    if (streams.length === 0)
      throw new SightlineError('CONFIG_INVALID', 'streams: expected at least one stream, whose settings cameras get');
    const { ffmpeg, environment, note, signal } = context;
    const sinks = new ResultSinks([]);
    const runtime = await openRuntime({
      ...{ model, batch, preview, lanes, ffmpeg, environment, sinks, signal },
      onNotice: note,
    });
    return new RuntimeSubject(name, runtime, streams, GpuMeter.find(environment.searchPath));
  }

  get maxAgeMs(): number {
    return Math.max(...this.#templates.map(({ maxAgeMs }) => maxAgeMs));
  }

  takenFps(index: number, cameraFps: number): number {
    const { maxFps, every } = this.#templates[index % this.#templates.length]!;
    return Math.min(cameraFps / every, maxFps ?? Number.POSITIVE_INFINITY);
  }

  async add(streams: readonly LoadStream[]): Promise<void> {
    const runtime = this.#runtime;
    const configs = streams.map(({ id, source, index }): StreamConfig => {
      const template = this.#templates[index % this.#templates.length]!;
      const isFile = isFileSource(source);
      return { ...template, id, source, policy: 'live', loop: isFile, realtime: isFile };
    });
    const inputs = await Promise.all(
      configs.map((config) => resolveStreamInput(config, runtime.ffmpeg, null, runtime.spec)),
    );
    for (const [i, config] of configs.entries()) runtime.add(config, inputs[i]!);
  }

  async remove(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map((id) => this.#runtime.remove(id)));
  }

  async started(ids: readonly string[], signal: AbortSignal): Promise<void> {
    const streams = ids.map((id) => this.#runtime.stream(id));
    const limitMs = Math.max(0, ...streams.map(({ config }) => config.openTimeoutMs)) + START_SLACK_MS;
    const untilMs = performance.now() + limitMs;
    const isStarted = (stream: RuntimeStream): boolean => stream.telemetry.frames(0).published > 0;
    for (;;) {
      const failure = streams.find((stream) => stream.failure !== null)?.failure;
      if (failure != null) throw failure;
      const missing = streams.filter((stream) => !isStarted(stream));
      if (missing.length === 0) return;
      if (performance.now() > untilMs)
        throw new SightlineError('SOURCE_STALLED', `${missing[0]!.id}: no result within ${limitMs / 1000} s`);
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  observe(ids: readonly string[]): LoadObserver {
    return new RuntimeObserver(
      this.#runtime,
      ids.map((id) => this.#runtime.stream(id)),
      this.#gpus,
    );
  }

  async resources(): Promise<ResourceFigures> {
    const { rss, heapUsed } = process.memoryUsage();
    return {
      rssBytes: rss,
      childRssBytes: this.#runtime.report().host.childRssBytes,
      heapUsedBytes: heapUsed,
      descriptors: entriesOf('/proc/self/fd'),
      threads: entriesOf('/proc/self/task'),
      handles: process.getActiveResourcesInfo().length,
    };
  }

  async close(): Promise<void> {
    await this.#gpus?.close();
    await this.#runtime.stop();
  }
}

class RuntimeObserver implements LoadObserver {
  readonly #runtime: Runtime;
  readonly #streams: readonly RuntimeStream[];
  readonly #recorder: RunRecorder;
  readonly #windows: RunWindow[] = [];

  constructor(runtime: Runtime, streams: readonly RuntimeStream[], gpus: GpuMeter | null) {
    this.#runtime = runtime;
    this.#streams = streams;
    this.#recorder = new RunRecorder(runtime, streams, { gpus });
  }

  async look(): Promise<LoadWindow> {
    const failure = this.#streams.find((stream) => stream.failure !== null)?.failure;
    if (failure != null) throw failure;
    const window = this.#recorder.closeWindow();
    this.#windows.push(window);
    if (this.#windows.length > KEPT_WINDOWS) this.#windows.shift();
    return {
      seconds: (window.endMs - window.startMs) / 1000,
      streams: this.#streams.map((stream) => {
        const frames = stream.telemetry.frames(stream.ledger.inFlight);
        const { in: entered, published, dropped } = frames;
        const { id, decodeErrorCount: decodeErrors, reconnectCount: reconnects } = stream;
        const gap = conservationGap(frames);
        return { id, entered, published, dropped: { ...dropped }, decodeErrors, reconnects, gap };
      }),
      latencies: this.#latencies(window),
      failedInferences: window.sums.failedFrames,
      stagesMs: latencyParts(
        window.frames.map((frame) => ({ times: frame.times, dueMs: this.#recorder.dueMs(frame) })),
        window.sums,
      ),
      machine: window.machine,
      gpus: window.gpus,
    };
  }

  #latencies({ frames }: RunWindow): Map<string, LatencyBound[]> {
    const byStream = new Map<string, LatencyBound[]>(this.#streams.map(({ id }) => [id, []]));
    for (const frame of frames) {
      const ms = frame.times.published - this.#recorder.dueMs(frame);
      byStream.get(frame.streamId)?.push({ mostMs: ms, leastMs: ms });
    }
    return byStream;
  }

  constraints(): Constraint[] {
    const ids = this.#streams.map(({ id }) => id);
    if (this.#windows.every(({ frames }) => frames.length === 0)) return [];
    const summary = summariseWindows(this.#windows, ids, (frame) => this.#recorder.dueMs(frame));
    const { device, cores } = this.#runtime.report().host;
    const decoders = this.#streams.map(({ config }) => (config.decodeThreads === 0 ? cores : config.decodeThreads));
    const servers = {
      decode: decoders.reduce((sum, threads) => sum + threads, 0),
      preprocess: Math.min(this.#streams.length, cores),
      infer: device.threads,
      main: 1,
    };
    const context = {
      hasOwnDevice: device.provider !== 'cpu',
      inferSlowdown: null,
      isResizedBySharp: this.#runtime.spec.resizeBy === 'sharp',
    };
    return findBottlenecks({ scenario: 'cameras', cores, servers, ...summary }, context);
  }

  close(): void {
    this.#recorder.close();
  }
}

function entriesOf(folder: string): number | null {
  try {
    return readdirSync(folder).length;
  } catch {
    return null;
  }
}
