import { afterAll, describe, expect, it } from 'vitest';
import { CutClips } from '../support/cut-clips.ts';
import { decodeFrames, fileSource } from '../support/decode-frames.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { waitFor, within } from '../support/wait-for.ts';
import { testedFfmpegs } from './odd-media-player.ts';

/** 14 s. */
const FRAMES = 350;
const clips = new CutClips(FRAMES);
const ffmpegs = (await testedFfmpegs()).map((binary) => ({ label: `ffmpeg ${binary.version}`, binary }));
afterAll(() => clips.remove());

describe.each(ffmpegs)('frames that are not decoded, $label', ({ binary }) => {
  it.each(['reordered.mp4', 'reordered.mkv', 'reordered.ts'])(
    'leave the others as they are, with their times, and are counted: %s',
    async (name) => {
      const path = await clips.reordered(name);
      const all = await decodeFrames(binary, fileSource(path));
      expect([all.frames.length, all.read], 'nothing is counted while all are decoded').toEqual([FRAMES, null]);
      const pictureAt = new Map(all.frames.map(({ ptsUs }, i) => [ptsUs, all.pictures[i]]));
      const keys = all.frames.filter(({ isKey }) => isKey === true);
      expect(keys).toHaveLength(FRAMES / 25);
      for (const decode of ['reference', 'key'] as const) {
        const some = await decodeFrames(binary, fileSource(path), { decode });
        const times = some.frames.map(({ ptsUs }) => ptsUs);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
        expect(some.pictures, decode).toEqual(times.map((ptsUs) => pictureAt.get(ptsUs)));
        expect(some.read).toMatchObject({ packets: FRAMES, isEnd: true });
        // The last packet, whose frame may not be decoded, ends within two frames of the clip's end.
        expect(some.read!.untilUs).toBeGreaterThan(all.frames.at(-1)!.ptsUs - all.frames[0]!.ptsUs - 80_000);
        if (decode === 'key') expect(some.frames).toEqual(keys);
        else {
          expect(some.frames.length).toBeLessThan(0.7 * FRAMES);
          expect(some.frames.filter(({ isKey }) => isKey === true)).toEqual(keys);
        }
      }
    },
    120_000,
  );

  it('are left out of what every and maxFps choose from', async () => {
    const path = await clips.reordered('thinned.mp4');
    const keys = await decodeFrames(binary, fileSource(path), { decode: 'key' });
    const third = await decodeFrames(binary, fileSource(path), { decode: 'key', every: 3 });
    expect(third.frames).toEqual(keys.frames.filter((_, i) => i % 3 === 0));
    const slow = await decodeFrames(binary, fileSource(path), { decode: 'key', maxFps: 0.5 });
    // One in each interval of two seconds, the first of which is half as long.
    expect(slow.frames).toHaveLength(1 + FRAMES / 50);
  }, 60_000);
});

describe('a stream with decode', () => {
  it('key: is alive although its key frames are further apart than staleMs, and counts what is not decoded', async () => {
    const path = await clips.sparse();
    const live = await LiveRuntime.open();
    const stream = await live.add({ id: 'cam', source: path, loop: true, decode: 'key', staleMs: 1500 });
    await live.flows('cam', 3, { deadlineMs: 40_000 });
    const { reconnects, decode, frames } = live.report('cam');
    expect(reconnects).toBe(0);
    expect(decode?.frames).toBe('key');
    // Three key frames of four seconds each, less what the decoder may still hold.
    expect(decode!.skipped).toBeGreaterThan(2 * 99 - 40);
    expect(frames.in).toBeLessThan(6);
    expect(stream.decoding.keyFps).toBeCloseTo(0.25, 3);
    expect(await live.close()).toEqual([]);
  }, 90_000);

  it('knows the distance of key frames also if most of them are not taken', async () => {
    const path = await clips.reordered('few.mp4');
    const [first, second] = (await decodeFrames(ffmpegs[0]!.binary, fileSource(path), { decode: 'key' })).frames;
    const live = await LiveRuntime.open();
    const stream = await live.add({ id: 'cam', source: path, loop: true, maxFps: 0.7 });
    const fps = 1e6 / (second!.ptsUs - first!.ptsUs);
    await waitFor('two key frames', () => stream.decoding.keyFps !== null);
    expect([stream.decoding.keyFps, stream.decoding.hasKeyFramesOnly]).toEqual([expect.closeTo(fps, 3), false]);
    const still = await live.add({
      id: 'still',
      source: 'synthetic:testsrc2=size=160x96:rate=10',
      maxFps: 0.7,
      policy: 'live',
    });
    await waitFor('two frames', () => still.decoding.keyFps !== null);
    expect([still.decoding.keyFps, still.decoding.hasKeyFramesOnly]).toEqual([expect.closeTo(10, 3), true]);
    expect(live.report('cam').frames.in).toBeLessThan(4);
    expect(await live.close()).toEqual([]);
  }, 90_000);

  it('can be changed while it is read: a file goes on behind its last frame and loses none', async () => {
    const path = await clips.reordered('changed.mp4');
    const all = await decodeFrames(ffmpegs[0]!.binary, fileSource(path), { decode: 'key' });
    const live = await LiveRuntime.open({ frameMs: 1 });
    const times: number[] = [];
    live.runtime.published.add(({ ptsUs }) => void times.push(ptsUs));
    const stream = await live.add({ id: 'file', source: path });
    await live.flows('file', 60);
    const next = { ...stream.config, decode: 'key' } as const;
    expect(stream.isInPlace({ ...stream.arrangement, config: next })).toBe(false);
    await within('the change', 10_000, live.runtime.reopen(stream, next, stream.input));
    const before = times.length;
    const lastUs = times.at(-1)!;
    await within('the file', 60_000, stream.settled());
    expect(stream.failure).toBeNull();
    expect(times.slice(0, before)).toEqual(Array.from({ length: before }, (_, i) => i * 40_000));
    expect(times.slice(before)).toEqual(all.frames.map(({ ptsUs }) => ptsUs).filter((ptsUs) => ptsUs > lastUs));
    // It was resumed by time, so nobody counted.
    expect(live.report('file').decode).toEqual({ frames: 'key', skipped: null });
    expect(stream.warnings).toEqual([]);
    expect(await live.close()).toEqual([]);
  }, 90_000);

  it('key: is no file that ends early, although its last frames are not decoded', async () => {
    const path = await clips.sparse('short-end.mp4');
    const live = await LiveRuntime.open({ frameMs: 1 });
    const stream = await live.add({ id: 'file', source: path, decode: 'key' });
    await within('the file', 60_000, stream.settled());
    expect(stream.warnings).toEqual([]);
    expect(live.published('file').frames).toEqual([0, 1, 2, 3]);
    await waitFor('the count', () => live.report('file').decode?.skipped === FRAMES - 4);
    expect(await live.close()).toEqual([]);
  }, 60_000);

  it('is not opened again for a source of which all frames are key frames anyway', async () => {
    const live = await LiveRuntime.open();
    const stream = await live.add({ id: 'cam', source: 'synthetic:testsrc2=size=160x96:rate=10' });
    const config = { ...stream.config, decode: 'key' } as const;
    expect(stream.isInPlace({ ...stream.arrangement, config })).toBe(true);
    expect(await live.close()).toEqual([]);
  }, 60_000);
});
