import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { NOT_FOUND } from '../src/base/geometry/match-boxes.ts';
import type { Runtime } from '../src/frame/runtime/runtime.ts';
import { resolveStreamInput } from '../src/frame/runtime/stream/stream-input.ts';
import { f1Of } from '../src/network/evaluate/agreement.ts';
import { matchFrames } from '../src/network/evaluate/frame-matches.ts';
import type { RecordedFrame, RecordedResults } from '../src/network/evaluate/recorded-results.ts';
import { parseStream } from '../src/settings/config/parse-stream.ts';
import type { BenchContext } from './support/bench-context.ts';
import { openBenchRuntime } from './support/bench-runtime.ts';
import { encodeScene, type HardScene, hardScenes, sceneMaterial } from './support/hard-scenes.ts';
import { steadySightings } from './support/missed-objects.ts';
import type { Section, SectionResult } from './support/section.ts';

type Settings = Readonly<Record<string, unknown>>;

interface Lever {
  readonly name: string;
  readonly settings: Settings;
  /** Which frames are taken, both for this lever and for its comparison, where all of them are inferred. */
  readonly rate?: Settings;
  /** Levels of noise at which it is tried. */
  readonly sigmas: readonly number[];
}

/** What a lever did to one clip. */
export interface HardCase {
  readonly scene: string;
  readonly detector: string;
  readonly sigma: number;
  readonly lever: string;
  readonly frames: number;
  readonly inferred: number;
  /** Objects of at least 1 % of the picture that inference of every frame finds steadily, and how many of them were missing too long. */
  readonly objects: number;
  readonly missed: number;
  readonly longestMs: number;
  readonly f1: number;
}

const SIGMAS = [0, 3, 8];
/** Levers that look at pixels are tried at several levels of noise; a tracker does not look at pixels. */
const ONE_SIGMA = [3];
const LEVERS: readonly Lever[] = [
  { name: 'unchanged', settings: { unchanged: true }, sigmas: SIGMAS },
  { name: 'unchanged and auto', settings: { unchanged: true, trackBetween: 'auto' }, sigmas: ONE_SIGMA },
  { name: 'track between, 4', settings: { trackBetween: 4 }, sigmas: ONE_SIGMA },
  { name: 'track between, auto', settings: { trackBetween: 'auto' }, sigmas: ONE_SIGMA },
  { name: 'track between, 4, every 3', settings: { trackBetween: 4 }, rate: { every: 3 }, sigmas: ONE_SIGMA },
  {
    name: 'unchanged and auto, maxFps 8',
    settings: { unchanged: true, trackBetween: 'auto' },
    rate: { maxFps: 8 },
    sigmas: ONE_SIGMA,
  },
];
/** Detectors with inputs of several shapes, each with pictures and objects of its own. */
export const DETECTORS = [
  { model: 'yolox-nano', pack: 1 },
  { model: 'picodet-s', pack: 2 },
  { model: 'yolox-nano-480x256', pack: 3 },
] as const;
const STEADY = { minShare: 0.01, steadyMs: 500 };
/** Longest time for which an object may be missing; times are whole milliseconds. */
const ALLOWED_MS = 200.5;
/** More than all frames of a clip. */
const CACHED = 4096;

/** Measures what skipped inference loses in scenes where a loss is most likely. */
export const hardCases: Section = {
  id: 'hard-cases',
  title: 'Hard cases for skipped work',
  async run(context): Promise<SectionResult> {
    const detectors = context.isQuick ? DETECTORS.slice(0, 1) : DETECTORS;
    const cases: HardCase[] = [];
    for (const { model, pack } of detectors)
      for await (const measured of measureDetector(context, model, pack)) cases.push(...measured);
    return { tables: tablesOf(cases), targets: [], notes: NOTES, data: cases };
  },
};

/** Measures one clip after the other. @param from - number of the first clip. */
export async function* measureDetector(
  context: BenchContext,
  detector: string,
  pack: number,
  from = 0,
): AsyncGenerator<HardCase[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sightline-hard-'));
  const runtime = await openDetector(context, detector);
  try {
    const scenes = hardScenes(await sceneMaterial(context.ffmpeg.path, context.sharedDir, pack));
    const usual = context.isQuick ? ONE_SIGMA : SIGMAS;
    const clips = scenes.flatMap((scene, number) => (scene.sigmas ?? usual).map((sigma) => ({ scene, number, sigma })));
    for (const { scene, number, sigma } of clips.slice(from)) {
      const path = join(folder, `${number}-${sigma}.mp4`);
      await encodeScene(context.ffmpeg.path, scene, { sigma, seed: 1000 * pack + 10 * number + sigma, path });
      context.note(`${detector}: ${scene.name}, noise ${sigma}`);
      yield await measureClip(context, runtime, { scene, detector, sigma, path });
      await rm(path);
    }
  } finally {
    await runtime.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The fastest engine that is set up: only the detections count here. */
async function openDetector(context: BenchContext, name: string): Promise<Runtime> {
  const model = { name, cacheResults: CACHED };
  try {
    return await openBenchRuntime(context, { ...model, engine: 'openvino' });
  } catch (error) {
    if (!(error instanceof SightlineError) || error.code !== 'ENGINE_UNAVAILABLE') throw error;
    return openBenchRuntime(context, { ...model, engine: 'onnx' });
  }
}

interface Clip {
  readonly scene: HardScene;
  readonly detector: string;
  readonly sigma: number;
  readonly path: string;
}

async function measureClip(context: BenchContext, runtime: Runtime, clip: Clip): Promise<HardCase[]> {
  const cases: HardCase[] = [];
  const references = new Map<string, RecordedResults>();
  for (const { name, settings, rate = {}, sigmas } of LEVERS) {
    if (!sigmas.includes(clip.sigma)) continue;
    const key = JSON.stringify(rate);
    // The results of all frames are cached, so the runs after the first one infer little.
    const reference = references.get(key) ?? (await runClip(context, runtime, clip, { ...rate, track: true }));
    references.set(key, reference);
    const candidate = await runClip(context, runtime, clip, { ...rate, skip: settings });
    const sightings = steadySightings(reference.frames, candidate.frames, STEADY);
    cases.push({
      scene: clip.scene.name,
      detector: clip.detector,
      sigma: clip.sigma,
      lever: name,
      frames: candidate.frames.length,
      inferred: candidate.frames.filter(({ by }) => by === 'inferred').length,
      objects: sightings.length,
      missed: sightings.filter(({ missedMs }) => missedMs > ALLOWED_MS).length,
      longestMs: Math.max(0, ...sightings.map(({ missedMs }) => missedMs)),
      f1: f1Between(reference, candidate),
    });
  }
  return cases;
}

async function runClip(
  context: BenchContext,
  runtime: Runtime,
  { path, scene, sigma }: Clip,
  settings: Settings,
): Promise<RecordedResults> {
  const frames: RecordedFrame[] = [];
  const unsubscribe = runtime.published.add(({ frame, ptsUs, width, height, detections, by }) =>
    frames.push({ frame, ptsUs, width, height, detections, by }),
  );
  try {
    const config = parseStream({ id: 'clip', source: path, policy: 'file', ...settings }, {});
    const stream = runtime.add(config, await resolveStreamInput(config, context.ffmpeg, null, runtime.spec));
    await stream.settled();
    if (stream.failure !== null) throw stream.failure;
    if (stream.droppedCount > 0)
      throw new Error(`${stream.droppedCount} frames of "${scene.name}" ${sigma} were dropped`);
    await runtime.remove('clip');
    return { classes: runtime.spec.classes, scoreThreshold: runtime.scoreThreshold, frames };
  } finally {
    unsubscribe();
  }
}

/** F1 at IoU 0.5 over all frames and classes. */
function f1Between(reference: RecordedResults, candidate: RecordedResults): number {
  let [expected, foundAgain, received, confirmed] = [0, 0, 0, 0];
  for (const matches of matchFrames(reference, candidate)) {
    expected += matches.found.length;
    foundAgain += matches.found.filter((place) => place !== NOT_FOUND).length;
    received += matches.confirmed.length;
    confirmed += matches.confirmed.filter((place) => place !== NOT_FOUND).length;
  }
  return f1Of(expected, foundAgain, received, confirmed);
}

export function tablesOf(cases: readonly HardCase[]): SectionResult['tables'] {
  const scenes = [...new Set(cases.map(({ scene }) => scene))];
  const unchanged = cases.filter(({ lever }) => lever === LEVERS[0]!.name);
  const sigmas = [...new Set(cases.map(({ sigma }) => sigma))];
  return [
    {
      caption: 'skip.unchanged against inference of every frame, all detectors',
      rows: [
        ['case', 'objects', 'missing > 200 ms', 'longest', 'F1', ...sigmas.map((sigma) => `saved, noise ${sigma}`)],
        ...scenes.map((scene) => {
          const own = unchanged.filter((one) => one.scene === scene);
          return [scene, ...summary(own), ...sigmas.map((sigma) => saved(own.filter((one) => one.sigma === sigma)))];
        }),
        ['all', ...summary(unchanged), ...sigmas.map((sigma) => saved(unchanged.filter((one) => one.sigma === sigma)))],
      ],
    },
    {
      caption: 'each lever on all cases',
      rows: [
        ['lever', 'objects', 'missing > 200 ms', 'longest', 'F1', 'saved', 'worst case'],
        ...LEVERS.map(({ name }) => {
          const own = cases.filter(({ lever }) => lever === name);
          const worst = own.reduce((a, b) => (b.longestMs > a.longestMs ? b : a), own[0]!);
          return [name, ...summary(own), saved(own), `${worst.scene}, ${worst.detector}, noise ${worst.sigma}`];
        }),
      ],
    },
  ];
}

function summary(cases: readonly HardCase[]): string[] {
  const sum = (of: (one: HardCase) => number): number => cases.reduce((total, one) => total + of(one), 0);
  const longestMs = Math.max(...cases.map((one) => one.longestMs));
  const f1 = sum((one) => one.f1 * one.frames) / sum((one) => one.frames);
  return [
    String(sum((one) => one.objects)),
    String(sum((one) => one.missed)),
    `${longestMs.toFixed(0)} ms`,
    f1.toFixed(3),
  ];
}

function saved(cases: readonly HardCase[]): string {
  if (cases.length === 0) return '-';
  const frames = cases.reduce((sum, one) => sum + one.frames, 0);
  return `${((1 - cases.reduce((sum, one) => sum + one.inferred, 0) / frames) * 100).toFixed(0)} %`;
}

const NOTES = [
  `${DETECTORS.map(({ model }) => model).join(', ')} on openvino (onnx where it is not set up), each with 16 pictures of COCO and three objects of its own; noise is the standard deviation at 640x360 before encoding with H.264.`,
  'Objects: boxes of at least 1 % of the picture that inference of every frame has in each frame for at least 500 ms, followed by class and IoU 0.5. Missing: from the first frame without a box of the class at IoU 0.5 to the next one with it.',
];
