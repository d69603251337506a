import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc } from '../support/processes.ts';
import { waitFor } from '../support/wait-for.ts';

/** Tolerance above the guaranteed limit: on two busy cores threads wake up late. */
const SCHEDULING_SLACK_MS = 150;

describe.skipIf(!hasProc)('more frames than the engine can process (needs /proc)', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;

  beforeAll(async () => {
    await folder.make('loop.mp4', { frames: 100, fps: 25 });
    await folder.make('fast.mp4', { frames: 200, fps: 50 });
    await folder.make('slow.mp4', { frames: 50, fps: 10 });
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
    expect(ffmpegWith(folder.marker)).toEqual([]);
  });

  afterAll(() => folder.remove());

  const camera = (id: string, name: string, more: object = {}): Record<string, unknown> => ({
    id,
    source: `${folder.path}/${name}.mp4`,
    loop: true,
    realtime: true,
    ...more,
  });

  /** Counts of each stream while all of them together publish `results` frames. */
  async function over(ids: readonly string[], results: number): Promise<Record<string, { in: number; out: number }>> {
    await live.allFlow(ids, 3);
    const counters = () => new Map(ids.map((id) => [id, live.report(id).frames]));
    const before = counters();
    for (const id of ids) live.published(id).oldestMs = 0;
    const published = (): number => [...counters().values()].reduce((sum, frames) => sum + frames.published, 0);
    const until = published() + results;
    await waitFor(`${results} results`, () => published() >= until);
    return Object.fromEntries(
      [...counters()].map(([id, now]) => {
        const then = before.get(id)!;
        return [id, { in: now.in - then.in, out: now.published - then.published }];
      }),
    );
  }

  it('four cameras at half the capacity: each gets its share, drops are counted, no result is old', async () => {
    live = await LiveRuntime.open({ callMs: 20, frameMs: 0, maxBatch: 1 });
    const ids = ['a', 'b', 'c', 'd'];
    await live.addAll(ids.map((id) => camera(id, 'loop', { queueSize: 2, maxAgeMs: 400 })));
    const counts = await over(ids, 160);
    for (const id of ids) {
      const { dropped } = live.report(id).frames;
      const overloaded = ['queue-full', 'stale', 'shed'];
      expect(Object.keys(dropped).filter((reason) => !overloaded.includes(reason))).toEqual([]);
      expect((dropped['queue-full'] ?? 0) + (dropped.shed ?? 0)).toBeGreaterThan(10);
      expect(counts[id]!.out / 160, `share of ${id}`).toBeGreaterThan(0.18);
      expect(counts[id]!.out / 160, `share of ${id}`).toBeLessThan(0.32);
      expect(live.published(id).oldestMs, `oldest result of ${id}`).toBeLessThan(400 + 20 + SCHEDULING_SLACK_MS);
      expect(live.report(id).reconnects).toBe(0);
    }
  });

  it('a long queue does not make results old: frames older than maxAgeMs are dropped as stale', async () => {
    live = await LiveRuntime.open({ callMs: 20, frameMs: 0, maxBatch: 1 });
    const ids = ['a', 'b', 'c', 'd'];
    // Sixteen frames of four cameras at 20 ms each would be 1.3 s old.
    await live.addAll(ids.map((id) => camera(id, 'loop', { queueSize: 16, maxAgeMs: 200 })));
    await over(ids, 120);
    for (const id of ids) {
      expect(live.report(id).frames.dropped.stale ?? 0, `stale frames of ${id}`).toBeGreaterThan(5);
      expect(live.published(id).oldestMs, `oldest result of ${id}`).toBeLessThan(200 + 20 + SCHEDULING_SLACK_MS);
    }
  });

  it('a fast camera does not reduce the share of slow ones', async () => {
    // 50 + 10 + 10 frames per second arrive, 40 can be inferred.
    live = await LiveRuntime.open({ callMs: 25, frameMs: 0, maxBatch: 1 });
    const ids = ['fast', 's1', 's2'];
    await live.addAll([camera('fast', 'fast'), camera('s1', 'slow'), camera('s2', 'slow')]);
    const counts = await over(ids, 100);
    for (const id of ['s1', 's2']) expect(counts[id]!.out / counts[id]!.in, `served of ${id}`).toBeGreaterThan(0.8);
    expect(counts.fast!.out).toBeGreaterThan(counts.s1!.out);
  });

  it('three times the weight gives three times the frames', async () => {
    live = await LiveRuntime.open({ callMs: 40, frameMs: 0, maxBatch: 1 });
    await live.addAll([camera('heavy', 'loop', { weight: 3 }), camera('light', 'loop')]);
    const { heavy, light } = await over(['heavy', 'light'], 80);
    // 18.75 and 6.25 per second of the engine's 25.
    expect(heavy!.out / light!.out).toBeGreaterThan(2);
    expect(heavy!.out / light!.out).toBeLessThan(4.5);
  });

  it('a real-time synthetic source is live: paced, and reopened when it dies', async () => {
    live = await LiveRuntime.open();
    // A unique size marks its ffmpeg.
    const graph = `testsrc2=size=320x180:rate=25:sar=${1 + (process.pid % 97)}/100`;
    const stream = await live.add({ id: 'synthetic', source: `synthetic:${graph}`, realtime: true });
    expect(stream.input.policy).toBe('live');
    await live.flows('synthetic', 5);
    const ms = await live.flows('synthetic', 50);
    expect(50_000 / ms, 'frames a second').toBeLessThan(29);
    expect(50_000 / ms, 'frames a second').toBeGreaterThan(18);
    const [child] = ffmpegWith(graph);
    process.kill(child!.pid, 'SIGKILL');
    await live.reaches(stream, 'reconnecting');
    await live.flows('synthetic', 5);
    expect(live.states('synthetic')).toEqual(['running', 'reconnecting', 'running']);
    await live.runtime.remove('synthetic');
    expect(ffmpegWith(graph)).toEqual([]);
  });

  it('a synthetic source that is not real-time is a file: at full speed, without losing a frame', async () => {
    live = await LiveRuntime.open({ frameMs: 1 });
    const stream = await live.add({ id: 'synthetic', source: 'synthetic:testsrc2=size=320x180:rate=25:duration=8' });
    expect(stream.input.policy).toBe('file');
    await stream.settled();
    expect(stream.state).toBe('ended');
    expect(live.published('synthetic').frames).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });
});
