import { Writable } from 'node:stream';
import { z } from 'zod';
import { FrameTally } from './after/history/frame-tally.ts';
import type { History } from './after/history/history.ts';
import { type CustomSink, DEFAULT_CAPACITY, ObjectSink } from './after/sinks/object-sink.ts';
import { type QueuePolicy, ResultQueue } from './after/sinks/result-queue.ts';
import { filterConfig } from './after/sinks/sink-settings.ts';
import type { PublishedFrame } from './base/core/frame.ts';
import { ID_PATTERN } from './base/core/ids.ts';
import type { Picture } from './base/core/picture.ts';
import { SightlineError } from './base/errors/sightline-error.ts';
import { Incidents } from './base/flow/incidents.ts';
import { unlessAborted } from './base/flow/unless-aborted.ts';
import { Admission } from './fleet/control/orders/admission.ts';
import { defaultLanes } from './frame/runtime/open-runtime.ts';
import type { RuntimeReport } from './frame/runtime/runtime-options.ts';
import type { RuntimeStream } from './frame/runtime/stream/runtime-stream.ts';
import type { FakeDetect } from './frame/runtime/stream/stream-port.ts';
import { type Gateway, silentLogger } from './serve/gateway/gateway-options.ts';
import { type DetectOptions, detectOptionsOf, signalOption } from './serve/host/call-options.ts';
import { EngineStreams, type OwnSources } from './serve/host/engine-streams.ts';
import { type ListenAddress, openGateway, openHistory } from './serve/host/open-gateway.ts';
import { isPictureStream, PictureDetector, type PictureResult } from './serve/host/picture-detector.ts';
import { PipelineHost } from './serve/host/pipeline-host.ts';
import { isStreamState } from './serve/host/pushed-stream.ts';
import { RequestDetector } from './serve/host/request-detector.ts';
import { tracingOf } from './serve/host/tracing-of.ts';
import { checkPipeline, loadPipeline } from './serve/pipeline/load-pipeline.ts';
import type { PipelineConfig } from './serve/pipeline/pipeline.ts';
import { check } from './settings/config/check.ts';
import { type Environment, readEnvironment } from './settings/config/environment.ts';
import type { ModelSettings, PipelineSettings } from './settings/config/keys/pipeline-keys.ts';
import type { SinkSettings } from './settings/config/keys/sink-keys.ts';
import type { StreamSettings } from './settings/config/keys/stream-keys.ts';
import { whole } from './settings/config/number.ts';
import { addressesOf } from './settings/config/stream.ts';
import type { EventMessage } from './wire/protocol/feed.ts';
import type { ResultRecord } from './wire/protocol/result-record.ts';

/** What an engine runs. Settings have the names and defaults of a pipeline file, see docs/config.md; all are optional. */
export interface SightlineOptions extends Partial<Omit<PipelineSettings, 'model' | 'streams' | 'sinks'>> {
  /** Name of a detector, path of a manifest or of an ONNX file, or all settings of the model; default `centernet`. */
  readonly model?: string | ModelSettings;
  /** Streams that are opened at once. */
  readonly streams?: readonly StreamSettings[];
  /** Where results go besides `results()`: sinks of a pipeline file, or objects of the program. */
  readonly sinks?: readonly (SinkSettings | CustomSink)[];
  /** Path of a pipeline file, instead of all other settings but `sinks` with objects. */
  readonly pipeline?: string;
  /**
   * Environment variables as the command line reads them, for instance `process.env`: FFMPEG_PATH, PATH, SIGHTLINE_CACHE_DIR and
   * so on. The library itself reads none.
   */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Path of ffmpeg; default: the one in `env.PATH` or the usual folders. */
  readonly ffmpegPath?: string;
  /** Folder of compiled models and other files that can be made again; default `~/.cache/sightline`. */
  readonly cacheDir?: string;
  /** Folders with manifests and weights of the user. */
  readonly modelPath?: readonly string[];
  /** For tests, with the engine `fake`: the boxes of each frame. */
  readonly detect?: FakeDetect;
  /** Stops the opening; the engine that is half open is closed soon after. */
  readonly signal?: AbortSignal;
  /** Receives sentences about what the engine chose or did not find. */
  readonly onNotice?: (text: string) => void;
}

/** Which results a reader gets, and what happens while it is slow. */
export interface ResultsOptions {
  /** Only these streams; all if absent. */
  readonly streams?: readonly string[];
  /** What happens while the reader is slow; default `block`. */
  readonly queue?: QueuePolicy;
  /** Most results that wait for the reader, 1 to 1,000,000; default 256. */
  readonly capacity?: number;
  /** Ends the iteration with its reason. */
  readonly signal?: AbortSignal;
}

/** Where the gateway listens, and who may use it. */
export interface ServeOptions {
  /** 0 takes any free port; default 8080. */
  readonly port?: number;
  /** Default 127.0.0.1. Other addresses need a token. */
  readonly host?: string;
  /** Token with the role admin, at least 16 characters. */
  readonly token?: string;
}

/** What happens to an engine, for `Sightline.on`. */
export interface SightlineEvents {
  /** Something that an operator should know: a stream changed its state, a target was missed, a sink failed. */
  event: EventMessage;
  /** The figures of all streams and of the host, once a second. */
  stats: RuntimeReport;
}

export type { PictureResult } from './serve/host/picture-detector.ts';

const UNSERVED_MS = 3_600_000;

const queueOptions = {
  streams: z.array(z.string()).optional(),
  queue: z.enum(['block', 'latest']).optional(),
  capacity: z.number().int().min(1).max(1_000_000).optional(),
};
const resultsOptions = z.strictObject({ ...queueOptions, ...signalOption });
const text = z.string().min(1).optional();
const openOptions = z.looseObject({
  ...signalOption,
  ffmpegPath: text,
  cacheDir: text,
  pipeline: text,
  name: text,
  lanes: z.number().optional(),
  model: z.union([z.string(), z.looseObject({})]).optional(),
  streams: z.array(z.looseObject({})).optional(),
  sinks: z.array(z.looseObject({})).optional(),
  modelPath: z.array(z.string()).optional(),
  detect: z.custom((value) => typeof value === 'function', 'expected a function').optional(),
  env: z.custom(isEnvironment, 'expected an object of texts, as the environment of a process is').optional(),
  onNotice: z.custom((value) => typeof value === 'function', 'expected a function').optional(),
});
const serveOptions = z.strictObject({
  port: whole(0, 65_535).optional(),
  host: z.string().min(1).optional(),
  token: z.string().min(16).optional(),
});
const customSink = z.looseObject({
  ...queueOptions,
  // Readers of results have names of their own.
  id: z
    .string()
    .regex(ID_PATTERN)
    .regex(/^(?!results-)/, 'expected another name than results-N'),
  filter: filterConfig.optional(),
});

function isEnvironment(value: unknown): boolean {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject && Object.values(value).every((one) => one === undefined || typeof one === 'string');
}

/** Where programs are looked for if `env` does not say. */
const USUAL_FOLDERS = '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin';

/**
 * The engine in a program: streams, single pictures, sinks, dashboard. Nothing starts before `open`, nothing is left after
 * `close`, and several can run in one process.
 */
export class Sightline implements AsyncDisposable {
  /** The streams of this engine. */
  readonly streams: EngineStreams;
  readonly #host: PipelineHost;
  readonly #config: PipelineConfig;
  readonly #environment: Environment;
  readonly #incidents: Incidents;
  readonly #onNotice: (text: string) => void;
  readonly #detector: PictureDetector;
  readonly #queues = new Set<ResultQueue>();
  readonly #gateways = new Set<Promise<Gateway>>();
  /** Keeps the events of rules; opened with the first gateway, it ends with the engine. */
  #history: History | null = null;
  /** A gateway has it, or is being opened with it: what that reports is in it. Another one at the same time has a history of its own. */
  #isHistoryUsed = false;
  #readers = 0;
  /** Takes the results from before the first call of `results()`; null once it was called, or if others read them. */
  #early: ResultQueue | null = null;
  /** What was counted while there was no history. */
  readonly #counted = new FrameTally();
  /** Ends the counting, or the observing by the history. */
  #stopCounting = (): void => undefined;
  #closing: Promise<void> | null = null;

  private constructor({
    host,
    config,
    environment,
    incidents,
    ownSources,
    onNotice,
  }: {
    readonly host: PipelineHost;
    readonly config: PipelineConfig;
    readonly environment: Environment;
    readonly incidents: Incidents;
    readonly ownSources: OwnSources;
    readonly onNotice: (text: string) => void;
  }) {
    this.#onNotice = onNotice;
    this.#host = host;
    this.#config = config;
    this.#environment = environment;
    this.#incidents = incidents;
    this.#detector = new PictureDetector(host.runtime, host.streams, { most: config.lanes ?? defaultLanes() });
    this.streams = new EngineStreams(host, config, ownSources, () => this.#requireOpen());
  }

  /**
   * Loads the model and opens the streams. Without a sink, files wait for the first call of `results()`, so none of their results
   * is lost.
   *
   * @throws CONFIG_INVALID, CONFIG_NOT_FOUND, FFMPEG_MISSING, MODEL_*, COMPILE_UNSUPPORTED, ENGINE_UNAVAILABLE, SINK_BUSY, and
   *   SOURCE_* if none of the streams can be opened; the reason of the signal.
   */
  static async open(options: SightlineOptions = {}): Promise<Sightline> {
    check(openOptions, options, 'options');
    return unlessAborted(Sightline.#open(options), options.signal, (engine) => engine.close());
  }

  static async #open(options: SightlineOptions): Promise<Sightline> {
    const { onNotice = () => undefined } = options;
    const config = configOf(options);
    if (options.detect !== undefined && config.model.engine !== 'fake')
      throw new SightlineError('CONFIG_INVALID', 'options: detect: needs model: { engine: "fake" }');
    const environment = environmentOf(options);
    const admission = new Admission({ ...config.fleet, placeholders: config.placeholders });
    // What the program names itself is bound by no rule for requests from elsewhere.
    const ownSources: OwnSources = new Map(config.streams.map((stream) => [stream.id, new Set(addressesOf(stream))]));
    const incidents = new Incidents(onNotice);
    const tracing = await tracingOf(config, onNotice);
    const host = await PipelineHost.open(config, {
      environment,
      stdout: new Writable({ write: (_chunk, _encoding, done) => done() }),
      onNotice,
      admit: (source) => admission.source(source),
      ownSources: (stream) => ownSources.get(stream),
      incidents,
      signal: options.signal,
      fakeDetect: options.detect,
      tracing,
    });
    const engine = new Sightline({ host, config, environment, incidents, ownSources, onNotice });
    engine.#count();
    try {
      const sinks = options.sinks ?? [];
      for (const sink of customSinks(sinks)) engine.#addSink(sink);
      // Those that the program adds or feeds later are in its own hands.
      engine.#early = engine.#openQueue('results-early', { streams: config.streams.map(({ id }) => id), pauseAt: 1 });
      // Results that a sink takes are not held back; a reader that follows at once still gets all of them.
      if (config.sinks.length + sinks.length > 0) setImmediate(() => engine.#forgetEarly());
      await host.start();
      for (const [id, { message }] of host.startErrors) onNotice(`stream ${id} could not be started: ${message}`);
    } catch (error) {
      await engine.close().catch(() => undefined);
      throw error;
    }
    return engine;
  }

  /**
   * The results of all streams, or of some, as they are published. Ends when the engine closes, or when each of the streams
   * was a file that has ended, could not be started, or was removed. Several readers get all results each. Leaving the loop
   * stops the reading.
   *
   * @throws CONFIG_INVALID for wrong options. While iterating: why a file failed, after the results of the others; the reason of the
   *   signal.
   */
  results(options: ResultsOptions = {}): AsyncIterableIterator<ResultRecord, undefined> {
    const { signal, streams } = check(resultsOptions, options, 'results');
    const stop = (): void => {
      void queue.fail(signal?.reason);
      this.#forget(queue);
    };
    this.#readers += 1;
    const end = (): void => signal?.removeEventListener('abort', stop);
    const queue = this.#openQueue(`results-${this.#readers}`, options, end);
    if (this.#closing !== null) {
      void queue.close();
      return queue;
    }
    if (this.#early !== null) queue.takeOver(this.#early, streams);
    this.#early = null;
    this.#endWithStreams(queue, streams);
    if (signal?.aborted === true) stop();
    else signal?.addEventListener('abort', stop, { once: true });
    return queue;
  }

  /**
   * Detects objects in one picture. Call it for many at a time: they are read and fitted on other threads and share batches with
   * each other and with the frames of the streams.
   *
   * @param picture - path of an image file, the bytes of one, or pixels; must not change until the promise settles.
   * @throws SOURCE_UNREADABLE, SOURCE_TOO_LARGE, CONFIG_INVALID, LIMIT_REACHED if 1024 pictures wait, ENGINE_FAILED; the reason
   *   of the signal.
   */
  async detect(picture: Picture, options: DetectOptions = {}): Promise<PictureResult> {
    this.#requireOpen();
    const { signal, parent } = detectOptionsOf(options);
    return this.#detector.detect(picture, signal, parent).catch((error: unknown) => {
      if (isStreamState(error)) this.#requireOpen();
      throw error;
    });
  }

  /** @returns a function that removes the listener. What a listener throws is caught and becomes a notice. */
  on<K extends keyof SightlineEvents>(name: K, listener: (value: SightlineEvents[K]) => void): () => void {
    const { events, reports } = this.#host.runtime;
    switch (name) {
      case 'event':
        return events.add(listener as (value: EventMessage) => void);
      case 'stats':
        return reports.add(listener as (value: RuntimeReport) => void);
    }
    throw new SightlineError('CONFIG_INVALID', `on: expected event or stats, received ${JSON.stringify(name)}`);
  }

  /** Returns the newest figures: rates and latencies of each stream, drops by reason, device, sinks. */
  stats(): RuntimeReport {
    return this.#host.report();
  }

  /**
   * Serves dashboard, WebSocket feed, REST and metrics. Readers on the network do not hold files back: call `results()` before if
   * you want all results of files.
   *
   * @throws PORT_IN_USE, TOKEN_REQUIRED, CONFIG_INVALID, STREAM_STATE once the engine closes
   */
  async serve(options: ServeOptions = {}): Promise<Gateway> {
    this.#requireOpen();
    const { port, host, token } = check(serveOptions, options, 'serve');
    this.#forgetEarly();
    const address = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
    const environment = { ...this.#environment, token: token ?? this.#environment.token };
    const opening = this.#openGateway(address, environment);
    this.#gateways.add(opening);
    const gateway = await opening.catch((error: unknown) => {
      this.#gateways.delete(opening);
      throw error;
    });
    // The engine closes what it finds: this one too, if it was opened meanwhile.
    this.#requireOpen();
    return gateway;
  }

  /** Counts results for a history that is opened later; of more than an hour, the newest. */
  #count(): void {
    const remove = this.#onResult((frame) => this.#counted.observe(frame, Date.now()));
    const forgetting = setInterval(() => this.#counted.take(Date.now()), UNSERVED_MS).unref();
    this.#stopCounting = () => {
      remove();
      clearInterval(forgetting);
    };
  }

  /** Calls a listener with each result of a stream. */
  #onResult(listener: (frame: PublishedFrame) => void): () => void {
    return this.#host.onPublished((frame) => {
      if (!isPictureStream(frame.streamId)) listener(frame);
    });
  }

  /** Opens a gateway. The first one brings the history of the engine, from its opening on; one after that has the same. */
  async #openGateway(address: ListenAddress, environment: Environment): Promise<Gateway> {
    if (this.#isHistoryUsed) return this.#openBeside(address, environment);
    this.#isHistoryUsed = true;
    const release = (): void => {
      this.#isHistoryUsed = false;
    };
    const known = this.#history;
    const history = known ?? (await openHistory(this.#config, address, environment, this.#onNotice));
    const gateway = await this.#openWith(history, address, environment, release).catch(async (error: unknown) => {
      release();
      // The next attempt may name another port, and so another file.
      if (known === null) await history.close();
      throw error;
    });
    if (known !== null) return gateway;
    this.#history = history;
    history.adopt(this.#counted);
    this.#stopCounting();
    this.#stopCounting = this.#onResult((frame) => history.observe(frame));
    await this.#host.keepEvents(history);
    return gateway;
  }

  /** Opens a gateway with a history that ends with it, and that has the events of rules as others report them. */
  async #openBeside(address: ListenAddress, environment: Environment): Promise<Gateway> {
    const history = await openHistory(this.#config, address, environment, this.#onNotice);
    const stop = this.#onResult((frame) => history.observe(frame));
    const close = async (): Promise<void> => {
      stop();
      await history.close();
    };
    return this.#openWith(history, address, environment, close).catch(async (error: unknown) => {
      await close();
      throw error;
    });
  }

  /** @param onClosed - called when the gateway was closed. */
  async #openWith(
    history: History,
    address: ListenAddress,
    environment: Environment,
    onClosed: () => Promise<void> | void,
  ): Promise<Gateway> {
    const requests = new RequestDetector(this.#host, this.#config, null);
    const { tracing, recorder } = this.#host;
    const parts = { log: silentLogger, history, incidents: this.#incidents, requests, recorder, tracing };
    const request = { config: this.#config, address, ...parts };
    const gateway = await openGateway(this.#host, request, { environment });
    const close = async (): Promise<void> => {
      await gateway.close();
      await requests.close();
      await onClosed();
    };
    return { url: gateway.url, port: gateway.port, close };
  }

  /**
   * Stops all streams, writes everything out and ends all threads and processes. Later calls return the same promise.
   *
   * @throws SINK_FAILED if results were lost; everything is closed nevertheless.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#forgetEarly();
    await Promise.all([...this.#gateways].map(async (opening) => (await opening.catch(() => null))?.close()));
    const failures = await this.#host.stop();
    this.#stopCounting();
    // Events that end with the engine are kept.
    await this.#history?.close();
    for (const queue of this.#queues) await queue.close();
    if (failures.length === 1) throw failures[0]!;
    if (failures.length > 1) {
      const messages = failures.map(({ message }) => message).join('; ');
      throw new SightlineError('SINK_FAILED', messages, {}, { cause: new AggregateError(failures) });
    }
  }

  /** @throws STREAM_STATE once the engine closes. */
  #requireOpen(): void {
    if (this.#closing !== null) throw new SightlineError('STREAM_STATE', 'the engine was closed');
  }

  #addSink(sink: CustomSink): void {
    const report = ({ message, code, details }: SightlineError): void =>
      this.#host.runtime.emitEvent('sink-failed', undefined, message, { ...details, code });
    this.#host.addSink({
      sink: new ObjectSink(sink, report),
      streams: sink.streams === undefined ? null : new Set(sink.streams),
      filter: sink.filter === undefined ? undefined : filterConfig.parse(sink.filter),
    });
  }

  #openQueue(
    id: string,
    {
      queue: policy = 'block',
      capacity = DEFAULT_CAPACITY,
      streams,
      pauseAt = capacity,
    }: ResultsOptions & { readonly pauseAt?: number },
    onEnd = (): void => undefined,
  ): ResultQueue {
    const queue: ResultQueue = new ResultQueue({
      id,
      policy,
      capacity,
      pauseAt,
      onEnd: () => {
        onEnd();
        this.#forget(queue);
      },
    });
    this.#queues.add(queue);
    this.#host.addSink({ sink: queue, streams: streams === undefined ? null : new Set(streams) });
    return queue;
  }

  /** It is no destination of results any more; those that wait in it can still be read. */
  #forget(queue: ResultQueue): void {
    this.#host.removeSink(queue);
    this.#queues.delete(queue);
  }

  #forgetEarly(): void {
    void this.#early?.return();
    this.#early = null;
  }

  /** Closes the queue when nothing more can come. */
  #endWithStreams(queue: ResultQueue, ids: readonly string[] | undefined): void {
    const { runtime } = this.#host;
    const isSelected = (id: string): boolean => !isPictureStream(id) && (ids === undefined || ids.includes(id));
    let wasThere = false;
    const look = (): void => {
      const streams = runtime.streams.filter(({ id }) => isSelected(id));
      const startErrors = [...this.#host.startErrors].flatMap(([id, error]) => (isSelected(id) ? [error] : []));
      wasThere ||= streams.length + startErrors.length > 0;
      if (!wasThere || !streams.every(hasEnded)) return;
      stop();
      const failure = [...startErrors, ...streams.map((stream) => stream.failure)].find((error) => error !== null);
      void (failure === undefined ? queue.close() : queue.fail(failure));
    };
    const stop = runtime.events.add(({ kind }) => {
      if (kind === 'stream-state' || kind === 'stream-removed') look();
    });
    look();
  }
}

function hasEnded({ state, input }: RuntimeStream): boolean {
  return input.policy === 'file' && (state === 'ended' || state === 'failed');
}

/** @throws CONFIG_INVALID for an id that is none, or is there twice, and for a wrong filter. */
function customSinks(sinks: readonly (SinkSettings | CustomSink)[]): CustomSink[] {
  const own = sinks.filter(isCustom);
  for (const [i, sink] of own.entries()) {
    const where = `sinks: ${JSON.stringify(sink.id)}`;
    check(customSink, sink, where);
    if (own.slice(0, i).some(({ id }) => id === sink.id))
      throw new SightlineError('CONFIG_INVALID', `${where}: expected an id that no other sink has`);
  }
  return own;
}

function isCustom(sink: SinkSettings | CustomSink): sink is CustomSink {
  return typeof sink === 'object' && sink !== null && 'publish' in sink && typeof sink.publish === 'function';
}

/** @throws CONFIG_INVALID, CONFIG_NOT_FOUND */
function configOf(options: SightlineOptions): PipelineConfig {
  const {
    env: _e,
    ffmpegPath: _f,
    cacheDir: _c,
    modelPath: _m,
    signal: _s,
    onNotice: _n,
    detect: _d,
    ...given
  } = options;
  const { pipeline, model, sinks = [], ...settings } = given;
  const named = sinks.filter((sink) => !isCustom(sink));
  if (pipeline !== undefined) {
    const others = Object.keys({ ...settings, ...(model === undefined ? {} : { model }), ...(named[0] && { sinks }) });
    if (others.length > 0)
      throw new SightlineError(
        'CONFIG_INVALID',
        `options: expected either pipeline or other settings, received pipeline and ${others.join(', ')}`,
      );
    return loadPipeline(pipeline, options.env ?? {});
  }
  const raw = { name: 'library', description: 'An engine in a program.', ...settings, sinks: named };
  return checkPipeline(
    { ...raw, ...(model === undefined ? {} : { model: modelOf(model) }) },
    'options',
    options.env ?? {},
  );
}

function modelOf(model: string | ModelSettings): ModelSettings {
  return typeof model === 'string' ? { name: model } : model;
}

function environmentOf({ env, ffmpegPath, cacheDir, modelPath }: SightlineOptions): Environment {
  const read = readEnvironment(env ?? {});
  return {
    ...read,
    searchPath: env?.PATH ?? USUAL_FOLDERS,
    ffmpegPath: ffmpegPath ?? read.ffmpegPath,
    cacheDir: cacheDir ?? read.cacheDir,
    modelPath: modelPath ?? read.modelPath,
    // Tokens of the command line are for its gateways.
    ...(env === undefined ? { defaultTokensFile: undefined } : {}),
  };
}
