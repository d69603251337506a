import type { EventKind } from '../../src/wire/protocol/feed.ts';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { publishedFrame, RuntimeDouble } from './runtime-double.ts';
import { percentiles, streamReport } from './sample-reports.ts';
import { drawStreet, type ScenePicture, SOURCE } from './street-scene.ts';

const SCENES = 5;
const LOOP_FRAMES = 24;
const PLACES = ['gate', 'yard', 'dock', 'lobby', 'ramp', 'hall', 'street', 'roof', 'store', 'bridge'];

/** An animated runtime double: metrics vary, people walk, and some streams have problems. */
export class LiveDouble extends RuntimeDouble {
  readonly #scenes: readonly (readonly ScenePicture[])[];
  readonly #ids: readonly string[];
  #second = 0;
  #frame = 0;

  private constructor(ids: readonly string[], scenes: readonly (readonly ScenePicture[])[]) {
    super();
    this.#ids = ids;
    this.#scenes = scenes;
    this.timeMs = Date.now();
    for (const [i, id] of ids.entries()) this.put(living(id, i, 0));
  }

  static async create(count: number): Promise<LiveDouble> {
    const ids = Array.from({ length: count }, (_, i) => streamName(i));
    const scenes = await Promise.all(
      Array.from({ length: Math.min(SCENES, count) }, (_, seed) => drawStreet(seed, LOOP_FRAMES)),
    );
    return new LiveDouble(ids, scenes);
  }

  /** Advances by one second. States set by an operator are kept; streams change their own problems. */
  step(): void {
    this.#second += 1;
    const before = new Map(this.report().streams.map((stream) => [stream.id, stream]));
    for (const [i, id] of this.#ids.entries()) {
      const known = before.get(id);
      if (known === undefined) continue;
      const next = living(id, i, this.#second);
      this.put(known.state === 'paused' ? { ...next, ...still(next), state: 'paused' } : next);
    }
    const sway = Math.sin(this.#second / 5);
    const busyRatio = {
      decode: 0.44 + 0.05 * sway,
      preprocess: 0.3 + 0.03 * sway,
      infer: 0.91 + 0.04 * sway,
      main: 0.1,
    };
    this.host = { ...this.host, cpuCores: 6.1 + sway * 0.4, busyRatio, uptimeS: this.host.uptimeS + 1 };
    this.tick();
  }

  /** Sends the next picture of every watched stream. */
  showPictures(): void {
    this.#frame += 1;
    for (const id of this.watched) {
      const i = this.#ids.indexOf(id);
      if (i < 0 || this.report().streams.find((stream) => stream.id === id)?.state !== 'running') continue;
      const loop = this.#scenes[i % this.#scenes.length]!;
      const { jpeg, detections } = loop[(this.#frame + i * 5) % loop.length]!;
      this.preview(publishedFrame(id, this.#frame, detections, SOURCE), jpeg);
    }
  }

  /** Emits the events of a typical morning. */
  tellHistory(): void {
    const story: readonly [EventKind, string | undefined, string][] = [
      ['stream-added', 'gate-1', 'Runs rtsp://camera.example/gate-1.'],
      ['batch-settled', undefined, 'Batch size 2 gives 184 frames/s, size 4 gives 176.'],
      ['stream-warning', 'gate-1', 'The source announces 30 frames/s and sends 25.'],
      ['line-crossed', 'gate-1', 'Person 7 crossed "gate" to the right.'],
      ['target-missed', 'dock-1', '17.2 frames/s for 5 s, the target is 24.'],
      ['lane-restarted', undefined, 'Lane 2 ended with code 1 and was started again.'],
      ['target-met', 'dock-1', 'Back at 24.1 frames/s.'],
    ];
    story.forEach(([kind, stream, message], i) => {
      const timeMs = this.timeMs - (story.length - i) * 47_000;
      this.emitEvent({ type: 'event', timeMs, kind, message, ...(stream === undefined ? {} : { stream }) });
    });
  }
}

function streamName(i: number): string {
  return `${PLACES[i % PLACES.length]}-${Math.floor(i / PLACES.length) + 1}`;
}

function living(id: string, i: number, second: number): StreamReport {
  const base = streamReport(id);
  const sway = Math.sin(second / 4 + i) + 0.5 * Math.sin(second / 1.7 + 2 * i);
  const isSlow = i % 11 === 2;
  const isLate = i % 13 === 5;
  const rate = isSlow ? 17 : 24.4;
  const median = (isLate ? 78 : 34) + sway * 3;
  const frames = 9000 + i * 1370 + Math.round(rate * second);
  const dropped = isSlow ? Math.round(frames * 0.21) : 18 + i;
  const report: StreamReport = {
    ...base,
    seq: second + 1,
    fps: { in: 25 + sway * 0.1, inferred: rate + sway * 0.3, published: rate + sway * 0.3 },
    isMissing: { fps: isSlow, latency: isLate },
    latencyMs: { window: percentiles(median), total: percentiles(36, frames) },
    frames: {
      in: frames + dropped + 4,
      published: frames,
      inFlight: 4,
      dropped: { 'queue-full': dropped - 6, stale: 6 },
    },
    queueDepth: isSlow ? 4 : 1,
    reconnects: i % 3,
    decodeErrors: i % 7 === 3 ? 12 : 0,
  };
  if (i % 29 === 8) {
    const lastError = 'The camera does not answer; next try in 4 s.';
    return { ...report, ...still(report), state: 'reconnecting', lastError };
  }
  return report;
}

/** A stream that publishes nothing. */
function still(report: StreamReport): Pick<StreamReport, 'fps' | 'latencyMs' | 'isMissing'> {
  const none = { count: 0, p50: 0, p95: 0, p99: 0, max: 0 };
  return {
    fps: { in: 0, inferred: 0, published: 0 },
    latencyMs: { window: none, total: report.latencyMs.total },
    isMissing: { fps: false, latency: false },
  };
}
