import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { resolveStreamInput } from '../src/frame/runtime/stream/stream-input.ts';
import { subtractCpuUse } from '../src/frame/telemetry/cpu-ledger.ts';
import { collectOnSequences } from '../src/lab/optimize/gate/collect-on-sequences.ts';
import type { CollectedResults } from '../src/lab/optimize/gate/collect-results.ts';
import type { GateVerdict } from '../src/lab/optimize/gate/gate-verdict.ts';
import { judge } from '../src/lab/optimize/gate/judge.ts';
import { judgeVideo } from '../src/lab/optimize/gate/judge-video.ts';
import { isSequence, readTrackSequences } from '../src/lab/optimize/gate/track-sequence.ts';
import type { RecordedFrame, RecordedResults } from '../src/network/evaluate/recorded-results.ts';
import { batchConfig } from '../src/settings/config/batch.ts';
import { check } from '../src/settings/config/check.ts';
import { modelConfig } from '../src/settings/config/model-config.ts';
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
const DECODE_LEVERS: readonly Lever[] = [
  { name: 'decode: reference', settings: { decode: 'reference' } },
  { name: 'decode: key', settings: { decode: 'key' } },
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
      const identities = await judgedIdentities(context);
      const tables = [tableOf(rows), ...(identities.length === 0 ? [] : [identitiesTable(identities)])];
      return { tables, targets: [], notes: notesOf(context), data: { rows, identities } };
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

/** What each lever makes of identities, on the sequences of the shared folder whose true tracks are known. */
async function judgedIdentities(context: BenchContext): Promise<{ lever: string; verdict: GateVerdict }[]> {
  const root = join(context.sharedDir, 'mot');
  const folders = (await readdir(root).catch(() => [])).map((name) => join(root, name)).filter(isSequence);
  if (folders.length === 0) {
    context.note(`${root} has no sequences; identities are not judged`);
    return [];
  }
  const sequences = await readTrackSequences(folders.join(','), 'bench');
  const { environment, ffmpeg } = context;
  const options = {
    environment,
    ffmpeg,
    model: check(modelConfig, { name: context.model, engine: 'onnx' }, 'model'),
    batch: check(batchConfig, {}, 'batch'),
    onNotice: context.note,
  };
  const run = ({ settings }: Lever): Promise<CollectedResults> =>
    collectOnSequences(options, parseStream({ id: 'clip', source: 'demo', track: true, ...settings }, {}), sequences);
  const reference = await run(NONE);
  const ground = { kind: 'tracks', sequences, startsUs: reference.startsUs } as const;
  const judged: { lever: string; verdict: GateVerdict }[] = [];
  for (const lever of [NONE, ...LEVERS, ...DECODE_LEVERS])
    judged.push({ lever: lever.name, verdict: await judge(reference, await run(lever), ground, JUDGE) });
  return judged;
}

function identitiesTable(judged: Awaited<ReturnType<typeof judgedIdentities>>): SectionResult['tables'][number] {
  return {
    caption: 'identities on sequences with true tracks, in every frame',
    rows: [
      ['lever', 'IDF1', 'HOTA', 'switches', 'loss of IDF1, 95 %', 'the gate'],
      ...judged.map(({ lever, verdict: { candidate, interval, identities, verdict } }) => [
        lever,
        candidate.toFixed(3),
        identities!.hota[1].toFixed(3),
        String(identities!.switches[1]),
        interval.map((end) => end.toFixed(3)).join(' to '),
        verdict,
      ]),
    ],
  };
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
