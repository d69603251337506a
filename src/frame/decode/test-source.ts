import type { SourceInput } from '../../base/core/source.ts';
import type { PtsUs } from '../../base/core/units.ts';
import type { Ffmpeg } from '../../base/process/confinement.ts';
import type { SourceTest } from '../../wire/protocol/source-test.ts';
import { watchHeaders } from './probe.ts';

/** Long enough for a camera of a few frames per second. */
const READ_MS = 1_500;
/** ffmpeg holds back the first frames of a live source while it analyses it, then delivers them all at once with guessed times. */
const BURST_MS = 500;
const LEAST_FRAMES = 3;
/** Media time may run this many times as fast or slow as the clock: networks deliver in bursts. */
const MOST_SPEED = 2;
/** A file is decoded much faster than it plays. */
const MOST_FRAMES = 10_000;

export interface TimedFrame {
  readonly ptsUs: PtsUs;
  /** Since the first frame. */
  readonly atMs: number;
}

/**
 * Reads frames of a source, without their pixels, for 1.5 s after the first one.
 *
 * @param source - opened, see `openSource`.
 * @param timeoutMs - longest wait for the first frame.
 * @throws SOURCE_* as a stream would, FFMPEG_MISSING
 */
export async function testSource(ffmpeg: Ffmpeg, source: SourceInput, timeoutMs: number): Promise<SourceTest> {
  const startedMs = performance.now();
  const frames: TimedFrame[] = [];
  const tracks = new TrackList();
  let firstMs = 0;
  const { width, height, durationUs } = await watchHeaders(ffmpeg, source, timeoutMs, {
    readMs: READ_MS,
    onLine: (line) => tracks.read(line),
    onFrame: ({ ptsUs }) => {
      const nowMs = performance.now();
      if (frames.length === 0) firstMs = nowMs;
      frames.push({ ptsUs, atMs: nowMs - firstMs });
      return frames.length < MOST_FRAMES;
    },
  });
  return {
    source: source.label,
    ...tracks.video,
    width,
    height,
    measuredFps: rateOf(frames),
    firstFrameMs: Math.round(firstMs - startedMs),
    durationMs: durationUs === null ? null : Math.round(durationUs / 1000),
    frames: frames.length,
    readMs: Math.round(frames.at(-1)?.atMs ?? 0),
    ignoredAudio: tracks.audio,
    timeProblems: timeProblems(frames, source.isLive),
  };
}

const TRACK = /^\[info\] {2,3}Stream #0:\d+\S*: (Video|Audio): (\w+)(.*)$/;
const STATED_RATE = / (\d+(?:\.\d+)?)(k?) fps/;
/** The lines from here on are about ffmpeg's output. */
const END_OF_INPUT = /^\[info\] (?:Stream mapping|Output #0)/;

/** Collects what ffmpeg prints about the tracks of its input. */
class TrackList {
  readonly audio: string[] = [];
  video: Pick<SourceTest, 'codec' | 'statedFps'> = { codec: null, statedFps: null };
  #isOver = false;

  read(line: string): void {
    if (END_OF_INPUT.test(line)) this.#isOver = true;
    const found = this.#isOver ? null : TRACK.exec(line);
    if (found === null) return;
    const [, kind, codec = '', rest = ''] = found;
    if (kind === 'Audio') this.audio.push(codec);
    // The first one is read.
    else if (this.video.codec === null) {
      const [, number, thousands] = STATED_RATE.exec(rest) ?? [];
      const statedFps = number === undefined ? null : Number(number) * (thousands === 'k' ? 1000 : 1);
      this.video = { codec, statedFps };
    }
  }
}

/** Returns frames per second, gaps left out; null if time does not advance. */
function rateOf(frames: readonly TimedFrame[]): number | null {
  const steps = stepsOf(frames)
    .filter((step) => step > 0)
    .sort((a, b) => a - b);
  const median = steps[Math.floor(steps.length / 2)] ?? 0;
  // Time stamps in milliseconds are 33 or 34 ms apart at 30 frames per second, so that the median alone is not exact.
  const usual = steps.filter((step) => step > median / 2 && step < median * 2);
  if (usual.length === 0) return null;
  return Math.round((1e8 * usual.length) / usual.reduce((sum, step) => sum + step, 0)) / 100;
}

function stepsOf(frames: readonly TimedFrame[]): number[] {
  return frames.slice(1).map(({ ptsUs }, i) => ptsUs - frames[i]!.ptsUs);
}

/** Returns what is wrong with the times of frames; empty if they can be relied on. */
export function timeProblems(frames: readonly TimedFrame[], isLive: boolean): string[] {
  const judged = isLive ? afterBurst(frames) : frames;
  const steps = stepsOf(judged);
  const problems: string[] = [];
  if (steps.length === 0) return ['too few frames came to judge their time stamps'];
  const back = steps.filter((step) => step < 0).length;
  const same = steps.filter((step) => step === 0).length;
  const total = steps.length;
  if (back > 0) problems.push(`time goes back at ${back} of ${total} frames`);
  if (same === total) problems.push('no frame has a time stamp of its own');
  else if (same > 0) problems.push(`${same} of ${total} frames have the time stamp of the frame before, or none`);
  const speed = isLive && problems.length === 0 ? speedOf(judged) : null;
  if (speed !== null && (speed > MOST_SPEED || speed < 1 / MOST_SPEED))
    problems.push(`time stamps run ${speed.toFixed(2)} times as fast as the clock`);
  return problems;
}

/** Returns the frames after the first burst; all but the first frame if those are few, as with a slow camera. */
function afterBurst(frames: readonly TimedFrame[]): readonly TimedFrame[] {
  const after = frames.filter(({ atMs }) => atMs >= BURST_MS);
  return after.length >= LEAST_FRAMES ? after : frames.slice(1);
}

/** Returns media time divided by real time; null if too little was read. */
function speedOf(frames: readonly TimedFrame[]): number | null {
  const [first, last] = [frames[0], frames.at(-1)];
  if (first === undefined || last === undefined || last.atMs - first.atMs < BURST_MS) return null;
  return (last.ptsUs - first.ptsUs) / 1000 / (last.atMs - first.atMs);
}
