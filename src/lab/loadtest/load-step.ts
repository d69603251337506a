import { meanGpuUse } from '../../frame/telemetry/gpu-meter.ts';
import type { MachineUse } from '../../frame/telemetry/machine-counters.ts';
import { meanMachineUse } from '../../frame/telemetry/machine-counters.ts';
import type { GpuReport } from '../../wire/protocol/power-report.ts';
import { LatencyTally } from '../measure/latency-tally.ts';
import { addStreams, type StreamWindow } from '../measure/run-recorder.ts';
import { addReasons, droppedOf, energyPerFrame, total } from '../measure/summarise-windows.ts';
import { judgeTargets, type StreamEvidence, type Target, verdictOf } from '../measure/targets.ts';
import { type FaultCounts, PARTS, type Part } from '../measure/trial-result.ts';
import type { CameraServerStats } from './cameras/camera-server.ts';
import type { Constraint, LoadStep, StreamShare } from './load-result.ts';
import type { LoadWindow } from './load-subject.ts';

/** What one stream did in a span. */
interface StreamSum extends StreamWindow {
  readonly latency: LatencyTally;
}

/** Adds up the windows of a span, however long, stream by stream, over all frames and in bounded memory. */
export class LoadSpan {
  readonly targets: readonly Target[];
  #seconds = 0;
  #oldestMs = 0;
  #failedInferences: number | null = 0;
  readonly #all: LatencyTally;
  readonly #streams = new Map<string, StreamSum>();
  readonly #stages = { frames: 0, sumsMs: new Map<Part, number>() };
  /** Means so far: of the machine as one span, and of the GPUs. */
  #machine: { readonly use: MachineUse | null; readonly seconds: number } = { use: null, seconds: 0 };
  #gpus: { readonly gpus: readonly GpuReport[]; readonly seconds: number } = { gpus: [], seconds: 0 };

  /**
   * @param streams - all streams at the start of the span. One that disappears later stays: it publishes nothing.
   * @param targets - whose limits every frame is compared with.
   */
  constructor(streams: readonly Pick<StreamWindow, 'id' | 'gap'>[], targets: readonly Target[]) {
    this.targets = targets;
    this.#all = new LatencyTally(targets);
    for (const { id, gap } of streams)
      this.#streams.set(id, {
        id,
        entered: 0,
        published: 0,
        dropped: {},
        decodeErrors: 0,
        reconnects: 0,
        gap,
        latency: new LatencyTally(targets),
      });
  }

  add({ seconds, streams, latencies, failedInferences, stagesMs, machine, gpus }: LoadWindow): void {
    this.#seconds += seconds;
    for (const window of streams) {
      const sum = this.#streams.get(window.id);
      if (sum !== undefined) this.#streams.set(window.id, { ...addStreams(sum, window), latency: sum.latency });
    }
    let frames = 0;
    for (const [id, bounds] of latencies) {
      const tally = this.#streams.get(id)?.latency;
      if (tally === undefined) continue;
      frames += bounds.length;
      for (const { mostMs, leastMs } of bounds) {
        this.#oldestMs = Math.max(this.#oldestMs, mostMs);
        tally.add(mostMs, leastMs);
        this.#all.add(mostMs, leastMs);
      }
    }
    this.#failedInferences =
      failedInferences === null || this.#failedInferences === null ? null : this.#failedInferences + failedInferences;
    if (stagesMs !== null) {
      this.#stages.frames += frames;
      for (const part of PARTS) {
        const sumMs = this.#stages.sumsMs.get(part) ?? 0;
        this.#stages.sumsMs.set(part, sumMs + stagesMs[part] * frames);
      }
    }
    if (machine !== null) this.#addMachine(machine, seconds);
    if (gpus.length > 0)
      this.#gpus = { gpus: meanGpuUse([this.#gpus, { gpus, seconds }]), seconds: this.#gpus.seconds + seconds };
  }

  #addMachine(use: MachineUse, seconds: number): void {
    const before = this.#machine;
    const mean =
      before.use === null
        ? use
        : meanMachineUse([
            { ...before, use: before.use },
            { use, seconds },
          ]);
    this.#machine = { use: mean, seconds: before.seconds + seconds };
  }

  get seconds(): number {
    return this.#seconds;
  }

  get oldestMs(): number {
    return this.#oldestMs;
  }

  /** Of all streams together. */
  get latencyMs(): LoadStep['latencyMs'] {
    return this.#all.figures().latencyMs;
  }

  get streams(): readonly StreamSum[] {
    return [...this.#streams.values()];
  }

  get faults(): FaultCounts {
    const streams = this.streams;
    const dropped = addReasons(streams.map((stream) => stream.dropped));
    return {
      frames: total(streams, ({ entered }) => entered),
      decodeErrors: total(streams, ({ decodeErrors }) => decodeErrors),
      failedInferences: this.#failedInferences ?? dropped['engine-failed'] ?? 0,
      reconnects: total(streams, ({ reconnects }) => reconnects),
      dropped,
    };
  }

  /** Mean per published frame; null if it cannot be seen. */
  get stagesMs(): Readonly<Record<Part, number>> | null {
    const { frames, sumsMs } = this.#stages;
    if (sumsMs.size === 0) return null;
    const mean = (part: Part): number => (frames === 0 ? 0 : sumsMs.get(part)! / frames);
    return Object.fromEntries(PARTS.map((part) => [part, mean(part)])) as Record<Part, number>;
  }

  /** Mean over time; null if the system does not report it. */
  get machine(): MachineUse | null {
    return this.#machine.use;
  }

  get gpus(): readonly GpuReport[] {
    return this.#gpus.gpus;
  }
}

/** The cameras at the start and the end of a span. */
export interface CameraSpan {
  readonly before: CameraServerStats;
  readonly after: CameraServerStats;
}

export interface StepFacts {
  readonly name: string;
  readonly span: LoadSpan;
  /** How often the span is judged; see `judgeTargets`. Default 1. */
  readonly looks?: number;
  readonly constraints: readonly Constraint[];
  /** Null with protocol `file`. */
  readonly cameras: CameraSpan | null;
  /** The camera that a stream reads. */
  readonly cameraOf: (streamId: string) => string;
  /** Rate of a stream's camera, and how much of it the stream takes. */
  readonly ratesOf: (streamId: string) => { readonly cameraFps: number; readonly takenFps: number };
  readonly cores: number;
}

/** Computes what a span shows. */
export function loadStep(facts: StepFacts): LoadStep {
  const { name, span, looks = 1, constraints, cameras } = facts;
  const seconds = Math.max(1e-6, span.seconds);
  const streams = span.streams.map((stream) => ({ ...stream, ...offeredTo(stream.id, facts) }));
  const published = total(streams, (stream) => stream.published);
  const offered = total(streams, (stream) => stream.offered);
  const lost = total(streams, (stream) => stream.lost);
  const evidence = streams.map((stream): StreamEvidence => evidenceOf(stream, seconds));
  const entered = total(evidence, (stream) => stream.entered);
  const dropRatio = entered === 0 ? 0 : total(evidence, (stream) => stream.dropped) / entered;
  const machine = withoutCameras(facts, span.machine);
  const verdicts = judgeTargets(
    span.targets,
    { perStream: evidence, seconds, dropRatio, machine, streams: streams.length },
    looks,
  );
  const shares = streams.map(({ id, offered, published }, i): StreamShare => {
    const { latencyMs, dropped } = evidence[i]!;
    return { id, offered, published, share: shareOf(published, offered), latencyMs, dropped };
  });
  const gaps = streams.map(({ gap }) => gap);
  const fps = published / seconds;
  const energy = energyPerFrame(machine, span.gpus, fps);
  return {
    name,
    cameras: streams.length,
    seconds,
    offeredFps: offered / seconds,
    fps,
    frames: published,
    latencyMs: span.latencyMs,
    oldestMs: span.oldestMs,
    dropRatio,
    dropped: span.faults.dropped,
    faults: span.faults,
    stagesMs: span.stagesMs,
    lostAtCameras: lost,
    conservationGap: gaps.some((gap) => gap === null) ? null : total(gaps, (gap) => Math.abs(gap!)),
    fairness: jainIndex(shares.map(({ share }) => share)),
    shares,
    targets: verdicts,
    verdict: verdictOf(verdicts),
    constraints,
    machine,
    ...(span.gpus.length === 0 ? {} : { gpus: span.gpus }),
    ...(energy === null ? {} : { energy }),
    cameraCpuCores: cameras === null ? null : (cameras.after.cpuMs - cameras.before.cpuMs) / (seconds * 1000),
    cameraLateMs: cameras?.after.lateMs ?? null,
  };
}

/** Jain's fairness index, (sum x)^2 / (n sum x^2); Jain, Chiu, Hawe, DEC-TR-301, 1984. 1 for no values or all 0. */
export function jainIndex(values: readonly number[]): number {
  const squares = total(values, (value) => value ** 2);
  return squares === 0 ? 1 : total(values, (value) => value) ** 2 / (values.length * squares);
}

/** Frames that a stream's camera offered it, less those that its settings leave out, and those that it did not take in time. */
function offeredTo(
  id: string,
  { cameras, cameraOf, ratesOf, span }: StepFacts,
): { readonly offered: number; readonly lost: number } {
  const difference = (key: 'offered' | 'lost'): number => {
    const find = (stats: CameraServerStats): number =>
      stats.cameras.find((camera) => camera.id === cameraOf(id))?.[key] ?? 0;
    return cameras === null ? 0 : find(cameras.after) - find(cameras.before);
  };
  const { cameraFps, takenFps } = ratesOf(id);
  const made = cameras === null ? cameraFps * span.seconds : difference('offered');
  return { offered: made * (takenFps / cameraFps), lost: difference('lost') };
}

type OfferedStream = LoadSpan['streams'][number] & { readonly offered: number; readonly lost: number };

function evidenceOf(stream: OfferedStream, seconds: number): StreamEvidence {
  const { id, published, entered, lost, offered, latency } = stream;
  return {
    ...latency.figures(),
    id,
    fps: published / seconds,
    entered: entered + lost,
    dropped: droppedOf(stream) + lost,
    offeredFps: offered / seconds,
  };
}

function shareOf(published: number, offered: number): number {
  return offered <= 0 ? 1 : Math.min(1, published / offered);
}

/** The cameras are neither Sightline nor others. */
function withoutCameras({ cameras, span, cores }: StepFacts, machine: MachineUse | null): MachineUse | null {
  if (machine?.otherRatio == null || cameras === null) return machine;
  const cameraRatio = (cameras.after.cpuMs - cameras.before.cpuMs) / (span.seconds * 1000 * cores);
  return { ...machine, otherRatio: Math.max(0, machine.otherRatio - cameraRatio) };
}
