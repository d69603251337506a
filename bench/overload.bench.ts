import { type BenchContext, SLOW_MODEL } from './support/bench-context.ts';
import { benchStreams, measureOnce, OFFLINE } from './support/bench-runtime.ts';
import { fps, ms, percent } from './support/format.ts';
import { type LiveLoad, type LiveRun, liveRun, recoveryMs, stagesTable } from './support/live-run.ts';
import type { Section, SectionResult, Table, Target } from './support/section.ts';

const LOADS = [1, 2, 4] as const;
/** At twice the capacity about half of the frames are dropped; below this ratio there was no overload. */
const EXPECTED_DROP_RATIO = 0.3;

/** The same load with and without shedding, one after the other. */
interface Pair {
  readonly model: string;
  readonly load: number;
  readonly unshed: LiveRun;
  readonly shed: LiveRun;
}

interface Recovery {
  readonly model: string;
  readonly ms: number | null;
}

/** Offers once, twice and four times the capacity: latency must stay bounded, shares fair, every drop counted, and little capacity lost. */
export const overload: Section = {
  id: 'overload',
  title: 'Live streams at one, two and four times the capacity',
  async run(context): Promise<SectionResult> {
    const pairs: Pair[] = [];
    const recoveries: Recovery[] = [];
    for (const model of new Set([context.model, SLOW_MODEL])) {
      for (const load of LOADS) pairs.push(await measurePair(context, model, load));
      const { capacityFps } = pairs.at(-1)!.shed;
      recoveries.push({ model, ms: await recoveryMs(context, { model, capacityFps }) });
    }
    const heaviest = pairs.filter(({ load }) => load > 1);
    return {
      tables: [pairsTable(pairs), ...heaviest.flatMap(({ shed }) => [stagesTable(shed), sharesTable(shed)])],
      targets: [...heaviest.flatMap(targetsOf), ...recoveries.map(recoveryTarget)],
      notes: [
        'All streams have the same weight, so a fair share is the mean of all.',
        'Capacity: frames/s of four streams read as files, measured just before each pair. Cameras also decode the frames that are dropped: at four times the capacity of a fast detector on few cores, that alone costs more than the target allows.',
        ...(heaviest.some(({ unshed }) => unshed.measured.dropRatio < EXPECTED_DROP_RATIO)
          ? [
              'NOT OVERLOADED: few frames were dropped in some runs, so the capacity was measured too low (a busy machine?). Their figures are meaningless; run it again.',
            ]
          : []),
      ],
      data: { pairs, recoveries },
    };
  },
};

async function measurePair(context: BenchContext, model: string, load: number): Promise<Pair> {
  context.note(`${model} at ${load} times its capacity`);
  const { fps: capacityFps } = await measureOnce(context, { name: model }, await benchStreams(context, 4, OFFLINE));
  const of: LiveLoad = { model, capacityFps };
  const unshed = await liveRun(context, load, { ...of, isUnshed: true });
  return { model, load, unshed, shed: await liveRun(context, load, of) };
}

function ofCapacity({ measured, capacityFps }: LiveRun): number {
  return measured.fps / capacityFps;
}

function targetsOf({ model, load, unshed, shed }: Pair): Target[] {
  const { measured, stages, maxAgeMs } = shed;
  const gap = measured.streams.reduce((sum, stream) => sum + Math.abs(stream.conservationGap), 0);
  const at = `${model}, ${load}x:`;
  return [
    { what: `${at} published / capacity`, measured: ofCapacity(shed), target: 0.92, want: 'at least', unit: '' },
    {
      what: `${at} largest deviation from a fair share`,
      measured: unfairness(shed),
      target: 0.05,
      want: 'at most',
      unit: '',
    },
    {
      what: `${at} latency p50, with / without shedding`,
      measured: measured.latencyMs.p50 / unshed.measured.latencyMs.p50,
      target: 1.1,
      want: 'at most',
      unit: '',
    },
    {
      what: `${at} latency p95 / p50`,
      measured: measured.latencyMs.p95 / measured.latencyMs.p50,
      target: 2,
      want: 'at most',
      unit: '',
    },
    {
      what: `${at} oldest frame when its batch closed`,
      measured: stages.age.max,
      target: maxAgeMs,
      want: 'at most',
      unit: 'ms',
    },
    { what: `${at} conservation gap`, measured: gap, target: 0, want: 'exactly', unit: 'frames' },
  ];
}

function recoveryTarget({ model, ms: measured }: Recovery): Target {
  const what = `${model}: last frame shed after the load fell from 4x to half`;
  return { what, measured: measured ?? Number.NaN, target: 2000, want: 'at most', unit: 'ms' };
}

/** Largest relative deviation of a stream's published rate from the mean. */
function unfairness({ measured }: LiveRun): number {
  const fair = measured.fps / measured.streams.length;
  return Math.max(...measured.streams.map((stream) => Math.abs(stream.fps / fair - 1)));
}

function pairsTable(pairs: readonly Pair[]): Table {
  return {
    caption: 'published, without and with shedding, in turns',
    rows: [
      ['model', 'load', 'capacity', 'without', 'of capacity', 'with', 'of capacity', 'ratio', 'CPU a frame', 'p50'],
      ...pairs.map(({ model, load, unshed, shed }) => [
        model,
        `${load}x`,
        fps(shed.capacityFps),
        fps(unshed.measured.fps),
        percent(ofCapacity(unshed)),
        fps(shed.measured.fps),
        percent(ofCapacity(shed)),
        (shed.measured.fps / unshed.measured.fps).toFixed(3),
        [unshed, shed].map(({ measured }) => ms(measured.cpuMsPerFrame?.total ?? Number.NaN)).join(' > '),
        [unshed, shed].map(({ measured }) => ms(measured.latencyMs.p50)).join(' > '),
      ]),
    ],
  };
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
