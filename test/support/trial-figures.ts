import type { MachineUse } from '../../src/frame/telemetry/machine-counters.ts';
import { latencyFigures } from '../../src/lab/measure/latency-tally.ts';
import type { Target } from '../../src/lab/measure/targets.ts';
import type { FaultCounts, StreamFigures, TrialResult } from '../../src/lab/measure/trial-result.ts';
import { hostReport } from './sample-reports.ts';

export const QUIET: MachineUse = {
  ownRatio: 0.5,
  otherRatio: 0.01,
  stealRatio: 0,
  throttledRatio: 0,
  networkInBytesPerS: 0,
  networkOutBytesPerS: 0,
  memoryAvailableBytes: 4e9,
  cpuPowerW: null,
};

export const NO_FAULTS: FaultCounts = { frames: 0, decodeErrors: 0, failedInferences: 0, reconnects: 0, dropped: {} };

/** A stream that published frames with these latencies in 20 s and dropped none. */
export function streamFigures(
  id: string,
  latenciesMs: readonly number[],
  targets: readonly Target[],
  changes: Partial<StreamFigures> = {},
): StreamFigures {
  const counts = { fps: latenciesMs.length / 20, mediaSpeed: 1, entered: latenciesMs.length, dropped: 0 };
  return { id, ...counts, ...latencyFigures(latenciesMs, targets), ...changes };
}

/** A trial of one stream at 25 frames/s on two cores; each frame costs 40 ms of CPU, 30 of them inference. */
export function trialResult(changes: Partial<TrialResult> = {}): TrialResult {
  const latenciesMs = Array.from({ length: 500 }, (_, i) => 40 + (i % 10));
  const { device, batch } = hostReport();
  return {
    scenario: 'offline',
    streams: 1,
    fps: 25,
    streamFps: [25],
    perStream: [streamFigures('trial-1', latenciesMs, [])],
    frames: 500,
    seconds: 20,
    latencyMs: { count: 500, p50: 44, p95: 49, p99: 49, max: 49 },
    latenciesMs,
    stagesMs: {
      read: 0,
      decode: 2,
      preprocess: 3,
      wait: 5,
      infer: 30,
      postprocess: 1,
      track: 0.5,
      publish: 2,
      unaccounted: 0.5,
    },
    sendMs: 0.1,
    cpuMsPerFrame: { decode: 4, preprocess: 4, infer: 30, main: 2, total: 40 },
    busyRatio: { decode: 0.05, preprocess: 0.05, infer: 0.75, main: 0.05 },
    isStable: true,
    discardedWindows: 0,
    isDisturbed: false,
    windows: [],
    inFlight: 1,
    littleLawGap: 0.01,
    queueGrowthPerS: 0,
    dropRatio: 0,
    faults: { ...NO_FAULTS, frames: 500 },
    heldBackRatio: 0,
    eventLoopP99Ms: 1,
    servers: { decode: 1, preprocess: 1, infer: 1, main: 1 },
    cores: 2,
    rssBytes: 3e8,
    childRssBytes: 1e8,
    machine: QUIET,
    device,
    batch,
    targets: [],
    ...changes,
  };
}
