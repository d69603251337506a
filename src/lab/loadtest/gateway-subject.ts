import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { WINDOW_MS } from '../../frame/telemetry/sliding-window.ts';
import { conservationGap } from '../../frame/telemetry/stream-telemetry.ts';
import { type GatewayAddress, requestGateway } from '../../serve/gateway/request-gateway.ts';
import type { GatewayRequest } from '../../wire/client/send-request.ts';
import { BUSY_STAGES, hostReport, type StreamReport, streamReport } from '../../wire/protocol/report.ts';
import { type StreamWindow, streamSince } from '../measure/run-recorder.ts';
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
import { findLeftovers } from './own-streams.ts';

const REQUEST_TIMEOUT_MS = 10_000;
const START_LIMIT_MS = 60_000;
const POLL_MS = 500;

const report = z.object({ streams: z.array(streamReport), host: hostReport });
type GatewayReport = z.infer<typeof report>;

/**
 * A running gateway, loaded through its REST API: one host, or a fleet. Its other streams stay as they are.
 */
export class GatewaySubject implements LoadSubject {
  readonly name: string;
  readonly maxAgeMs = null;
  readonly #address: GatewayAddress;
  readonly #own = new Set<string>();

  private constructor(address: GatewayAddress) {
    this.#address = address;
    this.name = URL.canParse(address.url) ? new URL(address.url).origin : address.url;
  }

  /**
   * Connects, and removes streams of load tests that died.
   *
   * @throws COMMAND_INVALID for a malformed address; GATEWAY_UNREACHABLE; UNAUTHORIZED.
   */
  static async open(address: GatewayAddress, note: (text: string) => void): Promise<GatewaySubject> {
    const subject = new GatewaySubject(address);
    const { streams } = await subject.#report();
    const { dead, others } = findLeftovers(streams.map(({ id }) => id));
    if (dead.length > 0) {
      note(`removing ${dead.length} streams that a load test left behind when it died`);
      await subject.remove(dead);
    }
    if (others.length > 0)
      note(`${others.length} streams of other load tests are there, such as ${others[0]}; they stay`);
    return subject;
  }

  takenFps(_index: number, cameraFps: number): number {
    return cameraFps;
  }

  async add(streams: readonly LoadStream[]): Promise<void> {
    for (const { id, source } of streams) {
      // Before the request: an answer may get lost.
      this.#own.add(id);
      const paced = isFileSource(source) ? { loop: true, realtime: true } : {};
      await this.#request('POST', '/api/streams', { id, source, policy: 'live', ...paced });
    }
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      try {
        await this.#request('DELETE', `/api/streams/${encodeURIComponent(id)}`);
      } catch (error) {
        if (!(error instanceof SightlineError && error.code === 'STREAM_NOT_FOUND')) throw error;
      }
      this.#own.delete(id);
    }
  }

  async started(ids: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const untilMs = performance.now() + START_LIMIT_MS;
    for (;;) {
      const { streams } = await this.#report();
      const own = streams.filter(({ id }) => ids.includes(id));
      const failed = own.find(({ state }) => state === 'failed');
      if (failed !== undefined)
        throw new SightlineError('SOURCE_UNREADABLE', `${failed.id} failed: ${failed.lastError ?? 'no reason given'}`);
      const missing = ids.filter((id) => !own.some((stream) => stream.id === id && stream.frames.published > 0));
      if (missing.length === 0) return [];
      if (performance.now() > untilMs) {
        if (missing.length < ids.length) return missing;
        const late = own.find(({ id }) => id === missing[0]);
        const why = late === undefined ? 'no host runs it' : `${late.state}: ${late.lastError ?? 'no error'}`;
        throw new SightlineError(
          'SOURCE_STALLED',
          `${missing[0]}: no result within ${START_LIMIT_MS / 1000} s (${why}). Can the hosts reach the cameras? See --camera-host`,
        );
      }
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  observe(ids: readonly string[]): LoadObserver {
    return new GatewayObserver(new Set(ids), () => this.#report());
  }

  async resources(): Promise<ResourceFigures> {
    const { host } = await this.#report();
    return {
      rssBytes: host.rssBytes,
      childRssBytes: host.childRssBytes,
      heapUsedBytes: null,
      descriptors: null,
      threads: null,
      handles: null,
    };
  }

  async close(): Promise<void> {
    await this.remove([...this.#own]);
  }

  async #report(): Promise<GatewayReport> {
    const result = report.safeParse(await this.#request('GET', '/api/streams'));
    if (result.success) return result.data;
    const where = result.error.issues[0];
    throw new SightlineError(
      'PROTOCOL_INVALID',
      `${this.name}/api/streams: expected the report of a gateway: ${where?.path.join('.')}: ${where?.message}`,
    );
  }

  #request(method: GatewayRequest['method'], path: string, body?: object): Promise<unknown> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    return requestGateway(this.#address, { method, path, body, signal });
  }
}

class GatewayObserver implements LoadObserver {
  readonly #ids: ReadonlySet<string>;
  readonly #report: () => Promise<GatewayReport>;
  /** Counts at the last look. */
  readonly #counts = new Map<string, StreamWindow>();
  #last: GatewayReport | null = null;
  #lastMs = performance.now();
  #latenciesMs = performance.now();

  constructor(ids: ReadonlySet<string>, report: () => Promise<GatewayReport>) {
    this.#ids = ids;
    this.#report = report;
  }

  async look(): Promise<LoadWindow> {
    const current = await this.#report();
    this.#last = current;
    const now = performance.now();
    const seconds = (now - this.#lastMs) / 1000;
    this.#lastMs = now;
    const streams = current.streams.filter(({ id }) => this.#ids.has(id));
    // Percentiles cover the last ten seconds: read once in that time, each frame counts once.
    const isDue = now - this.#latenciesMs >= WINDOW_MS;
    if (isDue) this.#latenciesMs = now;
    return {
      seconds,
      streams: streams.map((stream) => this.#since(stream)),
      latencies: new Map(isDue ? streams.map(({ id, latencyMs }) => [id, latencyBounds(latencyMs.window)]) : []),
      failedInferences: null,
      stagesMs: null,
      machine: null,
      gpus: [],
    };
  }

  #since({ id, frames, decodeErrors, reconnects }: GatewayReport['streams'][number]): StreamWindow {
    const { in: entered, published } = frames;
    const dropped = { ...(frames.dropped as Record<string, number>) };
    const gap = conservationGap(frames as StreamReport['frames']);
    const counts = { id, entered, published, dropped, decodeErrors, reconnects, gap };
    const window = streamSince(this.#counts.get(id), counts);
    this.#counts.set(id, counts);
    return window;
  }

  constraints(): Constraint[] {
    if (this.#last === null) return [];
    const { host } = this.#last;
    const stages = [...BUSY_STAGES].sort((a, b) => host.busyRatio[b] - host.busyRatio[a]);
    return stages.slice(0, 1).map((part) => ({
      part,
      busyRatio: host.busyRatio[part],
      explanation: `${part} is the busiest stage of the gateway's host: ${(host.busyRatio[part] * 100).toFixed(0)} % of its capacity`,
      remedy: '`sightline optimize` on the pipeline finds out what helps.',
    }));
  }

  close(): void {
    // Nothing is held.
  }
}

/**
 * Expands percentiles to bounds for each frame: half of the frames took at most p50, 45 % more from p50 to p95, and so on. A target is
 * met if the upper bounds meet it, and missed if the lower bounds do.
 */
export function latencyBounds({ count, p50, p95, p99, max }: StreamReport['latencyMs']['window']): LatencyBound[] {
  const rank = (q: number): number => Math.max(1, Math.ceil(q * count));
  const steps = [
    { rank: rank(0.5), ms: p50 },
    { rank: rank(0.95), ms: p95 },
    { rank: rank(0.99), ms: p99 },
    { rank: count, ms: max },
  ];
  return Array.from({ length: count }, (_, i) => {
    // The frame of a rank took exactly as long as its percentile says.
    const exact = steps.find((step) => step.rank === i + 1);
    if (exact !== undefined) return { mostMs: exact.ms, leastMs: exact.ms };
    return {
      mostMs: steps.find((step) => step.rank > i + 1)!.ms,
      leastMs: steps.findLast((step) => step.rank < i + 1)?.ms ?? 0,
    };
  });
}
