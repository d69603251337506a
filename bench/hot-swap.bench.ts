import { setTimeout as sleep } from 'node:timers/promises';
import { loadBeside } from '../src/frame/runtime/open-runtime.ts';
import type { Runtime } from '../src/frame/runtime/runtime.ts';
import { batchConfig } from '../src/settings/config/batch.ts';
import { check } from '../src/settings/config/check.ts';
import { modelConfig } from '../src/settings/config/model-config.ts';
import { SLOW_MODEL } from './support/bench-context.ts';
import { benchStreams, LIVE, openBenchRuntime } from './support/bench-runtime.ts';
import { ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const STREAMS = 4;
/** Small enough that two cores infer four cameras at their full rate. */
const MODEL = { name: SLOW_MODEL, engine: 'onnx', precision: 'f32', inputSize: '256x256', threads: 1 } as const;
const OTHER = 'other';
/** Cameras that are swapped one after the other. */
const TURNS = [0, 2, 1, 3] as const;
const SWAPS = 100;
const QUICK_SWAPS = 10;
const EVERY_MS = 200;
const SETTLE_MS = 5_000;
/** Phases with (B) and without (A) swaps alternate, so that a slow minute of the machine affects both. */
const ORDER = ['A', 'B', 'B', 'A'] as const;

/** Swaps the model of live cameras many times, and counts what happens to their frames. */
export const hotSwap: Section = {
  id: 'hot-swap',
  title: 'Hot swaps of live streams',
  async run(context): Promise<SectionResult> {
    const runtime = await openBenchRuntime(context, MODEL);
    try {
      const model = check(modelConfig, MODEL, 'model');
      const batch = check(batchConfig, {}, 'batch');
      const { environment, note: onNotice } = context;
      await loadBeside(runtime, OTHER, { model, batch, environment, onNotice });
      const swaps = (context.isQuick ? QUICK_SWAPS : SWAPS) / 2;
      return await measure(runtime, await benchStreams(context, STREAMS, LIVE), swaps);
    } finally {
      await runtime.stop();
    }
  },
};

async function measure(
  runtime: Runtime,
  cameras: Awaited<ReturnType<typeof benchStreams>>,
  swaps: number,
): Promise<SectionResult> {
  const latenciesMs: Readonly<Record<'A' | 'B', number[]>> = { A: [], B: [] };
  let done = 0;
  const newest = new Map<string, number>();
  let phase: 'A' | 'B' | null = null;
  let missing = 0;
  let twice = 0;
  runtime.published.add(({ streamId, frame, times }) => {
    const before = newest.get(streamId);
    if (before !== undefined && frame <= before) twice += 1;
    else if (before !== undefined) missing += frame - before - 1;
    newest.set(streamId, frame);
    if (phase !== null) latenciesMs[phase].push(times.published - times.captured);
  });
  const streams = cameras.map(({ config, input }) => runtime.add(config, input));
  // Half of the cameras use each model, and swaps keep it so: the same two threads serve both kinds of phases.
  for (const stream of streams.slice(STREAMS / 2)) await runtime.assignModel(stream.id, OTHER);
  await sleep(SETTLE_MS);
  for (const kind of ORDER) {
    phase = kind;
    for (let i = 0; i < swaps; i++) {
      const stream = streams[TURNS[i % STREAMS]!]!;
      if (kind === 'B') {
        await runtime.assignModel(stream.id, stream.instance === OTHER ? 'default' : OTHER);
        done += 1;
      }
      await sleep(EVERY_MS);
    }
  }
  phase = null;
  const dropped = streams.reduce((sum, { droppedCount }) => sum + droppedCount, 0);
  const [without, during] = [percentiles(latenciesMs.A), percentiles(latenciesMs.B)];
  const lost = Math.max(0, missing - dropped);
  return {
    tables: [
      {
        caption: `${STREAMS} cameras, ${done} swaps, one each ${EVERY_MS} ms; phases interleaved`,
        rows: [
          ['', 'frames', 'p50', 'p95', 'p99'],
          ['without swaps', String(latenciesMs.A.length), ...without.map(ms)],
          ['with swaps', String(latenciesMs.B.length), ...during.map(ms)],
        ],
      },
    ],
    targets: [
      { what: 'frames lost', measured: lost, target: 0, want: 'exactly', unit: '' },
      { what: 'frames published twice', measured: twice, target: 0, want: 'exactly', unit: '' },
      { what: 'added p99', measured: during[2]! - without[2]!, target: 5, want: 'at most', unit: 'ms' },
    ],
    notes: [`Dropped with a reason, because a newer frame came: ${dropped}. Lost: missing without a reason.`],
    data: { dropped, missing, twice, swaps: done, without, during },
  };
}

/** p50, p95, p99. */
function percentiles(samples: readonly number[]): number[] {
  const sorted = [...samples].sort((a, b) => a - b);
  return [0.5, 0.95, 0.99].map((share) => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN);
}
