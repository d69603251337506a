import { percentilesOf } from '../../src/frame/telemetry/sliding-window.ts';
import { PARTS, type Part } from '../../src/lab/measure/trial-result.ts';
import type { ReportTrial } from '../../src/lab/optimize/report/report-input.ts';

/** A generator of numbers from 0 to 1 (Park and Miller, minimal standard). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

const NO_PARTS = Object.fromEntries(PARTS.map((part) => [part, 0])) as Record<Part, number>;

interface TrialSketch {
  readonly fps: number;
  readonly seconds: number;
  /** Mean of each part in milliseconds. */
  readonly stagesMs: Partial<Record<Part, number>>;
  readonly cpuMs: readonly [decode: number, preprocess: number, infer: number, main: number];
  readonly busy: readonly [decode: number, preprocess: number, infer: number, main: number];
  readonly discarded?: number;
  readonly rssMb: number;
}

/** Fills a trial in with latencies that scatter around its stages and windows that scatter around its busy shares. */
export function sampleTrial(sketch: TrialSketch, seed: number): ReportTrial {
  const random = randomFrom(seed);
  const wholeMs = Object.values(sketch.stagesMs).reduce((a, b) => a + b, 0);
  const latenciesMs = Array.from({ length: 800 }, () => {
    const [a, b] = [random(), random()];
    const normal = Math.sqrt(-2 * Math.log(a)) * Math.cos(2 * Math.PI * b);
    return wholeMs * Math.exp(0.16 * normal - 0.02) * (random() < 0.015 ? 1.8 : 1);
  });
  const [decode, preprocess, infer, main] = sketch.busy;
  const stagesMs = { ...NO_PARTS, ...sketch.stagesMs };
  const [decodeMs, preprocessMs, inferMs, mainMs] = sketch.cpuMs;
  const frames = Math.round(sketch.fps * sketch.seconds);
  return {
    fps: sketch.fps,
    frames,
    latencyMs: { ...percentilesOf(Float64Array.from(latenciesMs)), count: frames },
    latenciesMs,
    stagesMs,
    cpuMsPerFrame: {
      decode: decodeMs,
      preprocess: preprocessMs,
      infer: inferMs,
      main: mainMs,
      total: decodeMs + preprocessMs + inferMs + mainMs,
    },
    busyRatio: { decode, preprocess, infer, main },
    isStable: true,
    discardedWindows: sketch.discarded ?? 0,
    littleLawGap: 0.013,
    dropRatio: 0,
    rssBytes: sketch.rssMb * 1e6,
    sendMs: 0.041,
    machine: {
      ownRatio: (sketch.fps * (decodeMs + preprocessMs + inferMs + mainMs)) / 2000,
      otherRatio: 0.021,
      stealRatio: 0.004,
      throttledRatio: null,
      networkInBytesPerS: null,
      networkOutBytesPerS: null,
      memoryAvailableBytes: 5.1e9,
      cpuPowerW: null,
    },
  };
}
