import { readdirSync } from 'node:fs';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { FfmpegBinary } from '../../frame/decode/ffmpeg-binary.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { RuntimeStream } from '../../frame/runtime/stream/runtime-stream.ts';
import { resolveStreamInput } from '../../frame/runtime/stream/stream-input.ts';
import type { GpuMeter } from '../../frame/telemetry/gpu-meter.ts';
import type { PipelineConfig } from '../../serve/pipeline/pipeline.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import { findBottlenecks } from '../measure/bottlenecks.ts';
import { latencyParts } from '../measure/breakdown.ts';
import { RunRecorder, type RunWindow } from '../measure/run-recorder.ts';
import { summariseWindows } from '../measure/summarise-windows.ts';
import { OpenTrial, serversOf, throwFailure, untilStarted } from '../measure/trial.ts';
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

/** Windows that constraints are found from. */
const KEPT_WINDOWS = 10;

/** A pipeline that runs in this process, without its own streams and sinks. */
export class RuntimeSubject implements LoadSubject {
  readonly name: string;
  readonly #trial: OpenTrial;
  readonly #templates: readonly StreamConfig[];

  private constructor(name: string, trial: OpenTrial, templates: readonly StreamConfig[]) {
    this.name = name;
    this.#trial = trial;
    this.#templates = templates;
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
    const { streams } = pipeline;
    if (streams.length === 0)
      throw new SightlineError('CONFIG_INVALID', 'streams: expected at least one stream, whose settings cameras get');
    const { ffmpeg, environment } = context;
    return new RuntimeSubject(name, await OpenTrial.open({ pipeline, environment, ffmpeg }, context), streams);
  }

  get #runtime(): Runtime {
    return this.#trial.runtime;
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

  async started(ids: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    return untilStarted(
      ids.map((id) => this.#runtime.stream(id)),
      signal,
    );
  }

  observe(ids: readonly string[]): LoadObserver {
    return new RuntimeObserver(
      this.#runtime,
      ids.map((id) => this.#runtime.stream(id)),
      this.#trial.gpus,
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
    await this.#trial.close();
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
    throwFailure(this.#streams);
    const window = this.#recorder.closeWindow();
    this.#windows.push(window);
    if (this.#windows.length > KEPT_WINDOWS) this.#windows.shift();
    return {
      seconds: (window.endMs - window.startMs) / 1000,
      streams: window.streams,
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
    const servers = serversOf(this.#streams, device.threads, cores);
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
