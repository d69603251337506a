import { judgeTargets, type Target } from '../measure/targets.ts';
import type { MachineUse, TargetVerdict } from '../measure/trial-result.ts';
import { percentilesOf } from '../telemetry/sliding-window.ts';
import type { CameraServerStats } from './cameras/camera-server.ts';
import type { Constraint, LoadStep, LoadVerdict, StreamShare } from './load-result.ts';
import type { LoadWindow, StreamCounts } from './load-subject.ts';

/** Latencies kept of a span; when there are more, every other one is dropped. */
const MAX_LATENCIES = 4_096;

/** Adds up the windows of a span, however long, in bounded memory. */
export class LoadSpan {
  #seconds = 0;
  #frames = 0;
  #oldestMs = 0;
  #latencies: number[] = [];
  #stride = 1;
  #seen = 0;
  readonly #machines: { readonly use: MachineUse; readonly seconds: number }[] = [];
  #first: readonly StreamCounts[];
  #last: readonly StreamCounts[];

  /** @param before - counts at the start of the span. */
  constructor(before: readonly StreamCounts[]) {
    this.#first = before;
    this.#last = before;
  }

  add({ seconds, streams, latenciesMs, machine }: LoadWindow): void {
    this.#seconds += seconds;
    this.#last = streams;
    this.#frames += latenciesMs.length;
    for (const ms of latenciesMs) {
      this.#oldestMs = Math.max(this.#oldestMs, ms);
      if (this.#seen++ % this.#stride === 0) this.#latencies.push(ms);
      if (this.#latencies.length < MAX_LATENCIES) continue;
      this.#latencies = this.#latencies.filter((_, i) => i % 2 === 0);
      this.#stride *= 2;
    }
    if (machine !== null) this.#machines.push({ use: machine, seconds });
  }

  get seconds(): number {
    return this.#seconds;
  }

  get latenciesMs(): readonly number[] {
    return this.#latencies;
  }

  get oldestMs(): number {
    return this.#oldestMs;
  }

  /** What each stream did in the span. A stream that was added to its host again counts from there. */
  get streams(): StreamCounts[] {
    return this.#last.map((last) => {
      const first = this.#first.find(({ id }) => id === last.id);
      const isSame = first !== undefined && first.entered <= last.entered;
      const minus = (after: number, before: number | undefined): number => after - (isSame ? (before ?? 0) : 0);
      return {
        id: last.id,
        entered: minus(last.entered, first?.entered),
        published: minus(last.published, first?.published),
        dropped: Object.fromEntries(
          Object.entries(last.dropped).map(([reason, count]) => [reason, minus(count, first?.dropped[reason])]),
        ),
        gap: last.gap,
      };
    });
  }

  /** Mean over time; null if the system does not report it. */
  get machine(): MachineUse | null {
    const all = this.#machines;
    const whole = all.reduce((sum, { seconds }) => sum + seconds, 0);
    if (all.length === 0 || whole === 0) return null;
    const mean = (key: keyof MachineUse): number | null =>
      all.some(({ use }) => use[key] === null)
        ? null
        : all.reduce((sum, { use, seconds }) => sum + use[key]! * seconds, 0) / whole;
    return {
      ownRatio: mean('ownRatio'),
      otherRatio: mean('otherRatio'),
      stealRatio: mean('stealRatio'),
      throttledRatio: mean('throttledRatio'),
      networkInBytesPerS: mean('networkInBytesPerS'),
      networkOutBytesPerS: mean('networkOutBytesPerS'),
      memoryAvailableBytes: mean('memoryAvailableBytes'),
    };
  }
}

export interface StepFacts {
  readonly name: string;
  readonly span: LoadSpan;
  readonly targets: readonly Target[];
  readonly constraints: readonly Constraint[];
  /** Of the cameras at the start and the end of the span, in the same order of time; null with protocol `file`. */
  readonly cameras: { readonly before: CameraServerStats; readonly after: CameraServerStats } | null;
  /** The camera that a stream reads. */
  readonly cameraOf: (streamId: string) => string;
  /** Rate of a stream's camera, and how much of it the stream takes. */
  readonly ratesOf: (streamId: string) => { readonly cameraFps: number; readonly takenFps: number };
  readonly cores: number;
}

/** Computes what a span shows. */
export function loadStep(facts: StepFacts): LoadStep {
  const { name, span, targets, constraints, cameras } = facts;
  const streams = span.streams;
  const { shares, lost } = sharesOf(facts, streams);
  const seconds = Math.max(1e-6, span.seconds);
  const published = total(streams.map((stream) => stream.published));
  const offered = total(shares.map((share) => share.offered));
  const dropped = addReasons(streams);
  const droppedCount = total(Object.values(dropped));
  const entered = total(streams.map((stream) => stream.entered));
  const dropRatio = entered + lost === 0 ? 0 : (droppedCount + lost) / (entered + lost);
  const latencyMs = percentilesOf(Float64Array.from(span.latenciesMs));
  const machine = withoutCameras(facts, span.machine);
  const verdicts = judgeTargets(targets, {
    streamFps: ratesForTarget(shares, seconds, targets.find(({ metric }) => metric === 'fps')?.limit ?? 0),
    seconds,
    latencyMs,
    latenciesMs: span.latenciesMs,
    dropRatio,
    machine: machine ?? NO_MACHINE,
    streams: streams.length,
  });
  const gaps = streams.map(({ gap }) => gap);
  return {
    name,
    cameras: streams.length,
    seconds,
    offeredFps: offered / seconds,
    fps: published / seconds,
    frames: published,
    latencyMs,
    oldestMs: span.oldestMs,
    dropRatio,
    dropped,
    lostAtCameras: lost,
    conservationGap: gaps.some((gap) => gap === null) ? null : total(gaps.map((gap) => Math.abs(gap!))),
    fairness: jainIndex(shares.map(({ share }) => share)),
    shares,
    targets: verdicts,
    verdict: verdictOf(verdicts),
    constraints,
    machine,
    cameraCpuCores: cameras === null ? null : (cameras.after.cpuMs - cameras.before.cpuMs) / (seconds * 1000),
    cameraLateMs: cameras?.after.lateMs ?? null,
  };
}

export function verdictOf(targets: readonly TargetVerdict[]): LoadVerdict {
  if (targets.some(({ state }) => state === 'missed')) return 'missed';
  return targets.every(({ state }) => state === 'met') ? 'met' : 'not enough frames';
}

/** Jain's fairness index, (sum x)^2 / (n sum x^2); Jain, Chiu, Hawe, DEC-TR-301, 1984. 1 for no values or all 0. */
export function jainIndex(values: readonly number[]): number {
  const squares = total(values.map((value) => value ** 2));
  return squares === 0 ? 1 : total(values) ** 2 / (values.length * squares);
}

function sharesOf(facts: StepFacts, streams: readonly StreamCounts[]): { shares: StreamShare[]; lost: number } {
  const { cameras, cameraOf, ratesOf, span } = facts;
  const difference = (id: string, key: 'offered' | 'lost'): number => {
    const find = (stats: CameraServerStats): number => stats.cameras.find((camera) => camera.id === id)?.[key] ?? 0;
    return cameras === null ? 0 : find(cameras.after) - find(cameras.before);
  };
  const shares = streams.map(({ id, published }) => {
    const { cameraFps, takenFps } = ratesOf(id);
    const made = cameras === null ? cameraFps * span.seconds : difference(cameraOf(id), 'offered');
    const offered = made * (takenFps / cameraFps);
    return { id, offered, published, share: offered <= 0 ? 1 : Math.min(1, published / offered) };
  });
  return { shares, lost: total(streams.map(({ id }) => difference(cameraOf(id), 'lost'))) };
}

/** A camera that offers up to this much more than a target is asked for what it offers. */
const NEAR_LIMIT_RATIO = 1.05;

/**
 * A target of 30 frames/s asks a camera that offers 12 for those 12: the rate of such a stream counts as the same share of
 * the target. One frame is the resolution of both counts.
 */
function ratesForTarget(shares: readonly StreamShare[], seconds: number, limit: number): number[] {
  return shares.map(({ offered, published }) => {
    if (offered <= 0) return limit;
    const isSlow = offered / seconds < limit * NEAR_LIMIT_RATIO;
    return isSlow ? limit * Math.min(1, (published + 1) / offered) : published / seconds;
  });
}

/** The cameras are neither Sightline nor others. */
function withoutCameras({ cameras, span, cores }: StepFacts, machine: MachineUse | null): MachineUse | null {
  if (machine?.otherRatio == null || cameras === null) return machine;
  const cameraRatio = (cameras.after.cpuMs - cameras.before.cpuMs) / (span.seconds * 1000 * cores);
  return { ...machine, otherRatio: Math.max(0, machine.otherRatio - cameraRatio) };
}

const NO_MACHINE: MachineUse = {
  ownRatio: null,
  otherRatio: null,
  stealRatio: null,
  throttledRatio: null,
  networkInBytesPerS: null,
  networkOutBytesPerS: null,
  memoryAvailableBytes: null,
};

function addReasons(streams: readonly StreamCounts[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { dropped } of streams)
    for (const [reason, count] of Object.entries(dropped)) if (count > 0) sums[reason] = (sums[reason] ?? 0) + count;
  return sums;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
