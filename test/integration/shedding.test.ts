import { afterEach, describe, expect, it } from 'vitest';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { takesCommands } from '../../src/frame/decode/shed-filters.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { ffmpegWith, hasProc } from '../support/processes.ts';
import { waitFor } from '../support/wait-for.ts';

const FPS = 50;
const PATIENT = { deadlineMs: 30_000 };
/** A unique aspect ratio marks the ffmpegs of this file. */
const MARK = `sar=${1 + (process.pid % 97)}/89`;

const canRun = hasProc && takesCommands(testFfmpeg.major);
if (!canRun) console.warn(`skipped: needs /proc, and ffmpeg 5 or later (here: ${testFfmpeg.version})`);

describe.skipIf(!canRun)('frames shed before they are scaled', () => {
  let live: LiveRuntime;
  let published: PublishedFrame[] = [];

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
    expect(ffmpegWith(MARK)).toEqual([]);
  });

  /** A detector of 50 frames/s. */
  async function open(): Promise<void> {
    live = await LiveRuntime.open({ callMs: 20, frameMs: 0, maxBatch: 1 });
    published = [];
    live.runtime.published.add((frame) => published.push(frame));
  }

  const camera = (id: string, more: object = {}): Record<string, unknown> => ({
    id,
    source: `synthetic:testsrc2=size=320x180:rate=${FPS}:${MARK}`,
    realtime: true,
    ...more,
  });

  const dropped = (id: string) => live.report(id).frames.dropped;
  const isShed = (id: string): boolean => (dropped(id).shed ?? 0) > 20;
  const shedding = (ids: readonly string[]): Promise<number> =>
    waitFor(`${ids.join(', ')} to be shed`, () => ids.every(isShed), PATIENT);

  /** The media time of a frame follows from its number, since the source has a fixed rate: no frame was miscounted. */
  function expectTrueNumbers(id: string): void {
    const frames = published.filter(({ streamId }) => streamId === id);
    expect(frames.length).toBeGreaterThan(20);
    for (const { frame, ptsUs } of frames) expect(ptsUs, `time of frame ${frame} of ${id}`).toBe((frame * 1e6) / FPS);
    for (const [i, { frame }] of frames.entries()) if (i > 0) expect(frame).toBeGreaterThan(frames[i - 1]!.frame);
  }

  it('each frame keeps its number and time, each is counted, and the shares are equal', async () => {
    await open();
    const ids = ['a', 'b', 'c', 'd'];
    await live.addAll(ids.map((id) => camera(id)));
    await shedding(ids);
    const before = new Map(ids.map((id) => [id, live.report(id).frames]));
    const start = published.length;
    await waitFor('200 results', () => published.length >= start + 200, PATIENT);
    for (const id of ids) {
      expectTrueNumbers(id);
      const [then, now] = [before.get(id)!, live.report(id).frames];
      const count = now.published - then.published;
      expect(count / 200, `share of ${id}`).toBeGreaterThan(0.17);
      expect(count / 200, `share of ${id}`).toBeLessThan(0.34);
      const shed = now.dropped.shed! - then.dropped.shed!;
      const late = (now.dropped['queue-full'] ?? 0) - (then.dropped['queue-full'] ?? 0);
      expect(shed, `frames of ${id} that are dropped early, against ${late} late`).toBeGreaterThan(late);
    }
  });

  it('ends when the load falls: every frame of the camera that is left is published', async () => {
    await open();
    await live.addAll(['a', 'b', 'c'].map((id) => camera(id, { every: id === 'a' ? 2 : 1 })));
    await shedding(['a', 'b', 'c']);
    await Promise.all(['b', 'c'].map((id) => live.runtime.remove(id)));
    let then = live.report('a').frames;
    const isWhole = (): boolean => {
      const now = live.report('a').frames;
      if (now.dropped.shed !== then.dropped.shed) then = now;
      return now.published - then.published >= 40;
    };
    await waitFor('forty frames without one that was shed', isWhole, PATIENT);
    expectTrueNumbers('a');
  });

  it('combines with every, maxFps and a tracker', async () => {
    await open();
    const streams = [camera('every', { every: 2 }), camera('rate', { maxFps: 20 }), camera('track', { track: true })];
    await live.addAll([...streams, camera('more')]);
    await shedding(['every', 'rate', 'track', 'more']);
    await live.allFlow(['every', 'track', 'rate'], 20);
    expectTrueNumbers('every');
    expectTrueNumbers('track');
    const ofEvery = published.filter(({ streamId }) => streamId === 'every');
    expect(new Set(ofEvery.map(({ frame }) => frame % 2))).toEqual(new Set([0]));
    // `maxFps` numbers the frames that it takes: the first one after each twentieth of a second, from the half of one on.
    for (const { streamId, frame, ptsUs } of published)
      if (streamId === 'rate')
        expect(ptsUs, `time of frame ${frame}`).toBe(20_000 * Math.max(0, Math.ceil((frame - 0.5) * 2.5)));
  });

  it('never touches a file, nor a stream that gets results without the detector', async () => {
    await open();
    await live.addAll([
      camera('a'),
      camera('b'),
      camera('still', { skip: { unchanged: true } }),
      { ...camera('file'), realtime: false, source: `synthetic:testsrc2=size=320x180:rate=50:${MARK}:duration=3` },
    ]);
    await shedding(['a', 'b']);
    await live.allFlow(['a', 'b'], 40);
    expect(dropped('still').shed).toBeUndefined();
    expect(dropped('file')).toEqual({});
  });

  it('survives the end of an ffmpeg and of the lane: nothing is lost uncounted, and shedding goes on', async () => {
    await open();
    await live.addAll([camera('a'), camera('b'), camera('c')]);
    await shedding(['a', 'b', 'c']);
    for (const { pid } of ffmpegWith(MARK)) process.kill(pid, 'SIGKILL');
    await waitFor('a to reconnect', () => live.states('a').includes('reconnecting'), PATIENT);
    await live.allFlow(['a', 'b', 'c'], 20);
    await live.runtime.threads.lanes[0]!.crash();
    await live.allFlow(['a', 'b', 'c'], 20);
    const before = dropped('a').shed!;
    await waitFor('more frames to be shed', () => dropped('a').shed! > before + 20, PATIENT);
    const frames = published.filter(({ streamId }) => streamId === 'a').map(({ frame }) => frame);
    for (const [i, frame] of frames.entries()) if (i > 0) expect(frame).toBeGreaterThan(frames[i - 1]!);
  });

  it('ends for a stream that begins to skip frames, and for one that is paused', async () => {
    await open();
    const [a, b] = await live.addAll([camera('a'), camera('b'), camera('c')]);
    await shedding(['a', 'b', 'c']);
    expect(a!.ledger.intake!.keepRatio).toBeLessThan(1);
    const tracked = parseStream(camera('a', { track: true, skip: { trackBetween: 2 } }), {});
    live.runtime.retune(a!, { ...a!.arrangement, config: tracked });
    expect(a!.ledger.intake).toBeNull();
    const before = dropped('a').shed!;
    await live.flows('a', 60);
    // Some were on their way when it began to skip.
    expect(dropped('a').shed! - before).toBeLessThan(60);
    await b!.pause();
    b!.resume();
    expect(b!.ledger.intake!.keepRatio).toBe(1);
    await live.flows('b', 10);
  });
});
