import { type Clock, systemClock } from '../../../base/core/clock.ts';
import type { PreviewPicture, PublishedFrame } from '../../../base/core/frame.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { Incidents } from '../../../base/flow/incidents.ts';
import { Listeners } from '../../../base/flow/listeners.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import type { EventMessage } from '../../../wire/protocol/feed.ts';
import type { JobOrder, JobReport } from '../../../wire/protocol/fleet.ts';
import type { FleetHost, FleetReport, QueueReport, ScaleReport } from '../../../wire/protocol/fleet-report.ts';
import type { FleetFigures, FleetPort } from '../../../wire/protocol/ports/fleet-port.ts';
import type {
  ChangeOptions,
  Readiness,
  RuntimePort,
  TagCheck,
  TaggedSettings,
} from '../../../wire/protocol/ports/runtime-port.ts';
import type { StreamReport } from '../../../wire/protocol/report.ts';
import type { JobView, PipelineReport, StreamsReply } from '../../../wire/protocol/rest.ts';
import type { SourceTest } from '../../../wire/protocol/source-test.ts';
import type { RuleTrialReply } from '../../../wire/protocol/tried-rules.ts';
import type { ControlPlane, FleetSnapshot } from '../control-plane.ts';
import { JobOrders } from '../orders/job-orders.ts';
import { StreamOrders, streamNotFound, tagOf } from '../orders/stream-orders.ts';
import { FleetInbox } from './fleet-inbox.ts';
import { allReported } from './fleet-summary.ts';
import { mergeStreams, ownStreams } from './merge-streams.ts';

const REFRESH_MS = 1_000;
/** A fleet of more streams is followed only while somebody looks: all gateways together would get streams x hosts statistics a second. */
export const MOST_FOLLOWED = 500;
const LOOK_MS = 30_000;
/** Limit for the dashboard; REST returns all jobs. */
const MAX_FINISHED_JOBS = 20;

export interface FleetViewOptions {
  readonly control: ControlPlane;
  /** Runtime of this gateway's host: its readiness and figures. */
  readonly own: Pick<RuntimePort, 'report' | 'readiness' | 'pipeline' | 'tryRules'> & {
    /** @param configOf - returns the stream of an id; null if there is none. */
    testSource(request: unknown, configOf: (id: string) => StreamConfig | null): Promise<SourceTest>;
  };
  readonly hostId: string;
  /** Default pipeline of streams and jobs. */
  readonly pipeline: string;
  /** Default settings of a new stream. */
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly admitStream: (address: string, stream: string) => Promise<void> | void;
  readonly admitJob: (order: JobOrder) => Promise<void> | void;
  /** Estimates how many hosts the fleet should have. */
  readonly advise: (snapshot: FleetSnapshot, queue: QueueReport) => ScaleReport | null;
  readonly clock?: Clock;
  /** Counts refused messages, and exceptions in listeners and timers. */
  readonly incidents?: Incidents;
}

interface Known {
  readonly snapshot: FleetSnapshot;
  readonly jobs: readonly JobReport[];
  readonly queue: QueueReport;
  readonly scale: ScaleReport | null;
}

const NOTHING_KNOWN: Known = {
  snapshot: { nowMs: 0, hosts: [], draining: new Set(), orders: [], assignments: new Map(), leases: new Map() },
  jobs: [],
  queue: { waiting: 0, active: 0, oldestWaitingMs: 0 },
  scale: null,
};

/**
 * Presents a whole fleet as one runtime, so that any gateway can show it. Orders are read from the control plane once a
 * second; the state of streams comes from the hosts' messages, for each stream only from the newest lease holder. Of a large
 * fleet it has the streams of its own host alone while nobody looks.
 */
export class FleetView implements RuntimePort, FleetPort {
  readonly #options: FleetViewOptions;
  readonly #clock: Clock;
  readonly #inbox: FleetInbox;
  readonly #streams: StreamOrders;
  readonly #jobs: JobOrders;
  readonly #incidents: Incidents;
  readonly #reports: Listeners<StreamsReply>;
  #known = NOTHING_KNOWN;
  /** Number of the newest refresh, and of the newest one whose result is shown. */
  #refreshes = 0;
  #shown = 0;
  #isRefreshing = false;
  #failure: SightlineError | null = null;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | null = null;
  #stopTimer: () => void = () => {};

  constructor(options: FleetViewOptions) {
    const { control, hostId: sender, pipeline, defaults, admitStream, admitJob } = options;
    this.#options = options;
    this.#incidents = options.incidents ?? new Incidents();
    this.#clock = this.#incidents.clock('the view of the fleet', options.clock ?? systemClock);
    this.#reports = new Listeners('reports', this.#incidents);
    this.#inbox = new FleetInbox({
      bus: control.bus,
      state: control.state,
      clock: this.#clock,
      incidents: this.#incidents,
    });
    this.#streams = new StreamOrders({ control, sender, pipeline, defaults, admit: admitStream });
    this.#jobs = new JobOrders({ control, pipeline, admit: admitJob });
  }

  /** Refreshes once, so that the first page is not empty, then every second. Rejects if the first refresh fails. */
  async start(): Promise<void> {
    await this.#refresh();
    this.#follow();
    this.#schedule();
  }

  close(): void {
    this.#stopTimer();
    this.#inbox.close();
  }

  get hostId(): string {
    return this.#options.hostId;
  }

  report(): StreamsReply {
    return this.#report(this.#inbox.isFollowing);
  }

  scraped(): StreamsReply {
    return this.#report(!this.#isLarge);
  }

  /** All streams, each with its detector: what its host says, or what was ordered where that is not followed. */
  streams(): readonly { readonly id: string; readonly model?: string | undefined }[] {
    const reported = new Map(this.report().streams.map((stream) => [stream.id, stream]));
    return this.#known.snapshot.orders.map(({ id, config: { model } }) => reported.get(id) ?? { id, model });
  }

  look(): Promise<void> {
    this.#lookedMs = this.#clock.now();
    if (this.#inbox.isFollowing && this.#looking === null) return Promise.resolve();
    this.#inbox.follow(true);
    this.#looking ??= allReported(this.#inbox, this.#known.snapshot, this.#clock).finally(() => {
      this.#looking = null;
      this.#reports.emit(this.report());
    });
    return this.#looking;
  }

  get #isLarge(): boolean {
    return this.#known.snapshot.orders.length > MOST_FOLLOWED;
  }

  #follow(): void {
    this.#inbox.follow(!this.#isLarge || this.#clock.now() - this.#lookedMs < LOOK_MS);
  }

  /** @param isWhole - of all hosts; else of this one. */
  #report(isWhole: boolean): StreamsReply {
    const { streams, fleet } = this.#merge(isWhole);
    return { timeMs: Math.floor(this.#clock.now()), streams, host: this.#options.own.report().host, fleet };
  }

  fleet(): FleetReport {
    return this.#merge(this.#inbox.isFollowing).fleet;
  }

  readiness(): Readiness {
    const own = this.#options.own.readiness();
    const reason = this.#failure?.message ?? this.#options.control.trouble;
    return own.isReady && reason !== null ? { isReady: false, reason } : own;
  }

  figures(): FleetFigures {
    const { staleMessages, malformedMessages } = this.#inbox;
    return { staleMessages, malformedMessages, busDropped: this.#options.control.bus.droppedCount };
  }

  async addStream(stream: unknown): Promise<StreamReport> {
    return this.#reportAfter((await this.#streams.add(stream)).id);
  }

  /** By the host of this gateway; others may reach other networks. */
  testSource(request: unknown): Promise<SourceTest> {
    const { orders } = this.#known.snapshot;
    return this.#options.own.testSource(request, (id) => orders.find((order) => order.id === id)?.config ?? null);
  }

  streamSettings(id: string): TaggedSettings {
    const { orders } = this.#known.snapshot;
    const order = orders.find((each) => each.id === id);
    if (order === undefined) throw streamNotFound(id, orders);
    return { settings: order.config, tag: tagOf(order) };
  }

  /** The orders are the settings that hold; the pipeline file of a host only adds to them. */
  pipeline(): PipelineReport {
    const own = this.#options.own.pipeline();
    const orders = this.#known.snapshot.orders.filter(({ pipeline }) => pipeline === this.#options.pipeline);
    const paused = orders.filter(({ isPaused }) => isPaused).map(({ id }) => id);
    const effective = { ...own.effective, streams: orders.map(({ config }) => config) };
    return { ...own, keepingProblem: this.keepingProblem(), effective, paused };
  }

  keepingProblem(): string | null {
    return this.#options.control.kind === 'redis' ? null : 'without Redis the orders end with this process';
  }

  async changeStream(id: string, request: unknown, options?: ChangeOptions): Promise<StreamReport> {
    await this.#streams.change(id, request, options);
    return this.#reportAfter(id);
  }

  /** Only the host that runs a stream remembers what it saw. */
  async tryRules(id: string, request: unknown): Promise<RuleTrialReply> {
    const { own, hostId } = this.#options;
    this.streamSettings(id);
    const host = this.report().streams.find((stream) => stream.id === id)?.host;
    if (host === hostId) return own.tryRules(id, request);
    const where = host === undefined ? 'on no host now' : `on host "${host}"`;
    const text = `stream "${id}" runs ${where}; rules can be tried at the gateway of its own host, since that remembers what it saw`;
    throw new SightlineError('STREAM_STATE', text, { stream: id });
  }

  async pauseStream(id: string): Promise<StreamReport> {
    await this.#streams.setPaused(id, true);
    return this.#reportAfter(id);
  }

  async resumeStream(id: string): Promise<StreamReport> {
    await this.#streams.setPaused(id, false);
    return this.#reportAfter(id);
  }

  async moveStream(id: string, hostId: string | null): Promise<StreamReport> {
    await this.#streams.move(id, hostId);
    return this.#reportAfter(id);
  }

  async removeStream(id: string, check?: TagCheck): Promise<void> {
    await this.#streams.remove(id, check);
    await this.#refresh();
  }

  async drainHost(hostId: string, isDraining: boolean): Promise<FleetHost> {
    await this.#streams.setDraining(hostId, isDraining);
    await this.#refresh();
    const host = this.fleet().hosts.find(({ id }) => id === hostId);
    if (host !== undefined) return host;
    throw new SightlineError('HOST_NOT_FOUND', `host "${hostId}": it has just left the fleet`, { hostId });
  }

  jobs(): Promise<readonly JobReport[]> {
    return this.#tasks.jobs();
  }

  async job(jobId: string): Promise<JobView> {
    const { report, order, deadLetters } = await this.#tasks.job(jobId);
    const { inputs: _, ...rest } = order;
    return { report, order: rest, deadLetters };
  }

  async submitJob(request: unknown): Promise<JobReport> {
    return this.#jobAfter((await this.#jobs.submit(request, 'body')).id);
  }

  async cancelJob(jobId: string): Promise<JobReport> {
    await this.#tasks.cancel(jobId);
    return this.#jobAfter(jobId);
  }

  async retryJob(jobId: string): Promise<number> {
    const count = await this.#tasks.retry(jobId);
    await this.#refresh();
    return count;
  }

  onReport(listener: (report: StreamsReply) => void): () => void {
    return this.#reports.add(listener);
  }

  onPublished(listener: (frame: PublishedFrame) => void): () => void {
    return this.#inbox.frames.add(listener);
  }

  onEvent(listener: (event: EventMessage) => void): () => void {
    return this.#inbox.events.add(listener);
  }

  onPreview(listener: (picture: PreviewPicture) => void): () => void {
    return this.#inbox.pictures.add(listener);
  }

  watchPreviews(streamIds: ReadonlySet<string>): void {
    this.#inbox.watchPreviews(streamIds);
  }

  watchDetections(streamIds: ReadonlySet<string>): void {
    this.#inbox.watchDetections(streamIds);
  }

  get #tasks(): ControlPlane['tasks'] {
    return this.#options.control.tasks;
  }

  #merge(isWhole: boolean): { readonly streams: readonly StreamReport[]; readonly fleet: FleetReport } {
    const { snapshot, jobs, queue, scale } = this.#known;
    const nowMs = this.#clock.now();
    const hosts = this.#inbox.hosts.hosts(nowMs);
    const { own, hostId } = this.#options;
    const { streams, placement } = isWhole
      ? mergeStreams({ snapshot, stats: this.#inbox.hosts.fresh(nowMs), fences: this.#inbox.fences })
      : ownStreams(snapshot, hostId, own.report().streams);
    return { streams, fleet: { hosts, placement, jobs: jobsToShow(jobs), queue, scale } };
  }

  #schedule(): void {
    this.#stopTimer = this.#clock.setTimer(() => {
      this.#schedule();
      this.#follow();
      // A slow control plane must not delay the hosts' statistics.
      if (this.#isRefreshing) this.#reports.emit(this.report());
      else this.#incidents.run('the view of the fleet', () => this.#refreshAndReport());
    }, REFRESH_MS);
  }

  async #refreshAndReport(): Promise<void> {
    this.#isRefreshing = true;
    try {
      await this.#refresh();
      this.#failure = null;
    } catch (thrown) {
      this.#failure = SightlineError.from(thrown, 'INTERNAL_ERROR');
    } finally {
      this.#isRefreshing = false;
    }
    this.#reports.emit(this.report());
  }

  /** Replies may arrive out of order: an older one never replaces a newer one. */
  async #refresh(): Promise<void> {
    this.#refreshes += 1;
    const refresh = this.#refreshes;
    const [snapshot, jobs, queue] = await Promise.all([
      this.#options.control.state.snapshot(),
      this.#tasks.jobs(),
      this.#tasks.counts(null),
    ]);
    if (refresh < this.#shown) return;
    this.#shown = refresh;
    this.#known = { snapshot, jobs, queue, scale: this.#options.advise(snapshot, queue) };
    this.#inbox.update(snapshot);
  }

  async #reportAfter(id: string): Promise<StreamReport> {
    await this.#refresh();
    const report = this.report().streams.find((stream) => stream.id === id);
    if (report !== undefined) return report;
    throw new SightlineError('STREAM_NOT_FOUND', `stream "${id}": another client has just removed it`, { id });
  }

  async #jobAfter(jobId: string): Promise<JobReport> {
    const [{ report }] = await Promise.all([this.#tasks.job(jobId), this.#refresh()]);
    return report;
  }
}

function jobsToShow(jobs: readonly JobReport[]): readonly JobReport[] {
  let finished = 0;
  return jobs.filter(({ state }) => {
    if (state === 'waiting' || state === 'running') return true;
    finished += 1;
    return finished <= MAX_FINISHED_JOBS;
  });
}
