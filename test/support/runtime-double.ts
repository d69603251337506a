import type { Detection } from '../../src/base/core/detection.ts';
import type { PreviewPicture, PublishedFrame } from '../../src/base/core/frame.ts';
import type { MonoMs, PtsUs } from '../../src/base/core/units.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import type {
  ChangeOptions,
  Readiness,
  RuntimePort,
  TagCheck,
  TaggedSettings,
} from '../../src/wire/protocol/ports/runtime-port.ts';
import type { HostReport, StreamReport, StreamState } from '../../src/wire/protocol/report.ts';
import type { PipelineReport, StreamsReply } from '../../src/wire/protocol/rest.ts';
import type { SourceTest } from '../../src/wire/protocol/source-test.ts';
import type { RuleTrialReply } from '../../src/wire/protocol/tried-rules.ts';
import { hostReport, streamReport } from './sample-reports.ts';

type Listener<T> = (value: T) => void;

/**
 * A runtime without pixels, driven by the test through `tick`, `publish`, `preview` and `emitEvent`. Operator actions
 * take effect at once and are recorded in `calls`.
 */
export class RuntimeDouble implements RuntimePort {
  readonly calls: string[] = [];
  watched: ReadonlySet<string> = new Set();
  ready: Readiness = { isReady: true, reason: 'the engine is loaded' };
  timeMs = 1_700_000_000_000;
  host: HostReport = hostReport();
  /** Modifies every report before it is sent: a fleet adds hosts. */
  decorate: (report: StreamsReply) => StreamsReply = (report) => report;
  readonly #streams = new Map<string, StreamReport>();
  readonly #reports = new Set<Listener<StreamsReply>>();
  readonly #frames = new Set<Listener<PublishedFrame>>();
  readonly #events = new Set<Listener<EventMessage>>();
  readonly #pictures = new Set<Listener<PreviewPicture>>();

  constructor(ids: readonly string[] = []) {
    for (const id of ids) this.put(streamReport(id));
  }

  /** Adds or replaces the report of a stream. */
  put(report: StreamReport): void {
    this.#streams.set(report.id, report);
  }

  get listenerCount(): number {
    return this.#reports.size + this.#frames.size + this.#events.size + this.#pictures.size;
  }

  report(): StreamsReply {
    return this.decorate({ timeMs: this.timeMs, streams: [...this.#streams.values()], host: this.host });
  }

  readiness(): { isReady: boolean; reason: string } {
    return this.ready;
  }

  /** Settings beyond the defaults, by stream. */
  readonly settings = new Map<string, Record<string, unknown>>();
  /** Which rules people are told of, as a pipeline file has it. */
  alerts: object[] = [];
  /** Why changes are not kept. */
  unkept: string | null = null;

  streamSettings(id: string): TaggedSettings {
    const { source } = this.#get(id);
    const own = this.settings.get(id) ?? {};
    return { settings: parseStream({ id, source, ...own }, {}), tag: this.#tag(id) };
  }

  pipeline(): PipelineReport {
    const streams = [...this.#streams.keys()].map((id) => this.streamSettings(id).settings);
    const sinks = [{ type: 'webhook', url: 'https://bob:hunter2@hooks.example/a', secret: 'a-secret-of-a-webhook' }];
    const file = { name: 'double', streams, sinks };
    const overlay = { path: '/var/overlay.json', streams: {}, notes: [], problem: this.unkept };
    return {
      name: 'double',
      path: '/etc/double.yaml',
      file,
      overlay,
      keepingProblem: this.unkept,
      effective: { ...file, alerts: this.alerts },
      paused: [],
      needsRestart: [],
    };
  }

  keepingProblem(): string | null {
    return this.unkept;
  }

  async resetStreams(ids: readonly string[] | null): Promise<void> {
    this.calls.push(`reset ${ids === null ? 'all' : ids.join(',')}`);
  }

  #tag(id: string): string {
    return `tag-${this.calls.filter((call) => call.startsWith(`change ${id} `)).length}`;
  }

  async testSource(request: unknown): Promise<SourceTest> {
    this.calls.push(`test ${JSON.stringify(request)}`);
    return {
      source: 'rtsp://gate/1',
      codec: 'h264',
      width: 640,
      height: 360,
      statedFps: 25,
      measuredFps: 24.9,
      firstFrameMs: 310,
      durationMs: null,
      frames: 38,
      readMs: 1500,
      ignoredAudio: ['aac'],
      timeProblems: [],
    };
  }

  async tryRules(id: string, request: unknown): Promise<RuleTrialReply> {
    this.#get(id);
    this.calls.push(`try ${id} ${JSON.stringify(request)}`);
    const seeing = { totalMs: 3_600_000, watchedMs: 3_600_000, blindMs: {} };
    const span = { fromMs: this.timeMs - 3_600_000, toMs: this.timeMs, results: 54_000, kept: 54_000 };
    return { ...span, isFollowedLater: false, seeing, rules: [] };
  }

  async addStream(stream: unknown): Promise<StreamReport> {
    const { id, source } = stream as { id?: unknown; source?: unknown };
    if (typeof id !== 'string' || typeof source !== 'string') {
      throw new SightlineError('CONFIG_INVALID', 'stream.id: expected text, received nothing.', { key: 'stream.id' });
    }
    if (this.#streams.has(id)) throw new SightlineError('STREAM_EXISTS', `Stream "${id}": already runs.`);
    this.calls.push(`add ${id} ${source}`);
    this.put({ ...streamReport(id), source, state: 'starting' });
    this.tick();
    return this.#get(id);
  }

  async changeStream(id: string, patch: unknown, { isWhole, check }: ChangeOptions = {}): Promise<StreamReport> {
    const before = this.#get(id);
    check?.(this.#tag(id));
    this.calls.push(`change ${id} ${isWhole === true ? 'to ' : ''}${JSON.stringify(patch)}`);
    this.put({ ...before, ...(patch as Partial<StreamReport>) });
    return this.#get(id);
  }

  async pauseStream(id: string): Promise<StreamReport> {
    if (this.#get(id).state === 'paused') throw new SightlineError('STREAM_STATE', `Stream "${id}": already paused.`);
    this.calls.push(`pause ${id}`);
    return this.#setState(id, 'paused');
  }

  async resumeStream(id: string): Promise<StreamReport> {
    this.calls.push(`resume ${id}`);
    return this.#setState(id, 'running');
  }

  async removeStream(id: string, check?: TagCheck): Promise<void> {
    this.#get(id);
    check?.(this.#tag(id));
    this.calls.push(`remove ${id}`);
    this.#streams.delete(id);
    this.tick();
  }

  onReport(listener: Listener<StreamsReply>): () => void {
    return subscribe(this.#reports, listener);
  }

  onPublished(listener: Listener<PublishedFrame>): () => void {
    return subscribe(this.#frames, listener);
  }

  onEvent(listener: Listener<EventMessage>): () => void {
    return subscribe(this.#events, listener);
  }

  onPreview(listener: Listener<PreviewPicture>): () => void {
    return subscribe(this.#pictures, listener);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.watched = streamIds;
    this.calls.push(`watch ${[...streamIds].sort().join(',')}`);
  }

  /** Advances by one second and sends the next report. */
  tick(): void {
    this.timeMs += 1000;
    const report = this.report();
    for (const listener of this.#reports) listener(report);
  }

  publish(frame: PublishedFrame): void {
    for (const listener of this.#frames) listener(frame);
  }

  preview(frame: PublishedFrame, jpeg: Uint8Array, which: Omit<PreviewPicture, 'frame' | 'jpeg'> = {}): void {
    for (const listener of this.#pictures) listener({ frame, jpeg, ...which });
  }

  emitEvent(event: EventMessage): void {
    for (const listener of this.#events) listener(event);
  }

  #get(id: string): StreamReport {
    const report = this.#streams.get(id);
    if (report === undefined) throw new SightlineError('STREAM_NOT_FOUND', `Stream "${id}": not found.`);
    return report;
  }

  #setState(id: string, state: StreamState): StreamReport {
    this.put({ ...this.#get(id), state });
    this.emitEvent({
      type: 'event',
      timeMs: this.timeMs,
      kind: 'stream-state',
      stream: id,
      message: `${id} is ${state}.`,
    });
    this.tick();
    return this.#get(id);
  }
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** A frame that took 42 ms. */
export function publishedFrame(
  streamId: string,
  frame: number,
  detections: readonly Detection[] = [],
  size = { width: 1280, height: 720 },
): PublishedFrame {
  const at = (ms: number): MonoMs => (1000 + frame * 40 + ms) as MonoMs;
  return {
    streamId,
    frame,
    ptsUs: (frame * 40_000) as PtsUs,
    ...size,
    by: 'inferred',
    detections,
    times: {
      captured: at(0),
      decoded: at(4),
      preprocessed: at(7),
      batched: at(15),
      inferred: at(40),
      published: at(42),
    },
  };
}
