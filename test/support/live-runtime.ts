import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { openRuntime } from '../../src/frame/runtime/open-runtime.ts';
import type { Runtime } from '../../src/frame/runtime/runtime.ts';
import type { RuntimeStream } from '../../src/frame/runtime/stream/runtime-stream.ts';
import { resolveStreamInput } from '../../src/frame/runtime/stream/stream-input.ts';
import { conservationGap } from '../../src/frame/telemetry/stream-telemetry.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { Environment } from '../../src/settings/config/environment.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import type { StreamReport, StreamState } from '../../src/wire/protocol/report.ts';
import { testFfmpeg } from './made-videos.ts';
import { type WaitOptions, waitFor, within } from './wait-for.ts';

export interface LiveSettings {
  readonly callMs?: number;
  readonly frameMs?: number;
  readonly threads?: number;
  readonly lanes?: number;
  readonly timeoutMs?: number;
  readonly maxBatch?: number;
  readonly ffmpegPath?: string;
  /** Model section, instead of the fake engine. */
  readonly model?: Readonly<Record<string, unknown>>;
  /** Locations of its weights. */
  readonly places?: Pick<Environment, 'modelPath' | 'cacheDir' | 'openvinoDir'>;
}

/** Record of a stream's published frames. */
export interface PublishedLog {
  readonly frames: number[];
  lastMs: number;
  /** Longest time between two results since it was last set to 0. */
  longestSilenceMs: number;
  /** Oldest result since it was last set to 0, captured to published. */
  oldestMs: number;
}

/** A `Runtime` with real threads and a fake engine; records and checks all its events, results and reports. */
export class LiveRuntime {
  readonly runtime: Runtime;
  readonly events: EventMessage[] = [];
  readonly #published = new Map<string, PublishedLog>();
  /** Violations of frame conservation, as sentences. */
  readonly breaches: string[] = [];
  /** Streams whose final state has not been checked. */
  readonly #streams = new Set<RuntimeStream>();
  reportCount = 0;

  private constructor(runtime: Runtime) {
    this.runtime = runtime;
    runtime.events.add((event) => {
      this.events.push(event);
      if (event.kind !== 'stream-removed') return;
      for (const stream of this.#streams) if (stream.state === 'removed') this.#checkEnd(stream);
    });
    runtime.published.add((frame) => this.#onPublished(frame));
    runtime.reports.add(({ streams }) => {
      this.reportCount += 1;
      for (const { id, frames } of streams) this.#check(id, conservationGap(frames), 'in a report');
    });
  }

  static async open(settings: LiveSettings = {}): Promise<LiveRuntime> {
    const { callMs = 0, frameMs = 2, threads = 1, lanes = 1, timeoutMs = 10_000, maxBatch = 4 } = settings;
    const { ffmpegPath = testFfmpeg.path, model, places } = settings;
    const config = parsePipeline(
      JSON.stringify({
        name: 'faults',
        description: 'Real processes and threads under faults.',
        // A small input: the whole picture fits into ffmpeg's pipe, the hardest case at the end of a stream.
        model: model ?? { engine: 'fake', inputSize: '160x96', threads, timeoutMs, fake: { callMs, frameMs } },
        batch: { maxBatch },
        lanes,
      }),
      'test',
    );
    const environment = {
      ffmpegPath,
      searchPath: '',
      modelPath: [],
      cacheDir: join(tmpdir(), 'sightline-no-cache'),
      token: undefined,
      ...places,
    };
    const sinks = new ResultSinks([]);
    return new LiveRuntime(await openRuntime({ ...config, sinks, environment, onNotice: () => undefined }));
  }

  /** @param settings - of the stream, as in a pipeline file. */
  async add(settings: Readonly<Record<string, unknown>>): Promise<RuntimeStream> {
    const config = parseStream(settings, {});
    const stream = this.runtime.add(config, await resolveStreamInput(config, testFfmpeg, null, this.runtime.spec));
    this.#streams.add(stream);
    return stream;
  }

  async addAll(streams: readonly Readonly<Record<string, unknown>>[]): Promise<RuntimeStream[]> {
    return Promise.all(streams.map((stream) => this.add(stream)));
  }

  published(id: string): PublishedLog {
    let log = this.#published.get(id);
    if (log === undefined) {
      log = { frames: [], lastMs: 0, longestSilenceMs: 0, oldestMs: 0 };
      this.#published.set(id, log);
    }
    return log;
  }

  report(id: string): StreamReport {
    return this.runtime.stream(id).report(performance.timeOrigin + performance.now(), 0);
  }

  /** Waits until a stream has published `count` more frames than now. */
  async flows(id: string, count = 5, options: WaitOptions = {}): Promise<number> {
    const { frames } = this.published(id);
    const until = frames.length + count;
    return waitFor(
      `${count} more frames of ${id}`,
      () => frames.length >= until,
      options,
      () => this.#story(id),
    );
  }

  async allFlow(ids: readonly string[], count = 5): Promise<void> {
    await Promise.all(ids.map((id) => this.flows(id, count)));
  }

  async reaches(stream: RuntimeStream, state: StreamState, options: WaitOptions = {}): Promise<number> {
    const isThere = (): boolean => stream.state === state;
    return waitFor(`${stream.id} to be ${state}`, isThere, options, () => this.#story(stream.id));
  }

  /** States of a stream in order, from its events. */
  states(id: string): string[] {
    return this.#stateEvents(id).map((event) => String(event.details?.to));
  }

  /** Error codes of its state events; events without one are skipped. */
  codes(id: string): string[] {
    return this.#stateEvents(id).flatMap((event) => (event.details?.code == null ? [] : [String(event.details.code)]));
  }

  /** Starts to watch streams that a fault elsewhere must not affect; the returned check reports how they are. */
  watch(ids: readonly string[]): () => Promise<string[]> {
    const before = new Map(ids.map((id) => [id, this.report(id)]));
    for (const id of ids) this.published(id).longestSilenceMs = 0;
    return async () => {
      await this.allFlow(ids, 5);
      return ids.flatMap((id) => {
        const { state, reconnects } = this.report(id);
        const silenceMs = this.published(id).longestSilenceMs;
        const complaints: string[] = [];
        if (state !== 'running') complaints.push(`${id} is ${state}`);
        if (reconnects !== before.get(id)!.reconnects) complaints.push(`${id} reconnected ${reconnects} times`);
        if (silenceMs > 2_000) complaints.push(`${id} was silent for ${Math.round(silenceMs)} ms`);
        return complaints;
      });
    };
  }

  /** Stops everything. @returns what is wrong afterwards, as sentences; empty if all is well. */
  async close(): Promise<string[]> {
    await within('stop()', 20_000, this.runtime.stop());
    for (const stream of this.#streams) this.#checkEnd(stream);
    const complaints = [...this.breaches];
    for (const { details, message } of this.events) if (details?.code === 'FRAME_LEAKED') complaints.push(message);
    if (this.runtime.childPids.length > 0) complaints.push(`children left: ${this.runtime.childPids.join(', ')}`);
    return complaints;
  }

  #onPublished(frame: PublishedFrame): void {
    const log = this.published(frame.streamId);
    const { published, captured } = frame.times;
    if (log.lastMs > 0) log.longestSilenceMs = Math.max(log.longestSilenceMs, published - log.lastMs);
    log.lastMs = published;
    log.oldestMs = Math.max(log.oldestMs, published - captured);
    log.frames.push(frame.frame);
    const stream = this.runtime.stream(frame.streamId);
    const gap = conservationGap(stream.telemetry.frames(stream.ledger.inFlight));
    this.#check(frame.streamId, gap, `when frame ${frame.frame} was published`);
  }

  #check(id: string, gap: number, when: string): void {
    if (gap !== 0 && this.breaches.length < 10) this.breaches.push(`${id}: frame counts are off by ${gap} ${when}`);
  }

  /** Checks that a stream that ended has counted every frame and holds no slot. Then forgets the stream. */
  #checkEnd(stream: RuntimeStream): void {
    this.#streams.delete(stream);
    const frames = stream.telemetry.frames(stream.ledger.inFlight);
    this.#check(stream.id, conservationGap(frames), 'at the end');
    if (frames.inFlight !== 0) this.breaches.push(`${stream.id}: ${frames.inFlight} frames in flight at the end`);
    if (stream.state !== 'removed') this.breaches.push(`${stream.id}: ${stream.state} at the end`);
  }

  #stateEvents(id: string): EventMessage[] {
    return this.events.filter((event) => event.kind === 'stream-state' && event.stream === id);
  }

  #story(id: string): string {
    const recent = this.events.filter((event) => event.stream === id || event.stream === undefined).slice(-8);
    return `Published ${this.published(id).frames.length}. Last events: ${recent.map(({ message }) => message).join(' | ')}`;
  }
}
