import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { resolveStreamInput } from '../src/frame/runtime/stream/stream-input.ts';
import { subtractCpuUse } from '../src/frame/telemetry/cpu-ledger.ts';
import type { GateVerdict } from '../src/lab/optimize/gate/gate-verdict.ts';
import { judgeVideo } from '../src/lab/optimize/gate/judge-video.ts';
import type { RecordedFrame, RecordedResults } from '../src/network/evaluate/recorded-results.ts';
import { parseStream } from '../src/settings/config/parse-stream.ts';
import type { StreamConfig } from '../src/settings/config/stream.ts';
import type { ResultCounters } from '../src/wire/protocol/report.ts';
import type { BenchContext } from './support/bench-context.ts';
import { openBenchRuntime } from './support/bench-runtime.ts';
import { ms } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

interface Lever {
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Results kept; 0 for none. */
  readonly cache?: number;
}

/** One run over a clip. */
interface Run {
  readonly recorded: RecordedResults;
  readonly results: ResultCounters;
  /** CPU milliseconds per frame, ffmpeg included; NaN without /proc. */
  readonly cpuMs: number;
  readonly seconds: number;
  readonly longestGap: number;
}

interface Row extends Omit<Run, 'recorded'> {
  readonly clip: string;
  readonly lever: string;
  readonly frames: number;
  readonly cpuSaved: number;
  readonly verdict: GateVerdict;
}

const NONE: Lever = { name: 'none', settings: {} };
const LEVERS: readonly Lever[] = [
  { name: 'unchanged', settings: { skip: { unchanged: true } } },
  { name: 'track between, 2', settings: { skip: { trackBetween: 2 } } },
  { name: 'track between, 4', settings: { skip: { trackBetween: 4 } } },
  { name: 'track between, auto', settings: { skip: { trackBetween: 'auto' } } },
  { name: 'unchanged and auto', settings: { skip: { unchanged: true, trackBetween: 'auto' } } },
];
/** Clips of the shared folder: one person at a time, a crowd, and a slow table top. */
const CLIPS = ['one-by-one-person-detection.mp4', 'vtest_h264.mp4', 'bottle-detection.mp4'] as const;
const STILL_SECONDS = 60;
const JUDGE = { maxLoss: 0.02, seed: 1, resamples: 300, level: 0.975 };
/** A vertical line through the middle, whose crossings are counted. */
const LINE = { id: 'middle', from: [0.5, 0], to: [0.5, 1] };

/** Measures what skipping inference saves and what it changes, on clips with all their frames. */
export const skipping: Section = {
  id: 'skipping',
  title: 'Skipped inference',
  async run(context): Promise<SectionResult> {
    const folder = await mkdtemp(join(tmpdir(), 'sightline-skipping-'));
    try {
      const videos = join(context.environment.modelPath.at(-1)!, '..', 'videos');
      const clips = CLIPS.map((name) => ({ name, path: join(videos, name) }));
      const still = { name: 'still camera with noise', path: await stillCamera(context, clips[1]!.path, folder) };
      const rows: Row[] = [];
      for (const clip of [...clips, still]) rows.push(...(await measureClip(context, clip)));
      return { tables: [tableOf(rows)], targets: [], notes: notesOf(context), data: rows };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function measureClip(context: BenchContext, clip: { name: string; path: string }): Promise<Row[]> {
  const reference = await runClip(context, clip.path, NONE);
  const rows: Row[] = [];
  // The cache is measured on a second pass over the same clip, which is what it is for.
  for (const lever of LEVERS) {
    const run = await runClip(context, clip.path, lever);
    const config = streamOf(clip.path, lever);
    const verdict = await judgeVideo(reference.recorded, run.recorded, { counters: config }, JUDGE);
    const { recorded, ...figures } = run;
    const cpuSaved = 1 - run.cpuMs / reference.cpuMs;
    rows.push({ ...figures, clip: clip.name, lever: lever.name, frames: recorded.frames.length, cpuSaved, verdict });
  }
  return rows;
}

function streamOf(path: string, { settings }: Lever): StreamConfig {
  return parseStream({ id: 'clip', source: path, policy: 'file', track: true, lines: [LINE], ...settings }, {});
}

async function runClip(context: BenchContext, path: string, lever: Lever): Promise<Run> {
  const runtime = await openBenchRuntime(context, { name: context.model, engine: 'onnx' });
  try {
    const threshold = runtime.scoreThreshold;
    const frames: RecordedFrame[] = [];
    runtime.published.add(({ frame, ptsUs, width, height, detections, by }) =>
      frames.push({ frame, ptsUs, width, height, detections, by }),
    );
    const config = streamOf(path, lever);
    const before = runtime.cpuUse();
    const startedMs = performance.now();
    const stream = runtime.add(config, await resolveStreamInput(config, context.ffmpeg, null, runtime.spec));
    await stream.settled();
    if (stream.failure !== null) throw stream.failure;
    const seconds = (performance.now() - startedMs) / 1000;
    const after = runtime.cpuUse();
    const cpu = before === null || after === null ? Number.NaN : subtractCpuUse(after, before).total;
    return {
      recorded: { classes: runtime.spec.classes, scoreThreshold: threshold, frames },
      results: stream.telemetry.results,
      cpuMs: cpu / frames.length,
      seconds,
      longestGap: stream.report(0, 0).detectEvery?.longest ?? 1,
    };
  } finally {
    await runtime.stop();
  }
}

/** Makes a minute of a camera that looks at one picture: sensor noise, and the compression of a usual encoder. */
async function stillCamera({ ffmpeg }: BenchContext, from: string, folder: string): Promise<string> {
  const picture = join(folder, 'still.png');
  const path = join(folder, 'still.mp4');
  const quiet = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'];
  await promisify(execFile)(ffmpeg.path, [...quiet, '-ss', '5', '-i', from, '-frames:v', '1', picture]);
  await promisify(execFile)(ffmpeg.path, [
    ...[...quiet, '-loop', '1', '-framerate', '10', '-i', picture, '-t', String(STILL_SECONDS)],
    ...['-vf', 'noise=alls=14:allf=t', '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '26', '-pix_fmt', 'yuv420p'],
    path,
  ]);
  return path;
}

function tableOf(rows: readonly Row[]): SectionResult['tables'][number] {
  const percent = (ratio: number): string => `${(ratio * 100).toFixed(0)} %`;
  return {
    caption: 'each lever compared with inference of every frame',
    rows: [
      [
        ...['clip', 'lever', 'frames', 'inferred', 'CPU a frame', 'CPU saved', 'F1', 'tracks kept'],
        'late by',
        'crossings',
      ],
      ...rows.map(({ clip, lever, frames, results, cpuMs, cpuSaved, verdict, longestGap }) => {
        const { tracks, counts } = verdict.video!;
        return [
          ...[clip, lever, String(frames), percent(results.inferred / frames), ms(cpuMs), percent(cpuSaved)],
          ...[verdict.candidate.toFixed(3), `${tracks.kept} of ${tracks.tracks}`, `${longestGap - 1} frames at most`],
          counts.map(({ reference, candidate }) => `${candidate.join('+')} of ${reference.join('+')}`).join(', '),
        ];
      }),
    ],
  };
}

function notesOf({ model }: BenchContext): string[] {
  return [
    `${model} on onnx; F1 at IoU 0.5 over all frames, those between included; tracks of at least 5 frames that are covered by one id for more than half of their life; crossings of a vertical line through the middle, both ways.`,
    'CPU includes ffmpeg and the start of the stream, and both are most of the rest where little is inferred.',
  ];
}
