import { afterAll, describe, expect, it } from 'vitest';
import { findResumePoint, type ResumePoint } from '../../src/frame/decode/resume-point.ts';
import { CutClips } from '../support/cut-clips.ts';
import { decodeFrames, fileSource } from '../support/decode-frames.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { within } from '../support/wait-for.ts';
import { testedFfmpegs } from './odd-media-player.ts';

/** 14 s: long enough for a seek. */
const FRAMES = 350;
const clips = new CutClips(FRAMES);
const ffmpegs = (await testedFfmpegs()).map((binary) => ({ label: `ffmpeg ${binary.version}`, binary }));
afterAll(() => clips.remove());

describe.each(ffmpegs)('a file that is read on, $label', ({ binary }) => {
  const pointAfter = (path: string, ptsUs: number, frames: number | null): Promise<ResumePoint> => {
    const signal = new AbortController().signal;
    return findResumePoint({ ffmpeg: binary, source: fileSource(path), after: { ptsUs, frames }, signal });
  };

  it.each([
    { every: 1, maxFps: null },
    { every: 7, maxFps: null },
    { every: 2, maxFps: 6 },
    { every: 1, maxFps: null, decode: 'reference' },
    { every: 1, maxFps: null, decode: 'key' },
  ] as const)(
    'gives exactly the frames that were missing, from a key frame near the place: %j',
    async (choice) => {
      for (const [what, path] of await clips.regular()) {
        const whole = await decodeFrames(binary, fileSource(path), choice);
        const times = whole.frames.map(({ ptsUs }) => ptsUs);
        const late = times.flatMap((ptsUs, i) => (ptsUs >= 11_000_000 ? [i] : []));
        const inside = choice.every === 1 ? [late[1]!, late.at(-2)!] : [];
        for (const at of [late[0]!, ...inside, late.at(-1)!]) {
          const { source, afterUs, discard } = await pointAfter(path, times[at]!, at + 1);
          expect([what, source.window!.fromUs! > 8_000_000, discard]).toEqual([what, true, 0]);
          const rest = await decodeFrames(binary, source, { ...choice, afterUs });
          expect([what, rest.frames], what).toEqual([what, whole.frames.slice(at + 1)]);
          expect(rest.pictures, what).toEqual(whole.pictures.slice(at + 1));
        }
      }
    },
    240_000,
  );

  it('is read from its start where key frames or times cannot be trusted, and its pictures are counted', async () => {
    for (const [what, path] of await clips.irregular()) {
      const { source, afterUs, discard } = await pointAfter(path, 12_000_000, 300);
      expect([what, source.window, afterUs, discard]).toEqual([what, undefined, null, 300]);
    }
  }, 120_000);

  it('is read from its start for a short way', async () => {
    const path = await clips.reordered('short.mp4');
    expect(await pointAfter(path, 9_000_000, 225)).toMatchObject({ afterUs: null, discard: 225 });
  });

  it('is found by time alone if other frames are taken now', async () => {
    const path = await clips.reordered('other.mp4');
    const { source, afterUs, discard } = await pointAfter(path, 3_960_000, null);
    expect([afterUs, discard]).toEqual([3_960_000, 0]);
    const { frames } = await decodeFrames(binary, source, { every: 10, afterUs });
    expect(
      frames.slice(0, 2).map(({ ptsUs }) => ptsUs),
      'every 10th from there',
    ).toEqual([4_360_000, 4_760_000]);
  });

  it('that is thinned shows progress while nothing is taken', async () => {
    const path = await clips.reordered('thinned.mp4');
    const { frames, pulses } = await decodeFrames(binary, fileSource(path), { every: 1000 });
    expect(frames).toHaveLength(1);
    expect(pulses).toBeGreaterThan(0);
  });
});

describe('a file whose picture changes its size', () => {
  it.each(['resized.mkv', 'resized.ts'])(
    'loses no frame when it is paused before, %s',
    async (name) => {
      const path = await clips.resized(name);
      const expected = (await decodeFrames(testFfmpeg, fileSource(path))).frames.length;
      expect(expected).toBeGreaterThan(FRAMES);
      const live = await LiveRuntime.open({ frameMs: 1 });
      const stream = await live.add({ id: 'file', source: path });
      await live.flows('file', 300);
      await within('the pause', 10_000, stream.pause());
      stream.resume();
      await within('the file', 60_000, stream.settled());
      expect(stream.failure).toBeNull();
      expect(live.published('file').frames).toEqual(Array.from({ length: expected }, (_, i) => i));
      expect(await live.close()).toEqual([]);
    },
    120_000,
  );

  it('continues where it was when a change takes other frames', async () => {
    const path = await clips.reordered('changed.mp4');
    const live = await LiveRuntime.open({ frameMs: 1 });
    const stream = await live.add({ id: 'file', source: path });
    await live.flows('file', 290);
    await within('the change', 10_000, live.runtime.reopen(stream, { ...stream.config, every: 10 }, stream.input));
    const { frames } = live.published('file');
    const before = frames.length;
    await within('the file', 60_000, stream.settled());
    const rest = Math.floor((FRAMES - before) / 10);
    expect(frames).toEqual([
      ...Array.from({ length: before }, (_, i) => i),
      ...Array.from({ length: rest }, (_, i) => before + 10 * i),
    ]);
    expect(await live.close()).toEqual([]);
  }, 120_000);
});
