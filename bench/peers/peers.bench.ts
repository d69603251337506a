import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { findWeights } from '../../src/network/store/find-weights.ts';
import { loadManifest } from '../../src/network/store/manifests.ts';
import { packageRoot } from '../../src/network/store/package-root.ts';
import { type BenchContext, FAST_MODEL } from '../support/bench-context.ts';
import { benchStreams, measureOnce, OFFLINE, openBenchRuntime } from '../support/bench-runtime.ts';
import { fps, ms } from '../support/format.ts';
import type { Section, SectionResult } from '../support/section.ts';
import { agreement, type BoxesPerFrame, type BoxRow, median } from './agreement.ts';
import { findPython } from './find-python.ts';

export interface SideRun {
  readonly fps: number;
  readonly cpuMsPerFrame: number;
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number };
}

export type PythonRun = SideRun & { readonly versions: Readonly<Record<string, string>> };

const ROUNDS = 3;
const SCRIPT = 'opencv_onnxruntime_loop.py';

/** Compares Sightline with the loop that a Python user would write: same clip, network and machine, in alternating runs. */
export const peers: Section = {
  id: 'peers',
  title: 'Compared with a Python loop of OpenCV and ONNX Runtime',
  async run(context): Promise<SectionResult> {
    if (context.model !== FAST_MODEL)
      return skipped(`it needs the weights of ${FAST_MODEL}: sightline models pull ${FAST_MODEL}`);
    const python = await findPython(context, 'onnxruntime');
    if ('missing' in python) return skipped(python.missing);
    const folder = await mkdtemp(join(tmpdir(), 'sightline-bench-'));
    try {
      return await compare(context, python.path, join(folder, 'boxes.json'));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

export function skipped(why: string): SectionResult {
  return { tables: [], targets: [], notes: [`SKIPPED: ${why}`], data: { skipped: why } };
}

async function compare(context: BenchContext, python: string, boxesPath: string): Promise<SectionResult> {
  const ours: SideRun[] = [];
  const theirs: PythonRun[] = [];
  const weights = await publishedWeights(context);
  for (let round = 0; round < (context.isQuick ? 1 : ROUNDS); round++) {
    theirs.push(await pythonRun(context, python, SCRIPT, weights, round === 0 ? ['--boxes', boxesPath] : []));
    ours.push(await sightlineRun(context));
  }
  const boxes = agreement(
    await sightlineBoxes(context),
    JSON.parse(await readFile(boxesPath, 'utf8')) as BoxesPerFrame,
  );
  const a = medians(ours);
  const b = medians(theirs);
  const row = (name: string, side: SideRun): string[] => [
    name,
    fps(side.fps),
    ms(side.cpuMsPerFrame),
    ms(side.latencyMs.p50),
    ms(side.latencyMs.p95),
    ms(side.latencyMs.p99),
  ];
  return {
    tables: [
      {
        caption: `${FAST_MODEL} over the clip, steady state, medians of ${ours.length}`,
        rows: [
          ['side', 'rate', 'CPU a frame', 'p50', 'p95', 'p99'],
          row('Sightline, file policy', a),
          row('Python loop', b),
        ],
      },
      {
        caption: `boxes of ${boxes.frames} frames, score from 0.4, same class, IoU from 0.5, mutual best matches`,
        rows: [
          [
            'Sightline',
            'Python',
            'matched',
            'agree',
            'agree (other side from 0.3)',
            'median IoU',
            'median score difference',
            'largest',
          ],
          [
            String(boxes.ours),
            String(boxes.theirs),
            String(boxes.matched),
            boxes.ratio.toFixed(4),
            boxes.ratioOfWeakMatches.toFixed(4),
            boxes.medianIou.toFixed(4),
            boxes.medianScoreDifference.toFixed(4),
            boxes.maxScoreDifference.toFixed(4),
          ],
        ],
      },
    ],
    targets: [
      { what: 'rate of Sightline / Python', measured: a.fps / b.fps, target: 1.5, want: 'at least', unit: '' },
      {
        what: 'CPU a frame of Sightline / Python',
        measured: a.cpuMsPerFrame / b.cpuMsPerFrame,
        target: 1,
        want: 'at most',
        unit: '',
      },
    ],
    notes: [
      'CPU includes every thread and child process of each side. The latencies are not comparable: the loop has one frame at a time, while Sightline reads a file and keeps every stage full. Its latency under live load is in the section half-load.',
      `Python side: ${Object.entries(theirs[0]!.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}.`,
    ],
    data: { ours, theirs, boxes },
  };
}

export function medians(runs: readonly SideRun[]): SideRun {
  const of = (pick: (run: SideRun) => number): number => median(runs.map(pick));
  return {
    fps: of((run) => run.fps),
    cpuMsPerFrame: of((run) => run.cpuMsPerFrame),
    latencyMs: {
      p50: of((run) => run.latencyMs.p50),
      p95: of((run) => run.latencyMs.p95),
      p99: of((run) => run.latencyMs.p99),
    },
  };
}

/** Returns the file of the fast detector as its publisher made it. @throws MODEL_WEIGHTS_MISSING */
export async function publishedWeights({ environment, note }: BenchContext): Promise<string> {
  const { modelPath, cacheDir } = environment;
  const search = { searchPath: modelPath, cacheDir, onNotice: note, mayFetch: false };
  const [weights] = await findWeights(await loadManifest(FAST_MODEL), search);
  return weights!;
}

/** @param flags - for the script, besides model file, clip and times. */
export async function pythonRun(
  context: BenchContext,
  python: string,
  script: string,
  weights: string,
  flags: readonly string[],
): Promise<PythonRun> {
  const args = [
    join(packageRoot(), 'bench', 'peers', script),
    weights,
    context.clip.path,
    '--seconds',
    String(context.seconds),
    '--warm-up',
    String(context.warmUpSeconds),
    ...flags,
  ];
  const { stdout } = await promisify(execFile)(python, args);
  return JSON.parse(stdout) as PythonRun;
}

export async function sightlineRun(
  context: BenchContext,
  model: Readonly<Record<string, unknown>> = { name: FAST_MODEL, engine: 'onnx' },
): Promise<SideRun> {
  const streams = await benchStreams(context, 1, OFFLINE);
  const { fps: rate, cpuMsPerFrame, latencyMs } = await measureOnce(context, model, streams);
  return { fps: rate, cpuMsPerFrame: cpuMsPerFrame?.total ?? Number.NaN, latencyMs };
}

/** Returns the boxes of one pass over the clip. */
async function sightlineBoxes(context: BenchContext): Promise<BoxesPerFrame> {
  const runtime = await openBenchRuntime(context, { name: FAST_MODEL, engine: 'onnx' });
  const boxes: BoxRow[][] = [];
  const collect = ({ frame, detections }: PublishedFrame): void => {
    boxes[frame] = detections.map(({ box, score, classId }) => [...box, score, classId] as const);
  };
  try {
    runtime.published.add(collect);
    const [request] = await benchStreams(context, 1, { policy: 'file' });
    const stream = runtime.add(request!.config, request!.input);
    await stream.settled();
    if (stream.failure !== null) throw stream.failure;
    return boxes;
  } finally {
    await runtime.stop();
  }
}
