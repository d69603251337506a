/** What telemetry says once a second: the shape of `stats`, of `GET /api/streams` and of a command's summary. */
import type { DropReason } from '../core/frame.ts';

/** Milliseconds; `count` samples were seen, all figures 0 where that is 0. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export const STREAM_STATES = [
  'starting',
  'running',
  'reconnecting',
  'pausing',
  'paused',
  'ended',
  'failed',
  'removing',
  'removed',
] as const;
export type StreamState = (typeof STREAM_STATES)[number];

/**
 * Parts of a frame's latency. decode: captured to decoded; preprocess: to preprocessed; queue: to batched;
 * infer: to inferred; publish: to published (waiting for earlier frames of the same stream included).
 */
export const LATENCY_STAGES = ['decode', 'preprocess', 'queue', 'infer', 'publish'] as const;
export type LatencyStage = (typeof LATENCY_STAGES)[number];

/** in = published + sum of dropped + inFlight, exactly, at any moment. */
export interface FrameCounters {
  readonly in: number;
  readonly published: number;
  readonly inFlight: number;
  readonly dropped: Readonly<Partial<Record<DropReason, number>>>;
}

export interface ZoneCount {
  readonly id: string;
  /** Objects inside now. */
  readonly inside: number;
}

export interface LineCount {
  readonly id: string;
  /** Crossings since the start, seen along the line from its first to its second point. */
  readonly leftToRight: number;
  readonly rightToLeft: number;
}

export interface StreamReport {
  readonly id: string;
  /** Where the pixels come from, credentials redacted. */
  readonly source: string;
  readonly state: StreamState;
  readonly policy: 'live' | 'file';
  /** Rises by one with each report of this stream. */
  readonly seq: number;
  /** Measured over the sliding window, not announced by the source. */
  readonly fps: { readonly in: number; readonly inferred: number; readonly published: number };
  readonly target: { readonly fps: number | null; readonly latencyMs: number | null };
  /** A target has been missed for some seconds and has not recovered. */
  readonly isMissing: { readonly fps: boolean; readonly latency: boolean };
  /** Captured to published. */
  readonly latencyMs: { readonly window: Percentiles; readonly total: Percentiles };
  readonly stagesMs: Readonly<Record<LatencyStage, Percentiles>>;
  readonly frames: FrameCounters;
  /** Frames waiting for a batch now. */
  readonly queueDepth: number;
  readonly decodeErrors: number;
  /** Times that the source was opened again. */
  readonly reconnects: number;
  /** Last known size in source pixels; null before the first frame. */
  readonly width: number | null;
  readonly height: number | null;
  readonly priority: number;
  readonly weight: number;
  readonly zones: readonly ZoneCount[];
  readonly lines: readonly LineCount[];
  /** What went wrong last, in one sentence; null where nothing did. */
  readonly lastError: string | null;
  /** In a fleet, the host that runs it; absent while none does. */
  readonly host?: string;
  /** In a fleet, the number of the lease that it runs under; rises with every new holder. */
  readonly fence?: number;
}

/** Stages whose busy share is published; the one nearest to 1 is the bottleneck. */
export const BUSY_STAGES = ['decode', 'preprocess', 'infer', 'main'] as const;
export type BusyStage = (typeof BUSY_STAGES)[number];

export interface BatchReport {
  /** Real frames per batch -> number of batches since the start. */
  readonly histogram: Readonly<Record<number, number>>;
  readonly maxBatch: number;
  /** Size the batcher settled on, null while it measures. */
  readonly settledSize: number | null;
  /** Why, with the figures. */
  readonly reason: string;
}

export interface DeviceReport {
  readonly engine: string;
  /** Execution provider or backend, e.g. `cpu`, `cuda`. */
  readonly provider: string;
  readonly device: string;
  readonly precision: string;
  readonly threads: number;
  readonly model: string;
  readonly inputWidth: number;
  readonly inputHeight: number;
}

export interface HostReport {
  readonly uptimeS: number;
  readonly cores: number;
  /** CPU used by this process and its ffmpeg children, 1 = one core. */
  readonly cpuCores: number;
  readonly rssBytes: number;
  /** ffmpeg children, where the system tells. */
  readonly childRssBytes: number;
  readonly memoryTotalBytes: number;
  readonly eventLoop: { readonly p99DelayMs: number; readonly utilizationRatio: number };
  /** Share of its own capacity that each stage used in the last second, 0 to 1. */
  readonly busyRatio: Readonly<Record<BusyStage, number>>;
  readonly bottleneck: BusyStage;
  readonly device: DeviceReport;
  readonly batch: BatchReport;
}
