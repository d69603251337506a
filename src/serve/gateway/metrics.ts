import type { History } from '../../after/history/history.ts';
import type { Recorder } from '../../after/recording/recorder.ts';
import { BLIND_SIGNS } from '../../base/core/blind-sign.ts';
import { DROP_REASONS, RESULT_ORIGINS } from '../../base/core/frame.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import { BLIND_REASONS } from '../../wire/protocol/blind-reasons.ts';
import { TOPICS } from '../../wire/protocol/feed.ts';
import { LATENCY_EDGES_MS, LATENCY_STAGES, type LatencyHistogram } from '../../wire/protocol/latency.ts';
import type { FleetPort } from '../../wire/protocol/ports/fleet-port.ts';
import type { RuntimePort } from '../../wire/protocol/ports/runtime-port.ts';
import {
  type AlertFigures,
  BUSY_STAGES,
  type HostReport,
  LOSS_REASONS,
  type SinkReport,
  type StreamReport,
} from '../../wire/protocol/report.ts';
import { type SecondStageReport, SKIP_REASONS, type SkipReason } from '../../wire/protocol/second-stage-report.ts';
import { type StreamScope, scopedReport } from './access/stream-scope.ts';
import type { FeedFigures } from './feed-server.ts';
import { fillFleetMetrics } from './fleet-metrics.ts';
import { type Buckets, type Labels, MetricSet } from './metric-set.ts';
import type { RequestLedger } from './requests/request-ledger.ts';

const MS_PER_S = 1000;
/** Edges that every gateway has, in milliseconds: histograms of all hosts add up at these. */
const COMMON_EDGES_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/**
 * Chooses the upper edges of the buckets that are published, in milliseconds: the common ones, and for each target the nearest below and above
 * it, below its half and above its double. All streams have the same, so that their histograms add up.
 */
export function publishedEdges(targetsMs: Iterable<number | null>): readonly number[] {
  const chosen = new Set(COMMON_EDGES_MS);
  for (const target of new Set(targetsMs)) {
    if (target === null) continue;
    const near = [
      LATENCY_EDGES_MS.findLast((edge) => edge <= target / 2),
      LATENCY_EDGES_MS.findLast((edge) => edge <= target),
      LATENCY_EDGES_MS.find((edge) => edge >= target),
      LATENCY_EDGES_MS.find((edge) => edge >= 2 * target),
    ];
    for (const edge of near) if (edge !== undefined) chosen.add(edge);
  }
  return LATENCY_EDGES_MS.filter((edge) => chosen.has(edge));
}

/** Sums the fine buckets of a report up to each published edge. */
function bucketsOf({ counts, sumMs }: LatencyHistogram, edgesMs: readonly number[]): Buckets {
  const cumulative: number[] = [];
  let total = 0;
  let at = 0;
  for (const edge of [...edgesMs, Number.POSITIVE_INFINITY]) {
    while (at < counts.length && (LATENCY_EDGES_MS[at] ?? Number.POSITIVE_INFINITY) <= edge) total += counts[at++]!;
    cumulative.push(total);
  }
  return { edges: edgesMs.map((edge) => edge / MS_PER_S), cumulative, sum: sumMs / MS_PER_S };
}

/**
 * Prometheus metrics, built from the runtime's report at each scrape, so that a removed stream leaves no series behind. Units
 * are Prometheus's base units (seconds, bytes, ratios).
 */
export class GatewayMetrics {
  readonly #set = new MetricSet();
  readonly #port: RuntimePort;
  readonly #fleet: FleetPort | null;
  readonly #feedFigures: () => FeedFigures;
  readonly #incidents: Incidents;
  readonly #history: Pick<History, 'lost'>;
  readonly #requests: RequestLedger | undefined;
  readonly #recorder: Pick<Recorder, 'figures'> | undefined;

  constructor({
    port,
    fleet,
    feedFigures,
    incidents,
    history,
    requests,
    recorder,
  }: {
    readonly port: RuntimePort;
    readonly fleet: FleetPort | null;
    readonly feedFigures: () => FeedFigures;
    readonly incidents: Incidents;
    readonly history: Pick<History, 'lost'>;
    readonly requests: RequestLedger | undefined;
    readonly recorder: Pick<Recorder, 'figures'> | undefined;
  }) {
    this.#recorder = recorder;
    this.#requests = requests;
    this.#history = history;
    this.#port = port;
    this.#fleet = fleet;
    this.#feedFigures = feedFigures;
    this.#incidents = incidents;
  }

  get contentType(): string {
    return this.#set.contentType;
  }

  /**
   * Returns the current exposition text. A part that throws is left out and counted; the others are kept.
   *
   * @param scope - the only streams to show, without what is about the host.
   */
  scrape(scope?: StreamScope): string {
    this.#set.reset();
    const part = (fill: () => void): void => this.#incidents.run('a part of the metrics', fill);
    const whole = scope === undefined ? part : () => undefined;
    part(() => {
      const isReady = this.#port.readiness().isReady ? 1 : 0;
      this.#set.gauge('sightline_ready', '1 if the host can work, else 0.', {}, isReady);
    });
    whole(() => this.#fillFeed(this.#feedFigures()));
    whole(() => {
      const lost = 'Events, and minutes of figures, that the history could not keep.';
      this.#set.counter('sightline_history_lost_total', lost, {}, this.#history.lost);
    });
    whole(() => this.#fillRequests());
    whole(() => this.#fillRecordings());
    let streams: readonly StreamReport[] = [];
    part(() => {
      const all = this.#port.scraped?.() ?? this.#port.report();
      const { host, ...report } = scope === undefined ? all : scopedReport(all, scope);
      streams = report.streams;
      const edges = publishedEdges(
        // A host may have sent anything.
        streams.map(({ target }: Partial<StreamReport>) => target?.latencyMs ?? null),
      );
      whole(() => this.#fillHost(host));
      whole(() => this.#fillStages(host, edges));
      const { tracing } = host;
      if (tracing !== undefined) whole(() => this.#fillTracing(tracing));
      for (const stage of host.secondStages ?? []) whole(() => this.#fillSecondStage(stage));
      for (const sink of host.sinks ?? []) whole(() => this.#fillSink(sink));
      for (const [channel, figures] of Object.entries(host.alerts ?? {}))
        whole(() => this.#fillAlerts(channel, figures));
      const fleet = this.#fleet;
      if (fleet !== null) whole(() => fillFleetMetrics(this.#set, fleet, streams));
      for (const stream of streams) {
        part(() => this.#fillRates(stream));
        part(() => this.#fillSight(stream));
        part(() => this.#fillLatency(stream, edges));
        part(() => this.#fillFrames(stream));
        part(() => this.#fillEvents(stream));
        part(() => this.#fillRestream(stream));
      }
    });
    whole(() => this.#fillIncidents());
    // Last: what exceeds the bound of the series is left out, and people may draw any number of these.
    for (const stream of streams) part(() => this.#fillCounts(stream));
    return this.#set.text();
  }

  /** The ledger of requests: received = answered + refused + failed + in flight. */
  #fillRequests(): void {
    if (this.#requests === undefined) return;
    const { received, answered, cached, fallback, refused, failed, inFlight } = this.#requests;
    this.#set.counter('sightline_requests_received_total', 'Requests with a picture.', {}, received);
    this.#set.counter('sightline_requests_answered_total', 'Requests that got a result.', {}, answered);
    this.#set.counter('sightline_requests_cached_total', 'Answered requests whose result was known.', {}, cached);
    const helped = 'Answered requests that the candidate of a roll-out had failed.';
    this.#set.counter('sightline_requests_fallback_total', helped, {}, fallback);
    this.#set.counter('sightline_requests_failed_total', 'Requests that failed here.', {}, failed);
    for (const [reason, count] of Object.entries(refused))
      this.#set.counter('sightline_requests_refused_total', 'Requests without a result.', { reason }, count);
    this.#set.gauge('sightline_requests_in_flight', 'Requests without a reply yet.', {}, inFlight);
  }

  #fillRecordings(): void {
    if (this.#recorder === undefined) return;
    const { bytes, memoryBytes, writtenBytes, deleted, viewers, skippedFrames, problem } = this.#recorder.figures;
    const isUp = problem === null ? 1 : 0;
    this.#set.gauge('sightline_recording_up', '0 while clips and recordings cannot be written, else 1.', {}, isUp);
    this.#set.gauge('sightline_recording_disk_bytes', 'Size of all clips and recordings.', {}, bytes);
    this.#set.gauge('sightline_recording_memory_bytes', 'Undecoded packets in memory.', {}, memoryBytes);
    this.#set.gauge('sightline_live_viewers', 'Who watches live video; an HLS playlist counts as one.', {}, viewers);
    const skipped = 'Frames of live video that viewers did not get because they were slow.';
    this.#set.counter('sightline_live_skipped_frames_total', skipped, {}, skippedFrames);
    this.#set.counter(
      'sightline_recording_written_bytes_total',
      'Packets written to clips and recordings.',
      {},
      writtenBytes,
    );
    this.#set.counter(
      'sightline_recording_deleted_files_total',
      'Clips and recordings deleted for their age or for room.',
      {},
      deleted,
    );
  }

  #fillRestream({ id, restream }: StreamReport): void {
    if (restream === undefined) return;
    const [of, set] = [{ stream: id }, this.#set];
    set.gauge(
      'sightline_restream_up',
      '1 while a media server takes the video of a stream, else 0.',
      of,
      restream.state === 'sending' ? 1 : 0,
    );
    set.counter(
      'sightline_restream_connections_total',
      'Times that it began to take the video.',
      of,
      restream.connections,
    );
    set.counter('sightline_restream_frames_total', 'Frames pushed to it.', of, restream.sentFrames);
    const skipped = 'Frames that it did not get: it was away, refused, or was slow.';
    set.counter('sightline_restream_skipped_frames_total', skipped, of, restream.skippedFrames);
  }

  #fillIncidents(): void {
    const refused = 'Refused messages and records from outside.';
    for (const { channel, reason, count } of this.#incidents.refusals) {
      const isOwn = ['websocket', 'rest', 'access', 'connection'].includes(channel);
      if (isOwn || this.#fleet !== null)
        this.#set.counter('sightline_messages_refused_total', refused, { channel, reason }, count);
    }
    const caught = 'Exceptions that a barrier caught; each is a bug.';
    let total = 0;
    for (const count of this.#incidents.caught.values()) total += count;
    this.#set.counter('sightline_exceptions_caught_total', caught, {}, total);
    const failed = 'Failed operations that are repeated by themselves.';
    if (this.#fleet !== null)
      for (const [operation, count] of this.#incidents.failures)
        this.#set.counter('sightline_operation_failures_total', failed, { operation }, count);
    const skipped = 'Figures left out of the metrics because they were not valid numbers.';
    this.#set.counter('sightline_metrics_skipped_total', skipped, {}, this.#set.skippedCount);
  }

  #fillRates({ id: stream, fps, target, isMissing, state }: StreamReport): void {
    for (const [point, value] of Object.entries(fps)) {
      this.#set.gauge('sightline_stream_fps', 'Measured frames per second.', { stream, point }, value);
    }
    const missed = '1 if a target has been missed for some seconds, else 0.';
    if (target.fps !== null) {
      this.#set.gauge('sightline_stream_target_fps', 'Target frames per second.', { stream }, target.fps);
      this.#set.gauge('sightline_stream_target_missed', missed, { stream, target: 'fps' }, Number(isMissing.fps));
    }
    if (target.latencyMs !== null) {
      const help = 'Target for the maximum latency.';
      this.#set.gauge('sightline_stream_target_latency_seconds', help, { stream }, target.latencyMs / MS_PER_S);
      this.#set.gauge(
        'sightline_stream_target_missed',
        missed,
        { stream, target: 'latency' },
        Number(isMissing.latency),
      );
    }
    const up = '1 while the stream gets pictures from its source, else 0.';
    this.#set.gauge('sightline_stream_up', up, { stream }, Number(state === 'running'));
    this.#set.gauge('sightline_stream_state', 'Current state of the stream; always 1.', { stream, state }, 1);
  }

  #fillSight({ id: stream, sign, lateMs, lastFrameAgeMs }: StreamReport): void {
    const blind = '1 while the pictures of a camera have the sign that it is blind, else 0.';
    // Older hosts do not look for signs.
    if (sign !== undefined)
      for (const name of BLIND_SIGNS)
        this.#set.gauge('sightline_stream_blind', blind, { stream, sign: name }, Number(sign?.name === name));
    const late = 'How much later pictures come than they did at best; 0 if they are not 5 s late.';
    if (lateMs !== undefined)
      this.#set.gauge('sightline_stream_late_seconds', late, { stream }, (lateMs ?? 0) / MS_PER_S);
    const age = 'Time since the last frame was decoded.';
    if (lastFrameAgeMs != null)
      this.#set.gauge('sightline_stream_last_frame_age_seconds', age, { stream }, lastFrameAgeMs / MS_PER_S);
  }

  #fillLatency({ id: stream, target, latencyMs: { counted } }: StreamReport, edges: readonly number[]): void {
    if (counted === undefined) return;
    const whole = 'Latency of published frames, from captured to published.';
    this.#set.histogram('sightline_stream_latency_seconds', whole, { stream }, bucketsOf(counted, edges));
    const late = 'Published frames that took longer than the target at that time.';
    if (target.latencyMs !== null)
      this.#set.counter('sightline_stream_frames_late_total', late, { stream }, counted.late);
    const part = 'Time of published frames in each stage; divided by their number, the mean.';
    for (const stage of LATENCY_STAGES) {
      const seconds = counted.stageSumsMs[stage] / MS_PER_S;
      this.#set.counter('sightline_stream_stage_seconds_total', part, { stream, stage }, seconds);
    }
  }

  #fillTracing(figures: NonNullable<HostReport['tracing']>): void {
    for (const [signal, { sent, lost }] of Object.entries(figures)) {
      const has = 'Spans and log records that the collector has.';
      this.#set.counter('sightline_tracing_sent_total', has, { signal }, sent);
      const help = 'Spans and log records that the collector did not take, or that were too many at once.';
      this.#set.counter('sightline_tracing_lost_total', help, { signal }, lost);
    }
  }

  #fillStages({ stageHistograms, failedInferences }: HostReport, edges: readonly number[]): void {
    if (stageHistograms !== undefined)
      for (const stage of LATENCY_STAGES) {
        const help = 'Time of published frames in a stage, all streams of this host together.';
        this.#set.histogram(
          'sightline_stage_latency_seconds',
          help,
          { stage },
          bucketsOf(stageHistograms[stage], edges),
        );
      }
    const failed = 'Frames whose inference failed; one that is tried again can fail again.';
    if (failedInferences !== undefined)
      this.#set.counter('sightline_inferences_failed_total', failed, {}, failedInferences);
  }

  #fillSecondStage({ name: stage, wanted, looked, skipped, inFlight, latencyMs }: SecondStageReport): void {
    const of = { stage };
    this.#set.counter(
      'sightline_second_stage_wanted_total',
      'Objects that a second stage wanted to look at.',
      of,
      wanted,
    );
    this.#set.counter('sightline_second_stage_looked_total', 'Objects that it looked at.', of, looked);
    const why = 'Objects that it did not look at.';
    for (const reason of Object.keys(SKIP_REASONS) as SkipReason[])
      this.#set.counter('sightline_second_stage_skipped_total', why, { stage, reason }, skipped[reason] ?? 0);
    this.#set.gauge('sightline_second_stage_waiting', 'Objects that wait for it, or are being inferred.', of, inFlight);
    const late = 'Time from the choice of an object to what was found, in the last ten seconds, 99th percentile.';
    this.#set.gauge('sightline_second_stage_p99_seconds', late, of, latencyMs.p99 / MS_PER_S);
  }

  #fillFrames({ id: stream, frames, results, decode, queueDepth, reconnects, decodeErrors }: StreamReport): void {
    this.#set.counter('sightline_stream_frames_in_total', 'Frames that entered.', { stream }, frames.in);
    this.#set.counter('sightline_stream_frames_published_total', 'Frames published.', { stream }, frames.published);
    // Every reason has a series from the start: one that appears with its first drop has no rate to alert on.
    for (const reason of Object.keys(DROP_REASONS) as (keyof typeof DROP_REASONS)[]) {
      const value = frames.dropped[reason] ?? 0;
      this.#set.counter('sightline_stream_frames_dropped_total', 'Frames dropped.', { stream, reason }, value);
    }
    for (const by of RESULT_ORIGINS) {
      const value = results?.[by] ?? 0;
      this.#set.counter('sightline_stream_results_total', 'Published frames by origin.', { stream, by }, value);
    }
    const saved = 'Inferences saved because an equal picture had been inferred before.';
    this.#set.counter('sightline_stream_results_cached_total', saved, { stream }, results?.cached ?? 0);
    this.#set.gauge('sightline_stream_frames_in_flight', 'Frames in flight.', { stream }, frames.inFlight);
    this.#set.gauge('sightline_stream_queue_depth', 'Frames waiting for a batch.', { stream }, queueDepth);
    this.#set.counter(
      'sightline_stream_reconnects_total',
      'Connections to the source made again after a loss.',
      { stream },
      reconnects,
    );
    if (decode !== undefined && decode.skipped !== null)
      this.#set.counter(
        'sightline_stream_frames_not_decoded_total',
        'Frames that were not decoded, as `decode` of the stream says.',
        { stream },
        decode.skipped,
      );
    this.#set.counter('sightline_stream_decode_errors_total', 'Decode errors.', { stream }, decodeErrors);
  }

  #fillCounts({ id: stream, zones, lines }: StreamReport): void {
    for (const zone of zones) {
      this.#set.gauge(
        'sightline_stream_zone_objects',
        'Objects inside the zone now.',
        { stream, zone: zone.id },
        zone.inside,
      );
    }
    const help = 'Objects that crossed a line.';
    for (const { id: line, leftToRight, rightToLeft } of lines) {
      const name = 'sightline_stream_line_crossings_total';
      this.#set.counter(name, help, { stream, line, direction: 'left-to-right' }, leftToRight);
      this.#set.counter(name, help, { stream, line, direction: 'right-to-left' }, rightToLeft);
    }
  }

  #fillEvents({ id: stream, seeing, events }: StreamReport): void {
    if (events !== undefined) {
      const { raised, ended, suppressed } = events;
      this.#set.counter('sightline_stream_events_raised_total', 'Events that rules raised.', { stream }, raised);
      this.#set.counter('sightline_stream_events_ended_total', 'Events that are over.', { stream }, ended);
      const held = 'Conditions of rules that were met, but raised no event.';
      for (const [reason, count] of Object.entries(suppressed))
        this.#set.counter('sightline_stream_events_suppressed_total', held, { stream, reason }, count);
    }
    if (seeing === undefined) return;
    const watched = 'Time in which the stream was watched.';
    this.#set.counter('sightline_stream_watched_seconds_total', watched, { stream }, seeing.watchedMs / MS_PER_S);
    const blind = 'Time in which the stream was not watched.';
    for (const reason of BLIND_REASONS) {
      const value = (seeing.blindMs[reason] ?? 0) / MS_PER_S;
      this.#set.counter('sightline_stream_blind_seconds_total', blind, { stream, reason }, value);
    }
  }

  /** The ledger of a channel: raised = the sum of the others. Pictures are counted apart. */
  #fillAlerts(channel: string, figures: AlertFigures): void {
    const { raised, sent, grouped, suppressed, failed, pending, snapshots } = figures;
    this.#set.counter('sightline_alerts_raised_total', 'Events that a channel was to tell.', { channel }, raised);
    const help = 'Events that a channel was to tell, by what became of them.';
    const outcomes = { sent, grouped, failed, ...suppressed };
    for (const [outcome, count] of Object.entries(outcomes))
      this.#set.counter('sightline_alerts_total', help, { channel, outcome }, count);
    this.#set.gauge('sightline_alerts_pending', 'Events that a channel still has to tell.', { channel }, pending);
    if (snapshots === undefined) return;
    const pictures = 'Pictures of events that a channel has told, by what became of them.';
    for (const outcome of ['sent', 'failed'] as const)
      this.#set.counter('sightline_alert_snapshots_total', pictures, { channel, outcome }, snapshots[outcome]);
    const waiting = 'Pictures that are not there yet, or wait for their channel.';
    this.#set.gauge('sightline_alert_snapshots_pending', waiting, { channel }, snapshots.pending);
  }

  #fillHost(host: HostReport): void {
    const { eventLoop, batch, device, overload } = host;
    const isOverloaded = '1 while more is asked of the host than it can do, else 0.';
    this.#set.gauge('sightline_overloaded', isOverloaded, {}, overload === undefined ? 0 : 1);
    for (const stage of BUSY_STAGES) {
      const help = 'Share of its capacity that a stage used in the last second.';
      this.#set.gauge('sightline_stage_busy_ratio', help, { stage }, host.busyRatio[stage]);
    }
    const delay = eventLoop.p99DelayMs / MS_PER_S;
    this.#set.gauge(
      'sightline_event_loop_delay_p99_seconds',
      '99th percentile of the main thread event loop delay.',
      {},
      delay,
    );
    this.#set.gauge(
      'sightline_event_loop_utilization_ratio',
      'Event loop utilization of the main thread.',
      {},
      eventLoop.utilizationRatio,
    );
    this.#set.gauge(
      'sightline_cpu_cores_used',
      'CPU use of this process and its decoders; 1 is one core.',
      {},
      host.cpuCores,
    );
    this.#set.gauge('sightline_cpu_cores', 'Cores of the machine.', {}, host.cores);
    this.#set.gauge('sightline_memory_bytes', 'Resident memory.', { of: 'process' }, host.rssBytes);
    this.#set.gauge('sightline_memory_bytes', 'Resident memory.', { of: 'decoders' }, host.childRssBytes);
    this.#set.gauge('sightline_memory_total_bytes', 'Memory of the machine.', {}, host.memoryTotalBytes);
    this.#set.gauge('sightline_uptime_seconds', 'Time since the start.', {}, host.uptimeS);
    for (const [size, batches] of Object.entries(batch.histogram)) {
      this.#set.counter('sightline_batches_total', 'Batches by the number of frames in them.', { size }, batches);
    }
    this.#set.gauge('sightline_batch_max_size', 'Maximum frames in a batch.', {}, batch.maxBatch);
    if (batch.settledSize !== null) {
      this.#set.gauge('sightline_batch_settled_size', 'Batch size chosen by measurement.', {}, batch.settledSize);
    }
    this.#fillPower(host);
    const { engine, provider, precision, model } = device;
    const info = { engine, provider, device: device.device, precision, model };
    this.#set.gauge('sightline_device_info', 'Engine and device that run the model; always 1.', info, 1);
  }

  #fillPower({ gpus, gpuProblem, power }: HostReport): void {
    const set = (name: string, help: string, value: number | null | undefined, labels: Labels = {}): void => {
      if (value !== null && value !== undefined) this.#set.gauge(name, help, labels, value);
    };
    if (gpus !== undefined || gpuProblem !== undefined)
      set(
        'sightline_gpu_metrics_failing',
        '1 while nvidia-smi reports nothing, else 0.',
        gpuProblem === undefined ? 0 : 1,
      );
    for (const { index, name, ...gpu } of gpus ?? []) {
      const labels = { gpu: index, name };
      set('sightline_gpu_busy_ratio', 'Share of the time in which a GPU computed.', gpu.busyRatio, labels);
      set(
        'sightline_gpu_decoder_busy_ratio',
        'Share of the time in which its video decoder worked.',
        gpu.decoderRatio,
        labels,
      );
      set('sightline_gpu_memory_used_bytes', 'Memory of a GPU in use.', gpu.memoryUsedBytes, labels);
      set('sightline_gpu_memory_bytes', 'Memory of a GPU.', gpu.memoryTotalBytes, labels);
      set('sightline_gpu_power_watts', 'What a GPU draws.', gpu.powerW, labels);
      set('sightline_gpu_temperature_celsius', 'Temperature of a GPU.', gpu.temperatureC, labels);
    }
    set('sightline_cpu_power_watts', 'What the CPUs and their memory draw.', power?.cpuW);
    set('sightline_frame_energy_joules', 'Energy of the machine for each published frame.', power?.joulesPerFrame);
  }

  #fillSink({ id: sink, problem, sent, waiting, retried, lost }: SinkReport): void {
    this.#set.gauge(
      'sightline_sink_failing',
      '1 while a sink cannot write, else 0.',
      { sink },
      Number(problem !== null),
    );
    this.#set.counter('sightline_sink_results_sent_total', 'Results written or delivered.', { sink }, sent);
    this.#set.gauge('sightline_sink_results_waiting', 'Results accepted and not sent yet.', { sink }, waiting);
    this.#set.counter('sightline_sink_retries_total', 'Attempts after a failure.', { sink }, retried);
    for (const reason of LOSS_REASONS)
      this.#set.counter('sightline_sink_results_lost_total', 'Lost results.', { sink, reason }, lost[reason] ?? 0);
  }

  #fillFeed({ clients, sent, dropped }: FeedFigures): void {
    this.#set.gauge('sightline_feed_clients', 'WebSocket clients.', {}, clients);
    for (const topic of TOPICS) {
      this.#set.counter('sightline_feed_messages_sent_total', 'Feed messages sent.', { topic }, sent[topic]);
      const help = 'Feed messages dropped for slow clients.';
      this.#set.counter('sightline_feed_messages_dropped_total', help, { topic }, dropped[topic]);
    }
  }
}
