/** CPU milliseconds of one frame in each stage, without anybody beside it. */
interface SimulatedCosts {
  readonly decodeMs: number;
  readonly preprocessMs: number;
  readonly inferMs: number;
  readonly mainMs: number;
}

export interface SimulatedPipeline extends SimulatedCosts {
  readonly cores: number;
  readonly inferenceThreads: number;
  readonly decodeThreads: number;
  readonly maxBatch: number;
}

/** How much slower work becomes for each further worker that runs beside it: shared caches and memory. */
const CROWDING = 0.06;
/** Finished work that may wait before a stage; a full one holds the stage before it back. */
const QUEUE = 6;
/** Share of a decoder's work that its threads cannot share. */
const SERIAL_DECODING = 0.4;
/** What a call of the engine costs besides its frames. */
const CALL_MS = 0.25;
const [WARM_UP, MEASURED] = [120, 600];

interface Worker {
  readonly stage: number;
  /** CPU milliseconds left of its task; 0 while idle or held back. */
  leftMs: number;
  /** Frames of its task. */
  frames: number;
}

/**
 * Runs a pipeline frame by frame: workers of four stages with bounded queues between them share the cores. Nothing of it is a formula
 * for the rate, so a search that predicts rates by a formula can be wrong about it.
 *
 * @returns frames per second, and the 99th percentile of the time from the start of decoding.
 */
export function simulatePipeline(pipeline: SimulatedPipeline): { fps: number; p99Ms: number } {
  const { cores, inferenceThreads, decodeThreads, maxBatch } = pipeline;
  const decodeMs = pipeline.decodeMs * (SERIAL_DECODING + (1 - SERIAL_DECODING) / decodeThreads);
  const counts = [1, 1, inferenceThreads, 1];
  const workers: Worker[] = counts.flatMap((count, stage) =>
    Array.from({ length: count }, () => ({ stage, leftMs: 0, frames: 0 })),
  );
  const costOf = (stage: number, frames: number): number =>
    [decodeMs, pipeline.preprocessMs, CALL_MS + pipeline.inferMs * frames, pipeline.mainMs][stage]!;
  const queued = [Number.POSITIVE_INFINITY, 0, 0, 0, 0];
  const startedMs: number[] = [];
  const latenciesMs: number[] = [];
  let [nowMs, measuredFromMs] = [0, 0];
  const assign = (): void => {
    // From the end, so that room appears before the stage that fills it looks for it.
    for (const worker of [...workers].reverse()) {
      const { stage } = worker;
      if (worker.frames > 0 && worker.leftMs <= 0) {
        const isLast = stage === counts.length - 1;
        if (!isLast && queued[stage + 1]! + worker.frames > QUEUE + maxBatch) continue;
        if (isLast) latenciesMs.push(...startedMs.splice(0, worker.frames).map((fromMs) => nowMs - fromMs));
        else queued[stage + 1]! += worker.frames;
        worker.frames = 0;
      }
      if (worker.frames > 0 || queued[stage]! === 0) continue;
      worker.frames = stage === 2 ? Math.min(maxBatch, queued[stage]!) : 1;
      queued[stage]! -= worker.frames;
      worker.leftMs = costOf(stage, worker.frames);
      if (stage === 0) startedMs.push(nowMs);
    }
  };
  while (latenciesMs.length < WARM_UP + MEASURED) {
    assign();
    const running = workers.filter(({ leftMs }) => leftMs > 0);
    const speed = Math.min(1, cores / running.length) / (1 + CROWDING * (Math.min(running.length, cores) - 1));
    const stepMs = Math.min(...running.map(({ leftMs }) => leftMs)) / speed;
    for (const worker of running) worker.leftMs = Math.max(0, worker.leftMs - stepMs * speed);
    nowMs += stepMs;
    if (latenciesMs.length < WARM_UP) measuredFromMs = nowMs;
  }
  const measured = latenciesMs.slice(WARM_UP);
  const p99Ms = [...measured].sort((a, b) => a - b)[Math.floor(measured.length * 0.99)]!;
  return { fps: (1000 * measured.length) / (nowMs - measuredFromMs), p99Ms };
}
