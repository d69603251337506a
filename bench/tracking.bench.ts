import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Detection } from '../src/base/core/detection.ts';
import { seededRandom } from '../src/base/core/seeded-random.ts';
import { trackDetections } from '../src/cli/evaluate-sequence.ts';
import { ObjectTracker } from '../src/frame/track/object-tracker.ts';
import {
  compareMot,
  type MotBox,
  readMotBoxes,
  readMotTruth,
  readSequenceInfo,
} from '../src/network/evaluate/mot-files.ts';
import {
  pooledTracking,
  type TrackingCounts,
  trackingCounts,
  trackingFigures,
} from '../src/network/evaluate/tracking-score.ts';
import { packageRoot } from '../src/network/store/package-root.ts';
import type { BenchContext } from './support/bench-context.ts';
import type { Section, SectionResult, Target } from './support/section.ts';

const RATES = [1, 2, 3, 5] as const;
const OURS = 'sightline';
const OBJECTS = 20;
const COST_FRAMES = 1500;
const COST_ROUNDS = 15;
const MOST_COST_US = 60;
const SCRIPT = 'mot_trackers.py';

/** A sequence with one of its files of detections. */
interface Pair {
  readonly folder: string;
  readonly detections: string;
}

interface Score {
  readonly idf1: number;
  readonly hota: number;
  readonly mota: number;
  readonly switches: number;
}

/**
 * Tracks given detections of the sequences in `mot` of the shared folder at four rates, beside the trackers of other projects. The Python with
 * these (numpy, supervision, trackers, norfair) is named by SIGHTLINE_BENCH_TRACKERS.
 */
export const tracking: Section = {
  id: 'tracking',
  title: 'Tracks on given detections',
  async run(context): Promise<SectionResult> {
    const { sharedDir, note } = context;
    const pairs = pairsIn(join(sharedDir, 'mot'));
    if (pairs.length === 0) note(`${join(sharedDir, 'mot')} has no sequences; only the cost is measured`);
    const python = process.env.SIGHTLINE_BENCH_TRACKERS ?? null;
    if (python === null) note('SIGHTLINE_BENCH_TRACKERS is not set; other trackers are left out');
    const scores = new Map<string, TrackingCounts[][]>();
    for (const [at, every] of RATES.entries())
      for (const pair of pairs)
        for (const [name, score] of await scoresOf(pair, every, python, context)) {
          const all = scores.get(name) ?? RATES.map(() => []);
          all[at]!.push(score);
          scores.set(name, all);
        }
    const means = new Map([...scores].map(([name, all]) => [name, all.map(scoreOf)]));
    const costUs = costOfTwenty();
    return {
      tables: [
        {
          caption: `mean IDF1 / HOTA, MOTA of all in percent, and summed switches of ${pairs.length} pairs of sequence and detections, using every n-th frame`,
          rows: [
            ['tracker', ...RATES.map((every) => `n = ${every}`)],
            ...[...means].map(([name, all]) => [name, ...all.map(scoreText)]),
          ],
        },
      ],
      targets: [...targetsOf(means), costTarget(costUs)],
      notes: [
        'Detections of published detectors, confirmed tracks only, scored as trackeval does. n changes the time between frames, not the media time.',
      ],
      data: { means: Object.fromEntries(means), costUs },
    };
  },
};

function pairsIn(root: string): Pair[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => join(root, name))
    .filter((folder) => existsSync(join(folder, 'gt', 'gt.txt')) && existsSync(join(folder, 'det')))
    .flatMap((folder) =>
      readdirSync(join(folder, 'det')).map((name) => ({ folder, detections: join(folder, 'det', name) })),
    );
}

async function scoresOf(
  { folder, detections }: Pair,
  every: number,
  python: string | null,
  { note }: BenchContext,
): Promise<Map<string, TrackingCounts>> {
  const truth = await readMotTruth(join(folder, 'gt', 'gt.txt'));
  const info = await readSequenceInfo(join(folder, 'seqinfo.ini'));
  const countsOf = (found: readonly MotBox[]): TrackingCounts => trackingCounts(compareMot(truth, found, every));
  const scores = new Map([[OURS, countsOf(trackDetections(await readMotBoxes(detections, false), info, { every }))]]);
  if (python === null) return scores;
  const out = await mkdtemp(join(tmpdir(), 'sightline-bench-'));
  try {
    const script = join(packageRoot(), 'bench', 'peers', SCRIPT);
    const args = [script, detections, `${info.fps}`, `${info.frames}`, `${every}`, out];
    const { stderr } = await promisify(execFile)(python, args);
    for (const line of stderr.split('\n')) if (line.includes('is left out')) note(line);
    for (const name of (await readdir(out)).sort())
      scores.set(basename(name, '.txt'), countsOf(await readMotBoxes(join(out, name), true)));
  } finally {
    await rm(out, { recursive: true });
  }
  return scores;
}

/** Means over the pairs, but MOTA of the sums, as the benchmarks state it. */
function scoreOf(all: readonly TrackingCounts[]): Score {
  const figures = all.map(trackingFigures);
  const mean = (key: 'idf1' | 'hota'): number => figures.reduce((sum, each) => sum + each[key], 0) / figures.length;
  const pooled = pooledTracking(all);
  return {
    idf1: mean('idf1'),
    hota: mean('hota'),
    mota: trackingFigures(pooled).mota,
    switches: pooled.switches,
  };
}

function scoreText({ idf1, hota, mota, switches }: Score): string {
  return `${[idf1, hota, mota].map((value) => (100 * value).toFixed(1)).join(' / ')} / ${switches}`;
}

function targetsOf(means: ReadonlyMap<string, readonly Score[]>): Target[] {
  const ours = means.get(OURS);
  const others = [...means].filter(([name]) => name !== OURS);
  if (ours === undefined || others.length === 0) return [];
  return RATES.flatMap((every, at) =>
    (['idf1', 'hota'] as const).map(
      (key): Target => ({
        what: `${key.toUpperCase()} with every ${every === 1 ? '' : `${every}. `}frame, against the best of the others`,
        measured: 100 * ours[at]![key],
        target: 100 * Math.max(...others.map(([, all]) => all[at]![key])),
        want: 'at least',
        unit: '%',
      }),
    ),
  );
}

/** Median of rounds: what the tracker takes for a frame with twenty people who walk past each other. */
function costOfTwenty(): number {
  const random = seededRandom(1);
  const frames = Array.from({ length: COST_FRAMES }, (_, k): Detection[] =>
    Array.from({ length: OBJECTS }, (__, i): Detection => {
      const x = (((i * 90 + k * 3 * ((i % 5) - 2)) % 1800) + 1800) % 1800;
      return {
        classId: 0,
        label: 'person',
        score: 0.5 + random() / 2,
        box: [x, 100 + 40 * (i % 9) + random() * 4, 60, 140],
      };
    }).filter(() => random() > 0.05),
  );
  const round = (): number => {
    const tracker = new ObjectTracker();
    const before = performance.now();
    for (const [k, detections] of frames.entries()) tracker.update(detections, k * 40_000);
    return ((performance.now() - before) * 1000) / frames.length;
  };
  const rounds = Array.from({ length: COST_ROUNDS }, round).sort((a, b) => a - b);
  return rounds[(COST_ROUNDS - 1) / 2]!;
}

function costTarget(measured: number): Target {
  return {
    what: `time of the tracker for a frame with ${OBJECTS} objects`,
    measured,
    target: MOST_COST_US,
    want: 'at most',
    unit: 'us',
  };
}
