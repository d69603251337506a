import type { ScaleReport } from '../../src/wire/protocol/fleet-report.ts';
import { LATENCY_EDGES_MS, type LatencyCounts, type LatencyHistogram } from '../../src/wire/protocol/latency.ts';
import type { AlertFigures, HostReport, Percentiles, StreamReport } from '../../src/wire/protocol/report.ts';

/** Percentiles of a made-up distribution with this median. */
export function percentiles(p50: number, count = 250): Percentiles {
  return { count, p50, p95: p50 * 1.5, p99: p50 * 2, max: p50 * 3 };
}

const DOORWAY: [number, number][] = [
  [0.55, 0.35],
  [0.95, 0.4],
  [0.9, 0.9],
  [0.6, 0.85],
];

/** A healthy live stream: 1000 in = 960 published + 36 dropped + 4 in flight. */
export function streamReport(id: string): StreamReport {
  return {
    id,
    source: `rtsp://camera.example/${id}`,
    state: 'running',
    sign: null,
    canTellFrozen: true,
    lateMs: null,
    lastFrameAgeMs: 40,
    policy: 'live',
    seq: 40,
    fps: { in: 25.1, inferred: 24.3, published: 24.2 },
    target: { fps: 24, latencyMs: 100 },
    isMissing: { fps: false, latency: false },
    latencyMs: { window: percentiles(40), total: percentiles(42, 960), counted: latencyCounts() },
    stagesMs: {
      decode: percentiles(4),
      preprocess: percentiles(3),
      queue: percentiles(8),
      infer: percentiles(24),
      publish: percentiles(1),
    },
    frames: { in: 1000, published: 960, inFlight: 4, dropped: { 'queue-full': 30, stale: 6 } },
    seeing: { totalMs: 60_000, watchedMs: 48_000, blindMs: { down: 7500, black: 4500 } },
    events: { raised: 9, ended: 7, suppressed: { times: 1, cooldown: 4, when: 2 } },
    queueDepth: 2,
    decodeErrors: 1,
    reconnects: 3,
    width: 1280,
    height: 720,
    priority: 0,
    weight: 1,
    zones: [{ id: 'doorway', inside: 2, polygon: DOORWAY }],
    lines: [{ id: 'gate', leftToRight: 17, rightToLeft: 11, from: [0.1, 0.62], to: [0.45, 0.9] }],
    lastError: null,
  };
}

/** 960 frames, 900 of 30 to 40 ms, 55 of exactly 100, 5 of 2 s or more. */
export function latencyCounts(): LatencyCounts {
  const stageSumsMs = { decode: 4000, preprocess: 3000, queue: 9000, infer: 24_000, publish: 1000 };
  return { ...histogram({ 40: 900, 100: 55, 2500: 5 }, 41_000), late: 5, stageSumsMs };
}

/** @param frames - by the upper edge of their bucket, in milliseconds. */
function histogram(frames: Readonly<Record<number, number>>, sumMs: number): LatencyHistogram {
  const last = Math.max(...Object.keys(frames).map(Number));
  const counts = LATENCY_EDGES_MS.filter((edge) => edge <= last).map((edge) => frames[edge] ?? 0);
  return { counts, sumMs };
}

export function alertFigures(): AlertFigures {
  return {
    raised: 12,
    sent: 4,
    grouped: 3,
    suppressed: { hold: 2, quiet: 1 },
    failed: 1,
    pending: 1,
    snapshots: { sent: 3, failed: 1, pending: 2 },
  };
}

export function hostReport(): HostReport {
  return {
    uptimeS: 3725,
    cores: 8,
    cpuCores: 3.4,
    rssBytes: 512 * 1024 ** 2,
    childRssBytes: 256 * 1024 ** 2,
    memoryTotalBytes: 16 * 1024 ** 3,
    eventLoop: { p99DelayMs: 3.2, utilizationRatio: 0.11 },
    busyRatio: { decode: 0.42, preprocess: 0.31, infer: 0.87, main: 0.11 },
    bottleneck: 'infer',
    device: {
      engine: 'onnx',
      provider: 'cpu',
      device: '8 cores, AVX2',
      precision: 'f32',
      threads: 4,
      model: 'yolox-nano-480x256',
      inputWidth: 480,
      inputHeight: 256,
    },
    stageHistograms: {
      decode: histogram({ 5: 960 }, 4000),
      preprocess: histogram({ 4: 960 }, 3000),
      queue: histogram({ 8: 480, 12: 480 }, 9000),
      infer: histogram({ 25: 960 }, 24_000),
      publish: histogram({ 1.2: 960 }, 1000),
    },
    failedInferences: 7,
    secondStages: [
      {
        name: 'plate',
        model: 'plate-text',
        engine: 'onnx f32',
        wanted: 40,
        looked: 31,
        inFlight: 2,
        fps: 3.2,
        skipped: { max: 4, stale: 3 },
        latencyMs: { p50: 14, p99: 61 },
        batches: { 1: 11, 4: 5 },
      },
    ],
    batch: {
      histogram: { 1: 120, 2: 310, 4: 205 },
      maxBatch: 4,
      settledSize: 2,
      reason: 'size 2 gives 184 frames/s, size 4 gives 176',
    },
  };
}

/** What a host with a GPU and counters of energy adds to its report. */
export function poweredHost(): Pick<HostReport, 'gpus' | 'power'> {
  const memory = { memoryUsedBytes: 3 * 1024 ** 3, memoryTotalBytes: 80 * 1024 ** 3 };
  const gpu = { index: 0, name: 'NVIDIA H100', busyRatio: 0.93, decoderRatio: 0.12, powerW: 310, temperatureC: 61 };
  return { gpus: [{ ...gpu, ...memory }], power: { cpuW: 90, gpuW: 310, joulesPerFrame: 0.4 } };
}

export function scaleReport(recommendedHosts: number): ScaleReport {
  return {
    loadRatio: 0.5,
    active: 40,
    waiting: 0,
    capacity: 80,
    queueDepth: 0,
    oldestWaitingS: 0,
    hosts: 1,
    recommendedHosts,
    reason: 'For a test.',
    sinceMs: 1_700_000_000_000,
  };
}
