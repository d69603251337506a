import type { MachineUse } from '../../frame/telemetry/machine-counters.ts';
import type { GpuReport } from '../../wire/protocol/power-report.ts';
import type { StreamWindow } from '../measure/run-recorder.ts';
import type { Part } from '../measure/trial-result.ts';
import type { Constraint, SlopeFigure } from './load-result.ts';

/** A stream to add: it reads one virtual camera. */
export interface LoadStream {
  readonly id: string;
  readonly source: string;
  /** Position in the plan: pipelines with several streams lend their settings in turn. */
  readonly index: number;
}

export type ResourceFigures = Readonly<Record<Exclude<SlopeFigure, 'p99Ms'>, number | null>>;

/** What was observed since the last look. */
export interface LoadWindow {
  readonly seconds: number;
  /** In the first window of a gateway: since they were added. */
  readonly streams: readonly StreamWindow[];
  /** Of the frames that were published, by the stream's id; streams without one may be absent. */
  readonly latencies: ReadonlyMap<string, readonly LatencyBound[]>;
  /** Frames whose inference failed; null from outside, where only dropped ones are seen. */
  readonly failedInferences: number | null;
  /** Mean time of each stage per published frame; null from outside. */
  readonly stagesMs: Readonly<Record<Part, number>> | null;
  readonly machine: MachineUse | null;
  /** Empty where no GPU reports its use. */
  readonly gpus: readonly GpuReport[];
}

/** A latency: exact if both are equal; from outside only bounds are known. */
export interface LatencyBound {
  readonly mostMs: number;
  readonly leastMs: number;
}

export interface LoadObserver {
  look(): Promise<LoadWindow>;
  /** What limits, by the last ten windows. */
  constraints(): Constraint[];
  close(): void;
}

/** What is put under load: a pipeline in this process, or a gateway with whatever is behind it. */
export interface LoadSubject {
  /** As reports name it. */
  readonly name: string;
  /** Largest `maxAgeMs` of its streams; null if it is not known. */
  readonly maxAgeMs: number | null;
  /** Frames per second that the stream at this position takes of a camera's: settings may ask for fewer. */
  takenFps(index: number, cameraFps: number): number;
  /** @throws CONFIG_INVALID, SOURCE_*, STREAM_EXISTS, UNAUTHORIZED */
  add(streams: readonly LoadStream[]): Promise<void>;
  /** Ids that are gone already are ignored. */
  remove(ids: readonly string[]): Promise<void>;
  /**
   * Waits until each stream has published a frame, or some have and the others take too long.
   *
   * @returns those that have none. @throws SOURCE_STALLED if none has any; the failure of a stream; the signal's reason.
   */
  started(ids: readonly string[], signal: AbortSignal): Promise<readonly string[]>;
  observe(ids: readonly string[]): LoadObserver;
  resources(): Promise<ResourceFigures>;
  /** Removes its streams, and ends what was started. */
  close(): Promise<void>;
}

/** True if a stream reads a file or a test picture at its own rate, not a camera. */
export function isFileSource(source: string): boolean {
  return !/^(?:https?|rtsp):/.test(source);
}
