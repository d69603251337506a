import type { Measurement } from '../src/lab/measure/measure-run.ts';
import type { Percentiles } from '../src/wire/protocol/report.ts';
import { type BenchContext, FAST_MODEL } from './support/bench-context.ts';
import { benchStreams, measure, openBenchRuntime } from './support/bench-runtime.ts';
import { fps, ms, PERCENTILE_HEADING, percent, percentileCells } from './support/format.ts';
import type { Section, SectionResult, Table } from './support/section.ts';
import { StageWatch, type WatchedTime } from './support/stage-watch.ts';

const STREAM_COUNTS = [1, 4, 16] as const;
const DEFAULT_DELAY_MS = 5;
const FPS = 30;
/** The size of the model input, so that no scaling takes CPU from the measured threads. */
const SOURCE = `synthetic:color=c=gray:size=480x256:rate=${FPS}`;
/** Eight boxes in every frame, as in a street scene. */
const ROWS = Array.from({ length: 8 }, (_, i) => [20 + 50 * i, 60, 40, 90, 0.8, i]).flat();
const STAGES: readonly WatchedTime[] = ['decode', 'preprocess', 'queue', 'infer', 'publish', 'total'];

interface CostRun {
  readonly streams: number;
  readonly maxDelayMs: number;
  readonly measured: Measurement;
  readonly stages: Readonly<Record<WatchedTime, Percentiles>>;
}

/** Measures the cost of the pipeline itself: synthetic frames in real time, and an engine that takes no time. */
export const ownCost: Section = {
  id: 'own-cost',
  title: "The pipeline's own cost",
  async run(context): Promise<SectionResult> {
    const runs: CostRun[] = [];
    for (const streams of STREAM_COUNTS) runs.push(await measureCost(context, streams, 0));
    const full = runs.at(-1)!;
    runs.push(await measureCost(context, full.streams, DEFAULT_DELAY_MS));
    return {
      tables: [
        costTable(runs),
        {
          caption: `${full.streams} streams, maxDelayMs 0: latency by stage`,
          rows: [
            ['stage', ...PERCENTILE_HEADING],
            ...STAGES.map((stage) => [stage, ...percentileCells(full.stages[stage])]),
          ],
        },
      ],
      targets: [
        {
          what: `main-thread CPU a frame, ${full.streams} streams`,
          measured: full.measured.cpuMsPerFrame?.main ?? Number.NaN,
          target: 0.15,
          want: 'at most',
          unit: 'ms',
        },
        {
          what: `added latency p99, ${full.streams} streams`,
          measured: full.measured.latencyMs.p99,
          target: 5,
          want: 'at most',
          unit: 'ms',
        },
      ],
      notes: [
        'Targets apply to maxDelayMs 0: waiting to fill a batch is a setting, not a cost. The last row shows the default.',
        'With one stream the work done once a second (reports, /proc) is spread over 30 frames instead of 480. The sources also cost CPU, and on a machine with few cores they compete with the measured threads.',
      ],
      data: runs,
    };
  },
};

function costTable(runs: readonly CostRun[]): Table {
  return {
    caption: `synthetic streams of ${FPS} frames/s, fake engine of 0 ms: main thread, and latency captured to published`,
    rows: [
      ['streams', 'maxDelayMs', 'published', 'dropped', 'main CPU a frame', 'main busy', ...PERCENTILE_HEADING],
      ...runs.map(({ streams, maxDelayMs, measured }) => [
        String(streams),
        String(maxDelayMs),
        fps(measured.fps),
        percent(measured.dropRatio),
        ms(measured.cpuMsPerFrame?.main ?? Number.NaN),
        percent(measured.busyRatio.main),
        ...percentileCells(measured.latencyMs),
      ]),
    ],
  };
}

async function measureCost(context: BenchContext, streams: number, maxDelayMs: number): Promise<CostRun> {
  const model = { name: FAST_MODEL, engine: 'fake', fake: { rows: ROWS } };
  const runtime = await openBenchRuntime(context, model, { maxDelayMs });
  try {
    const opened = await benchStreams(context, streams, { source: SOURCE, policy: 'live', realtime: true });
    const watch = new StageWatch(runtime, context);
    const measured = await measure(context, runtime, opened);
    return { streams, maxDelayMs, measured, stages: watch.stop() };
  } finally {
    await runtime.stop();
  }
}
