import { fps, ms, percent } from './support/format.ts';
import { type LiveRun, liveRun, stagesTable } from './support/live-run.ts';
import type { Section, SectionResult, Table } from './support/section.ts';

/** At twice the capacity about half of the frames are dropped; below this ratio there was no overload. */
const EXPECTED_DROP_RATIO = 0.3;

/** Offers twice the capacity: latency must stay bounded, shares fair, and every drop counted. */
export const overload: Section = {
  id: 'overload',
  title: 'Live streams at twice the capacity',
  async run(context): Promise<SectionResult> {
    const run = await liveRun(context, 2);
    const { measured, stages, maxAgeMs } = run;
    const gap = measured.streams.reduce((sum, stream) => sum + Math.abs(stream.conservationGap), 0);
    return {
      tables: [stagesTable(run), sharesTable(run)],
      targets: [
        {
          what: 'latency p95 / p50',
          measured: measured.latencyMs.p95 / measured.latencyMs.p50,
          target: 2,
          want: 'at most',
          unit: '',
        },
        {
          what: 'oldest frame when its batch closed',
          measured: stages.age.max,
          target: maxAgeMs,
          want: 'at most',
          unit: 'ms',
        },
        {
          what: 'largest deviation from a fair share',
          measured: unfairness(run),
          target: 0.05,
          want: 'at most',
          unit: '',
        },
        { what: 'conservation gap', measured: gap, target: 0, want: 'exactly', unit: 'frames' },
        {
          what: 'published / capacity',
          measured: measured.fps / run.capacityFps,
          target: 0.9,
          want: 'at least',
          unit: '',
        },
      ],
      notes: [
        'All streams have the same weight, so a fair share is the mean of all.',
        ...(measured.dropRatio < EXPECTED_DROP_RATIO
          ? [
              'NOT OVERLOADED: few frames were dropped, so the capacity was measured too low (a busy machine?). The figures above are meaningless; run it again.',
            ]
          : []),
      ],
      data: run,
    };
  },
};

/** Largest relative deviation of a stream's published rate from the mean. */
function unfairness({ measured }: LiveRun): number {
  const fair = measured.fps / measured.streams.length;
  return Math.max(...measured.streams.map((stream) => Math.abs(stream.fps / fair - 1)));
}

function sharesTable({ measured }: LiveRun): Table {
  const fair = measured.fps / measured.streams.length;
  return {
    caption: 'shares',
    rows: [
      ['stream', 'published', 'of fair', 'p50', 'p95', 'dropped', 'gap'],
      ...measured.streams.map((stream) => [
        stream.id,
        fps(stream.fps),
        percent(stream.fps / fair),
        ms(stream.latencyMs.p50),
        ms(stream.latencyMs.p95),
        JSON.stringify(stream.frames.dropped),
        String(stream.conservationGap),
      ]),
    ],
  };
}
