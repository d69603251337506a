import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc } from '../support/processes.ts';
import { waitFor, within } from '../support/wait-for.ts';

const FILE_FRAMES = 400;

describe.skipIf(!hasProc)('a thread that dies or hangs (needs /proc)', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;

  beforeAll(async () => {
    await folder.make('loop.mp4', { frames: 100 });
    await folder.make('file.mp4', { frames: FILE_FRAMES });
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
    expect(ffmpegWith(folder.marker), 'no ffmpeg outlives its runtime').toEqual([]);
  });

  afterAll(() => folder.remove());

  const camera = (id: string, more: object = {}): Record<string, unknown> => ({
    id,
    source: `${folder.path}/loop.mp4`,
    loop: true,
    realtime: true,
    ...more,
  });
  const file = (id: string): Record<string, unknown> => ({ id, source: `${folder.path}/file.mp4` });
  const everyFrameOnce = Array.from({ length: FILE_FRAMES }, (_, i) => i);

  it('when an inference thread dies, a live stream loses the frames on it, a file none', async () => {
    // Calls are long enough that a thread always holds a frame of each stream when it dies.
    live = await LiveRuntime.open({ threads: 2, frameMs: 15, maxBatch: 1 });
    const [cam, archive] = await live.addAll([camera('cam'), file('archive')]);
    await live.allFlow(['cam', 'archive']);
    for (let i = 1; i <= 3; i++) {
      await waitFor('both threads to work', () => live.runtime.threads.inference.length === 2);
      await within('the crash', 5_000, live.runtime.threads.inference[0]!.crash());
      await waitFor('a new thread', () => ups(live) === i);
      await live.allFlow(['cam']);
    }
    await within('the file', 30_000, archive!.settled());
    expect(archive!.state).toBe('ended');
    expect(live.published('archive').frames, 'N in, N out, in order').toEqual(everyFrameOnce);
    expect(archive!.telemetry.frames(0).dropped).toEqual({});
    expect(live.report('cam').reconnects, 'no camera is reopened').toBe(0);
    expect(cam!.state).toBe('running');
    expect(cam!.telemetry.frames(0).dropped['engine-failed'] ?? 0).toBeLessThanOrEqual(3 * 2);
  });

  it('frames on a dying inference thread are counted as engine-failed', async () => {
    live = await LiveRuntime.open({ threads: 1, callMs: 300, frameMs: 0, maxBatch: 1 });
    const cam = await live.add(camera('cam', { maxAgeMs: 5000 }));
    await live.flows('cam', 1);
    await waitFor('a frame on the thread', () => live.runtime.threads.inference[0]?.batchesInFlight === 1);
    await live.runtime.threads.inference[0]!.crash();
    await waitFor('the drop', () => cam.telemetry.frames(0).dropped['engine-failed'] === 1);
    await live.flows('cam', 2);
    expect(live.runtime.readiness()).toEqual({ isReady: true, reason: 'ready' });
  });

  it('a hung engine is detected and replaced, and never blocks a stop', async () => {
    live = await LiveRuntime.open({ threads: 1, callMs: 3_000, frameMs: 0, timeoutMs: 400, maxBatch: 1 });
    const cam = await live.add(camera('cam', { maxAgeMs: 60_000 }));
    const noticeMs = await waitFor('the hang to be noticed', () => losses(live).length >= 1);
    console.log(`hung engine: noticed ${Math.round(noticeMs)} ms after the stream was added (timeout 400 ms)`);
    expect(losses(live)[0]).toMatch(/did not answer for \d+ ms/);
    await waitFor('a new thread', () => ups(live) >= 1);
    await waitFor('the frame to be counted', () => (cam.telemetry.frames(0).dropped['engine-failed'] ?? 0) >= 1);
  });

  it('a file drops a frame that fails three times, and continues', async () => {
    live = await LiveRuntime.open({ threads: 2, callMs: 3_000, frameMs: 0, timeoutMs: 150, maxBatch: 1 });
    const archive = await live.add(file('archive'));
    await waitFor('a frame given up', () => (archive.telemetry.frames(0).dropped['engine-failed'] ?? 0) >= 1);
    expect(losses(live).length).toBeGreaterThanOrEqual(3);
    expect(archive.state).toBe('running');
  });

  it('when a lane dies its ffmpegs are killed, and its streams are reopened on another lane', async () => {
    live = await LiveRuntime.open({ lanes: 2, threads: 1, frameMs: 1 });
    const ids = ['c1', 'c2', 'c3', 'c4'];
    await live.addAll(ids.map((id) => camera(id)));
    await live.allFlow(ids);
    const lane = live.runtime.threads.lanes[0]!;
    const victims = [...lane.childPids];
    expect(victims).toHaveLength(2);
    const others = [...live.runtime.threads.lanes[1]!.childPids];
    const startedMs = performance.now();
    await within('the crash', 5_000, lane.crash());
    await waitFor('its ffmpegs to be gone', () => ffmpegWith(folder.marker).every(({ pid }) => !victims.includes(pid)));
    await live.allFlow(ids);
    console.log(`lane crash: all streams published again ${Math.round(performance.now() - startedMs)} ms later`);
    expect(live.runtime.childPids).toHaveLength(4);
    expect(live.runtime.childPids, 'the other lane kept its own').toEqual(expect.arrayContaining(others));
    const reconnects = ids.map((id) => live.report(id).reconnects).sort();
    expect(reconnects).toEqual([0, 0, 1, 1]);
    expect(ids.filter((id) => live.codes(id).includes('LANE_FAILED'))).toHaveLength(2);
    expect(live.events.filter(({ kind }) => kind === 'lane-restarted')).toHaveLength(1);
    for (const id of ids) expect(isRising(live.published(id).frames), `numbers of ${id} rise`).toBe(true);
  });

  it('a file continues exactly where its lane died: every frame once', async () => {
    live = await LiveRuntime.open({ lanes: 1, threads: 2, frameMs: 4, maxBatch: 2 });
    const archive = await live.add(file('archive'));
    for (let i = 0; i < 3; i++) {
      await live.flows('archive', 40);
      await within('the crash', 5_000, live.runtime.threads.lanes[0]!.crash());
    }
    await within('the file', 30_000, archive.settled());
    expect(archive.failure).toBeNull();
    expect(archive.state).toBe('ended');
    expect(live.published('archive').frames).toEqual(everyFrameOnce);
    expect(live.report('archive').frames).toMatchObject({ in: FILE_FRAMES, published: FILE_FRAMES, dropped: {} });
  });

  it('a lane that dies after a file is read completely, but not yet published, loses nothing', async () => {
    live = await LiveRuntime.open({ lanes: 1, threads: 1, frameMs: 200, maxBatch: 1 });
    const path = await folder.make('short.mp4', { frames: 5 });
    const archive = await live.add({ id: 'short', source: path });
    await waitFor('all frames to be read', () => live.report('short').frames.in === 5);
    await live.runtime.threads.lanes[0]!.crash();
    await within('the file', 20_000, archive.settled());
    expect(archive.failure).toBeNull();
    expect(archive.state).toBe('ended');
    expect(live.published('short').frames).toEqual([0, 1, 2, 3, 4]);
  });

  it('lanes and engines that die together lose nothing of a file', async () => {
    live = await LiveRuntime.open({ lanes: 2, threads: 2, frameMs: 4, maxBatch: 2 });
    const archive = await live.add(file('archive'));
    await live.flows('archive', 30);
    await Promise.all([
      ...live.runtime.threads.lanes.map((lane) => lane.crash()),
      ...live.runtime.threads.inference.map((thread) => thread.crash()),
    ]);
    await within('the file', 30_000, archive.settled());
    expect(archive.state).toBe('ended');
    expect(live.published('archive').frames).toEqual(everyFrameOnce);
  });
});

/** Messages about lost inference threads. */
function losses(live: LiveRuntime): string[] {
  return live.events.flatMap(({ kind, message }) =>
    kind === 'engine-restarted' && message.includes('being restarted') ? [message] : [],
  );
}

/** Number of inference threads that replaced lost ones. */
function ups(live: LiveRuntime): number {
  return live.events.filter(({ kind, message }) => kind === 'engine-restarted' && message.includes('has restarted'))
    .length;
}

function isRising(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || number > numbers[i - 1]!);
}
