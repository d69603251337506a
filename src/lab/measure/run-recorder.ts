import { monoNowMs } from '../../base/core/clock.ts';
import type { FrameTimes } from '../../base/core/frame.ts';
import type { Runtime } from '../../frame/runtime/runtime.ts';
import type { RuntimeStream } from '../../frame/runtime/stream/runtime-stream.ts';
import { type CpuUse, subtractCpuUse } from '../../frame/telemetry/cpu-ledger.ts';
import type { ReadFile } from '../../frame/telemetry/energy-counters.ts';
import type { GpuMeter } from '../../frame/telemetry/gpu-meter.ts';
import type { MachineUse } from '../../frame/telemetry/machine-counters.ts';
import { type MachineCounters, machineUse, readMachineCounters } from '../../frame/telemetry/machine-counters.ts';
import type { PartSums } from '../../frame/telemetry/part-times.ts';
import { conservationGap } from '../../frame/telemetry/stream-telemetry.ts';
import type { GpuReport } from '../../wire/protocol/power-report.ts';
import { BUSY_STAGES, type BusyStage } from '../../wire/protocol/report.ts';
import { subtractSums } from './breakdown.ts';

/** How often frames in flight and held-back decoders are counted. Costs 0.2 % of a core. */
const SAMPLE_MS = 5;

export interface RecordedFrame {
  readonly streamId: string;
  readonly ptsUs: number;
  /** Media time since the frame of its stream that was published before; 0 for the first one. */
  readonly passedUs: number;
  readonly times: Readonly<FrameTimes>;
  /** The clock of its camera, as of its connection; absent for streams that are not observed. */
  readonly clock?: DueClock;
}

/** A camera's clock, since when it holds, and the one before: frames of the last connection may still be in flight. */
interface StreamClock {
  readonly clock: DueClock;
  readonly sinceMs: number;
  readonly before: DueClock | null;
}

const STREAM_COUNTS = ['entered', 'published', 'decodeErrors', 'reconnects'] as const;

/** What happened to the frames of one stream between two moments. */
export interface StreamWindow extends Readonly<Record<(typeof STREAM_COUNTS)[number], number>> {
  readonly id: string;
  /** By reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** See `conservationGap`, at its end; null if it cannot be seen from outside. */
  readonly gap: number | null;
}

/** Adds what happened to a stream in two windows, the later one last. */
export function addStreams(a: StreamWindow, b: StreamWindow): StreamWindow {
  return combineStreams(a, b, (x, y) => x + y);
}

/** What happened to a stream since its counts were `before`. One that was added to its host again counts from there. */
export function streamSince(before: StreamWindow | undefined, now: StreamWindow): StreamWindow {
  if (before === undefined || before.entered > now.entered || before.published > now.published) return now;
  return combineStreams(before, now, (x, y) => y - x);
}

function combineStreams(a: StreamWindow, b: StreamWindow, operation: (x: number, y: number) => number): StreamWindow {
  const reasons = Object.keys({ ...a.dropped, ...b.dropped });
  return {
    ...b,
    ...Object.fromEntries(STREAM_COUNTS.map((key) => [key, operation(a[key], b[key])])),
    dropped: Object.fromEntries(
      reasons.map((reason) => [reason, operation(a.dropped[reason] ?? 0, b.dropped[reason] ?? 0)]),
    ),
  };
}

/** Where figures of the machine come from. */
export interface MachineSources {
  /** Default: the system's files. */
  readonly read?: ReadFile;
  /** Default none. */
  readonly gpus?: GpuMeter | null;
}

/** Everything that was observed between two moments. */
export interface RunWindow {
  readonly startMs: number;
  readonly endMs: number;
  /** Published in between, in the order of publication. */
  readonly frames: readonly RecordedFrame[];
  /** Of each stream, in the order in which they were given. */
  readonly streams: readonly StreamWindow[];
  /**
   * Time that frames were in flight in between, by the times that they carry: from decoded, or the start, to published
   * or dropped, or the end.
   */
  readonly residenceMs: number;
  /** Mean over time: frames between decoded and published or dropped. */
  readonly inFlight: number;
  /** Mean share of the streams whose ffmpeg was held back, over time. */
  readonly heldBackRatio: number;
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  readonly eventLoopP99Ms: number;
  /** Null on systems without /proc. */
  readonly cpu: CpuUse | null;
  readonly machine: MachineUse;
  /** Empty where no GPU reports its use. */
  readonly gpus: readonly GpuReport[];
  readonly sums: PartSums;
}

interface Mark {
  readonly atMs: number;
  readonly cpu: CpuUse | null;
  readonly machine: MachineCounters;
  readonly sums: PartSums;
  readonly streams: readonly StreamWindow[];
  readonly droppedMs: number;
  readonly pendingMs: number;
}

interface HostSample {
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  readonly p99DelayMs: number;
}

/**
 * Observes some streams of a runtime, and cuts what it sees into windows. All figures of a window are taken at the same
 * two moments of the main thread, between which no frame can be published.
 */
export class RunRecorder {
  readonly #runtime: Runtime;
  readonly #sources: MachineSources;
  readonly #streams: readonly RuntimeStream[];
  readonly #clocks = new Map<string, StreamClock>();
  /** Media time of the newest frame of each stream. */
  readonly #newestUs = new Map<string, number>();
  readonly #unsubscribe: readonly (() => void)[];
  readonly #sampler: NodeJS.Timeout;
  #frames: RecordedFrame[] = [];
  #hosts: HostSample[] = [];
  #sampledMs: number;
  #lastInFlight = 0;
  #lastHeldBack = 0;
  #inFlightArea = 0;
  #heldBackArea = 0;
  #mark: Mark;

  constructor(runtime: Runtime, streams: readonly RuntimeStream[], sources: MachineSources = {}) {
    this.#runtime = runtime;
    this.#sources = sources;
    // What was reported before belongs to another run.
    sources.gpus?.take();
    this.#streams = streams;
    for (const { id } of streams) this.#clocks.set(id, { clock: new DueClock(), sinceMs: 0, before: null });
    this.#unsubscribe = [
      runtime.published.add(({ streamId, ptsUs, times }) => this.#onPublished({ streamId, ptsUs, times })),
      runtime.events.add(({ kind, stream, details }) => {
        if (kind === 'stream-state' && details?.to === 'reconnecting') this.#restartClock(stream ?? '');
      }),
      runtime.reports.add(({ host }) => {
        this.#hosts.push({ busyRatio: host.busyRatio, p99DelayMs: host.eventLoop.p99DelayMs });
      }),
    ];
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#mark = this.#takeMark();
    this.#sampledMs = this.#mark.atMs;
  }

  /** Returns what was observed since the last call, or since the start. */
  closeWindow(): RunWindow {
    this.#sample();
    const from = this.#mark;
    const to = this.#takeMark();
    this.#mark = to;
    const cpu = from.cpu === null || to.cpu === null ? null : subtractCpuUse(to.cpu, from.cpu);
    const elapsedMs = Math.max(1e-3, to.atMs - from.atMs);
    const window: RunWindow = {
      startMs: from.atMs,
      endMs: to.atMs,
      frames: this.#frames,
      streams: to.streams.map((stream, i) => streamSince(from.streams[i], stream)),
      residenceMs:
        this.#frames.reduce((sum, { times }) => sum + times.published - times.decoded, 0) +
        (to.droppedMs - from.droppedMs) +
        (to.pendingMs - from.pendingMs),
      inFlight: this.#inFlightArea / elapsedMs,
      heldBackRatio: Math.min(1, this.#heldBackArea / elapsedMs),
      ...this.#hostFigures(),
      cpu,
      machine: machineUse(from.machine, to.machine, cpu?.total ?? null, elapsedMs),
      gpus: this.#sources.gpus?.take() ?? [],
      sums: subtractSums(to.sums, from.sums),
    };
    this.#frames = [];
    this.#hosts = [];
    this.#inFlightArea = 0;
    this.#heldBackArea = 0;
    return window;
  }

  /** When a frame was due by the clock of its camera, as far as it is known by now. */
  dueMs({ ptsUs, times, clock }: RecordedFrame): number {
    return clock?.dueMs(ptsUs) ?? times.captured;
  }

  close(): void {
    clearInterval(this.#sampler);
    for (const remove of this.#unsubscribe) remove();
  }

  /** Media time goes on after a reconnection, without the time that the camera was away. */
  #restartClock(id: string): void {
    const known = this.#clocks.get(id);
    if (known !== undefined) this.#clocks.set(id, { clock: new DueClock(), sinceMs: monoNowMs(), before: known.clock });
  }

  #onPublished(frame: Pick<RecordedFrame, 'streamId' | 'ptsUs' | 'times'>): void {
    const known = this.#clocks.get(frame.streamId);
    if (known === undefined) return;
    const clock = frame.times.captured < known.sinceMs && known.before !== null ? known.before : known.clock;
    clock.observe({ ptsUs: frame.ptsUs, capturedMs: frame.times.captured });
    const passedUs = frame.ptsUs - (this.#newestUs.get(frame.streamId) ?? frame.ptsUs);
    this.#newestUs.set(frame.streamId, frame.ptsUs);
    this.#frames.push({ ...frame, passedUs, clock });
    // It has just left: it was in flight until now.
    this.#sample(1);
  }

  /**
   * Counts frames in flight and held-back streams, and adds their areas over time by the trapezoidal rule. A sample
   * counts for the time since the last one: when the machine is busy, samples come late just while most is in flight.
   *
   * @param left - frames that left right now.
   */
  #sample(left = 0): void {
    let inFlight = 0;
    let heldBack = 0;
    for (const stream of this.#streams) {
      inFlight += stream.pendingFrames;
      if (stream.isHeldBack) heldBack += 1 / this.#streams.length;
    }
    const now = monoNowMs();
    const halfMs = (now - this.#sampledMs) / 2;
    this.#inFlightArea += (this.#lastInFlight + inFlight + left) * halfMs;
    this.#heldBackArea += (this.#lastHeldBack + heldBack) * halfMs;
    this.#sampledMs = now;
    this.#lastInFlight = inFlight;
    this.#lastHeldBack = heldBack;
  }

  /** Reports come once a second; a shorter window takes the newest one. */
  #hostFigures(): Pick<RunWindow, 'busyRatio' | 'eventLoopP99Ms'> {
    const { busyRatio, eventLoop } = this.#runtime.report().host;
    const hosts = this.#hosts.length > 0 ? this.#hosts : [{ busyRatio, p99DelayMs: eventLoop.p99DelayMs }];
    const mean = (stage: BusyStage): number =>
      hosts.reduce((sum, host) => sum + host.busyRatio[stage], 0) / hosts.length;
    return {
      busyRatio: Object.fromEntries(BUSY_STAGES.map((stage) => [stage, mean(stage)])) as Record<BusyStage, number>,
      eventLoopP99Ms: Math.max(...hosts.map(({ p99DelayMs }) => p99DelayMs)),
    };
  }

  #takeMark(): Mark {
    let droppedMs = 0;
    let pendingMs = 0;
    const atMs = monoNowMs();
    for (const stream of this.#streams) {
      droppedMs += stream.ledger.droppedMs;
      pendingMs += stream.ledger.pendingMs(atMs);
    }
    return {
      atMs,
      cpu: this.#runtime.cpuUse(),
      machine: readMachineCounters(this.#sources.read),
      sums: this.#runtime.partTimes.sums(),
      streams: this.#streams.map((stream) => {
        const frames = stream.telemetry.frames(stream.ledger.inFlight);
        const { in: entered, published, dropped } = frames;
        const { id, decoding, reconnectCount: reconnects } = stream;
        return {
          id,
          entered,
          published,
          dropped: { ...dropped },
          decodeErrors: decoding.errors,
          reconnects,
          gap: conservationGap(frames),
        };
      }),
      droppedMs,
      pendingMs,
    };
  }
}

/** A frame's media time, and when ffmpeg delivered it. */
interface Arrival {
  readonly ptsUs: number;
  readonly capturedMs: number;
}

/**
 * The clock of one camera: frame k was due at origin + pts_k. The origin is not known; it is estimated by the frame that
 * came earliest by its own media time, which was late the least. So latency counts from the moment a frame was due, and
 * a stall that delays the frames themselves is not hidden ("coordinated omission").
 *
 * A delay that is the same for every frame before it is delivered, such as the decoding of one frame, cannot be seen this way.
 */
export class DueClock {
  #originMs = Number.POSITIVE_INFINITY;

  observe({ ptsUs, capturedMs }: Arrival): void {
    this.#originMs = Math.min(this.#originMs, capturedMs - ptsUs / 1000);
  }

  /** When a frame was due, on the monotonic clock; never after it was captured if it was observed. */
  dueMs(ptsUs: number): number {
    return this.#originMs + ptsUs / 1000;
  }
}
