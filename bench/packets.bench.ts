import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Recorder } from '../src/after/recording/recorder.ts';
import { systemClock } from '../src/base/core/clock.ts';
import type { Measurement } from '../src/lab/measure/measure-run.ts';
import { type BenchContext, FAST_MODEL } from './support/bench-context.ts';
import { benchStreams, LIVE, measure, openBenchRuntime } from './support/bench-runtime.ts';
import { fps, percent } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const STREAMS = 16;
/** Taken in turn, so that what else the machine does meets all alike. */
const MODES = ['off', 'tap', 'record'] as const;
type Mode = (typeof MODES)[number];
const ROUNDS = 5;
const MOST_RATIO = 0.03;

interface Run {
  readonly mode: Mode;
  /** Processor cores that this process and its ffmpegs used. */
  readonly cores: number;
  readonly fps: number;
  readonly writtenBytes: number;
}

/** Measures what the copy of the packets costs, and writing them: the clip as cameras, an engine that takes no time. */
export const packets: Section = {
  id: 'packets',
  title: 'Undecoded packets: tap and recording',
  async run(context): Promise<SectionResult> {
    const runs: Run[] = [];
    for (let round = 0; round < (context.isQuick ? 1 : ROUNDS); round++)
      for (const mode of round % 2 === 0 ? MODES : MODES.toReversed()) runs.push(await runOnce(context, mode));
    const of = (mode: Mode): Run[] => runs.filter((run) => run.mode === mode);
    // Each round is compared with itself.
    const ratios = (mode: Mode): number[] => of(mode).map(({ cores }, i) => cores / of('off')[i]!.cores - 1);
    const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
    const rows = MODES.map((mode) => [
      mode,
      median(of(mode).map(({ cores }) => cores)).toFixed(3),
      percent(median(ratios(mode))),
      ratios(mode)
        .map((ratio) => percent(ratio))
        .join(' '),
      fps(median(of(mode).map((run) => run.fps))),
    ]);
    const caption = `${STREAMS} cameras of the clip, fake engine of 0 ms: CPU of the process and its ffmpegs`;
    const target = { target: MOST_RATIO, want: 'at most', unit: 'ratio' } as const;
    return {
      tables: [{ caption, rows: [['packets', 'cores', 'more CPU', 'by round', 'published'], ...rows] }],
      targets: [
        { what: `CPU of the tap, ${STREAMS} streams`, measured: median(ratios('tap')), ...target },
        { what: `CPU of tap and recording, ${STREAMS} streams`, measured: median(ratios('record')), ...target },
      ],
      notes: [
        'tap: packets are copied, hashed and kept in memory; record: they are written to the temporary folder as well.',
      ],
      data: runs,
    };
  },
};

async function runOnce(context: BenchContext, mode: Mode): Promise<Run> {
  const runtime = await openBenchRuntime(context, { name: FAST_MODEL, engine: 'fake' });
  const folder = mkdtempSync(join(tmpdir(), 'sightline-packets-'));
  // With a rule that never raises an event, packets are kept in memory only.
  const rule = { id: 'never', kind: 'stream', for: '7d', clip: {} };
  const settings = { off: {}, tap: { events: [rule] }, record: { record: 'continuous' } }[mode];
  const recorder = new Recorder({
    folder,
    ringBytes: 2 ** 26,
    ffmpeg: context.ffmpeg,
    clock: systemClock,
    wallMs: Date.now,
    retention: { days: 1, eventDays: 1, clipDays: 1, labelDays: {}, maxBytes: 2 ** 30 },
    configOf: (id) => runtime.streams.find((stream) => stream.id === id)?.config ?? null,
    onState: (problem) => context.note(problem ?? 'recording goes on'),
    onNotice: (_, text) => context.note(text),
    openTarget: () => Promise.reject(new Error('nothing is pushed')),
  });
  runtime.packets.add((each) => recorder.onPackets(each));
  try {
    const measured = await measure(context, runtime, await benchStreams(context, STREAMS, { ...LIVE, ...settings }));
    return { mode, cores: coresOf(measured), fps: measured.fps, writtenBytes: recorder.figures.writtenBytes };
  } finally {
    await runtime.stop();
    await recorder.close();
    rmSync(folder, { recursive: true });
  }
}

function coresOf({ cpuMsPerFrame, frames, seconds }: Measurement): number {
  const ms = Object.values(cpuMsPerFrame ?? {}).reduce<number>((sum, each) => sum + (each ?? 0), 0);
  return (ms * frames) / (seconds * 1000);
}
