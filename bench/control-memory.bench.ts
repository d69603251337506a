import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane, TaskHandler } from '../src/fleet/control/control-plane.ts';
import { openRedisControlPlane } from '../src/fleet/control/redis/redis-control-plane.ts';
import type { JobOrder, Task } from '../src/wire/protocol/fleet.ts';
import type { BenchContext } from './support/bench-context.ts';
import { megabytes, ms } from './support/format.ts';
import { missingRedis, RedisProcess } from './support/redis-process.ts';
import type { Section, SectionResult } from './support/section.ts';

const FILES = 100;
const SEGMENTS_OF_A_FILE = 100;
const CONCURRENCY = 20;
const MANY_INPUTS = 100_000;
const STREAMS = 100;
const STATS_SECONDS = 3_600;
const QUICK_STATS_SECONDS = 360;
/** Approximate size of a stream's statistics. */
const STATS_BYTES = 1_500;
/** Maximum number of messages published and not yet received: ten for each stream. */
const MAX_IN_FLIGHT = 10 * STREAMS;
const SAMPLE_MS = 20;

interface MemoryUse {
  readonly beforeBytes: number;
  readonly peakBytes: number;
  readonly afterBytes: number;
  readonly seconds: number;
}

/** Measures the control plane's memory in Redis: bulk work without media, and an hour of statistics in a few seconds. */
export const controlMemory: Section = {
  id: 'control-memory',
  title: 'Memory of the control plane in Redis',
  async run(context): Promise<SectionResult> {
    const missing = missingRedis();
    if (missing === null) return measureAll(context);
    context.note(`SKIPPED: ${missing}`);
    return { tables: [], targets: [], notes: [`Skipped: ${missing}.`], data: null };
  },
};

async function measureAll(context: BenchContext): Promise<SectionResult> {
  const redis = await RedisProcess.start();
  const control = await openRedisControlPlane({ url: redis.url, onNotice: context.note });
  const statsSeconds = context.isQuick ? QUICK_STATS_SECONDS : STATS_SECONDS;
  try {
    const segments = await withMemoryUse(redis, () => runSegments(control));
    const stats = await withMemoryUse(redis, () => publishStats(control, statsSeconds));
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    let submitMs = 0;
    const many = await withMemoryUse(redis, async () => {
      submitMs = await submitAndCancel(control);
    });
    delay.disable();
    return report({ segments, stats, many, submitMs, longestBlockMs: delay.max / 1e6, statsSeconds });
  } finally {
    await control.close();
    await redis.stop();
  }
}

interface Measured {
  readonly segments: MemoryUse;
  readonly stats: MemoryUse;
  readonly many: MemoryUse;
  readonly submitMs: number;
  readonly longestBlockMs: number;
  readonly statsSeconds: number;
}

function report(measured: Measured): SectionResult {
  const { segments, stats, many, submitMs, longestBlockMs, statsSeconds } = measured;
  const count = FILES * SEGMENTS_OF_A_FILE;
  const messages = STREAMS * statsSeconds;
  const row = (what: string, pieces: number, { beforeBytes, peakBytes, afterBytes, seconds }: MemoryUse): string[] => [
    what,
    ...[beforeBytes, peakBytes, afterBytes].map(megabytes),
    `${((peakBytes - beforeBytes) / pieces).toFixed(0)} B`,
    `${(pieces / seconds).toFixed(0)}/s`,
  ];
  const grown = (use: MemoryUse): number => (use.afterBytes - use.beforeBytes) / 1e6;
  return {
    tables: [
      {
        caption: 'used_memory of Redis',
        rows: [
          ['what', 'before', 'peak', 'after', 'at peak, each', 'rate'],
          row(`${count} segments of ${FILES} files`, count, segments),
          row(`${messages} statistics of ${STREAMS} streams`, messages, stats),
          row(`${MANY_INPUTS} inputs submitted and cancelled`, MANY_INPUTS, many),
        ],
      },
      {
        caption: `submitting ${MANY_INPUTS} inputs`,
        rows: [
          ['took', 'longest block of the event loop, until cancelled'],
          [ms(submitMs), ms(longestBlockMs)],
        ],
      },
    ],
    targets: [
      {
        what: 'Redis at the peak, each segment',
        measured: (segments.peakBytes - segments.beforeBytes) / count,
        target: 2_000,
        want: 'at most',
        unit: 'B',
      },
      {
        what: 'growth of Redis after the job',
        measured: grown(segments),
        target: 2,
        want: 'at most',
        unit: 'MB',
      },
      {
        what: 'growth of Redis after the statistics',
        measured: grown(stats),
        target: 1,
        want: 'at most',
        unit: 'MB',
      },
      {
        what: 'event loop while 100,000 inputs are submitted',
        measured: longestBlockMs,
        target: 100,
        want: 'at most',
        unit: 'ms',
      },
    ],
    notes: [
      'This process runs the tasks itself, and they do nothing. Afterwards only the record and the order of the job remain.',
      'Statistics are published as fast as a subscriber receives them, not once a second.',
    ],
    data: measured,
  };
}

async function runSegments({ tasks }: ControlPlane): Promise<void> {
  const worker = tasks.work('bench', CONCURRENCY, doNothing);
  await tasks.submit(orderOf('segments', FILES));
  while ((await tasks.job('segments')).report.state !== 'done') await sleep(SAMPLE_MS);
  await worker.close();
}

const doNothing: TaskHandler = async (task) => {
  if (task.kind !== 'split') return { frames: 1, next: null };
  const { jobId, pipeline, file } = task;
  const children = Array.from({ length: SEGMENTS_OF_A_FILE }, (_, index): Task => {
    const span = { index, fromUs: index * 60_000_000, toUs: (index + 1) * 60_000_000, firstFrame: index * 1_800 };
    return { kind: 'segment', jobId, pipeline, file, span };
  });
  return { frames: 0, next: { parent: { kind: 'merge', jobId, pipeline, file, segments: children.length }, children } };
};

/** Publishes the statistics of all streams to one subscriber. */
async function publishStats({ bus }: ControlPlane, seconds: number): Promise<void> {
  let received = 0;
  const unsubscribe = bus.subscribe('stats', null, () => {
    received += 1;
  });
  const body = { text: 'x'.repeat(STATS_BYTES) };
  const droppedBefore = bus.droppedCount;
  await sleep(100);
  for (let second = 0; second < seconds; second++) {
    for (let i = 0; i < STREAMS; i++)
      bus.publish({ topic: 'stats', hostId: 'bench', stream: `stream-${i}`, fence: 1, body });
    const sent = (second + 1) * STREAMS - (bus.droppedCount - droppedBefore);
    while (sent - received > MAX_IN_FLIGHT) await sleep(1);
    if (second % 10 === 0) await sleep(0);
  }
  unsubscribe();
}

/** @returns the duration of the submission in milliseconds. */
async function submitAndCancel({ tasks }: ControlPlane): Promise<number> {
  const beforeMs = performance.now();
  await tasks.submit(orderOf('many', MANY_INPUTS));
  const tookMs = performance.now() - beforeMs;
  await tasks.cancel('many');
  return tookMs;
}

async function withMemoryUse(redis: RedisProcess, run: () => Promise<void>): Promise<MemoryUse> {
  const beforeBytes = await redis.usedBytes();
  let peakBytes = beforeBytes;
  let isRunning = true;
  const sampling = (async (): Promise<void> => {
    while (isRunning) {
      peakBytes = Math.max(peakBytes, await redis.usedBytes());
      await sleep(SAMPLE_MS);
    }
  })();
  const startedMs = performance.now();
  await run();
  const seconds = (performance.now() - startedMs) / 1000;
  isRunning = false;
  await sampling;
  return { beforeBytes, peakBytes, afterBytes: await redis.usedBytes(), seconds };
}

function orderOf(id: string, inputs: number): JobOrder {
  return {
    id,
    pipeline: 'bench',
    inputs: Array.from({ length: inputs }, (_, i) => `/archive/2026/camera-${i % 40}/recording-${i}.mp4`),
    outDir: '/results',
    track: false,
    every: 1,
    segmentSeconds: 60,
    priority: 0,
    createdMs: Date.now(),
  };
}
