import { renameSync, symlinkSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc } from '../support/processes.ts';
import { waitFor, within } from '../support/wait-for.ts';

const IDS = ['a', 'b', 'c'];
const OTHERS = ['b', 'c'];

describe.skipIf(!hasProc)('an ffmpeg that dies or stalls (needs /proc)', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;

  beforeAll(async () => {
    await Promise.all(IDS.map((id) => folder.make(`${id}.mp4`, { frames: 100 })));
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
    expect(ffmpegWith(folder.marker), 'no ffmpeg outlives its runtime').toEqual([]);
  });

  afterAll(() => folder.remove());

  async function threeStreams(): Promise<void> {
    live = await LiveRuntime.open({ lanes: 2, threads: 2 });
    await live.addAll(
      IDS.map((id) => ({ id, source: `${folder.path}/${id}.mp4`, loop: true, realtime: true, staleMs: 1000 })),
    );
    await live.allFlow(IDS);
  }

  function onlyFfmpegOf(id: string): number {
    const found = ffmpegWith(`${folder.marker}/${id}.mp4`);
    expect(found, `one ffmpeg reads ${id}`).toHaveLength(1);
    return found[0]!.pid;
  }

  it('killed with SIGKILL, one of three is restarted and the others are not affected', async () => {
    await threeStreams();
    const othersAreWell = live.watch(OTHERS);
    const stream = live.runtime.stream('a');
    const framesBefore = live.published('a').frames.length;
    process.kill(onlyFfmpegOf('a'), 'SIGKILL');
    await live.reaches(stream, 'reconnecting');
    const startedMs = performance.now();
    await live.flows('a', 1, { everyMs: 2 });
    console.log(`SIGKILL of ffmpeg: ${Math.round(performance.now() - startedMs)} ms from notice to the next result`);
    await live.flows('a');
    expect(live.states('a')).toEqual(['running', 'reconnecting', 'running']);
    expect(live.codes('a')).toEqual(['DECODE_EXITED']);
    expect(live.report('a').reconnects).toBe(1);
    onlyFfmpegOf('a');
    await waitFor('no slot but the one being filled', () => stream.heldSlots <= 1);
    const { frames } = live.published('a');
    expect(frames[framesBefore]! - frames[framesBefore - 1]!, 'frame numbers continue').toBeLessThan(10);
    expect(frames, 'and rise').toEqual([...new Set(frames)].sort((x, y) => x - y));
    expect(await othersAreWell()).toEqual([]);
  });

  it('stopped with SIGSTOP, it is replaced before it has exited, and then killed', async () => {
    await threeStreams();
    const othersAreWell = live.watch(OTHERS);
    const stream = live.runtime.stream('a');
    const stopped = onlyFfmpegOf('a');
    process.kill(stopped, 'SIGSTOP');
    const noticeMs = await live.reaches(stream, 'reconnecting');
    const recoverMs = await live.flows('a', 1, { everyMs: 2 });
    console.log(
      `SIGSTOP of ffmpeg: noticed after ${Math.round(noticeMs)} ms, next result ${Math.round(recoverMs)} ms later`,
    );
    expect(noticeMs, 'staleMs is 1000').toBeLessThan(5_000);
    await live.flows('a');
    expect(live.codes('a')).toEqual(['SOURCE_STALLED']);
    await waitFor('the stopped ffmpeg to be killed', () =>
      ffmpegWith(folder.marker).every(({ pid }) => pid !== stopped),
    );
    onlyFfmpegOf('a');
    await waitFor('no slot but the one being filled', () => stream.heldSlots <= 1);
    expect(await othersAreWell()).toEqual([]);
  });

  it('killed repeatedly, it is restarted with a back-off and without a limit', async () => {
    await threeStreams();
    const othersAreWell = live.watch(OTHERS);
    for (let i = 0; i < 4; i++) {
      const running = await livingFfmpegOf('a');
      process.kill(running, 'SIGKILL');
      await waitFor('that ffmpeg to be gone', () =>
        ffmpegWith(`${folder.marker}/a.mp4`).every(({ pid }) => pid !== running),
      );
    }
    await live.flows('a');
    // One that was killed before its first frame made no connection.
    expect(live.report('a').reconnects).toBeGreaterThanOrEqual(1);
    expect(live.report('a').reconnects).toBeLessThanOrEqual(4);
    expect(await othersAreWell()).toEqual([]);
  });

  async function livingFfmpegOf(id: string): Promise<number> {
    await waitFor(`an ffmpeg for ${id}`, () => ffmpegWith(`${folder.marker}/${id}.mp4`).length === 1);
    return onlyFfmpegOf(id);
  }

  it.each(['removed', 'paused'] as const)(
    'a file whose ffmpeg has ended while its last frame waits in the pipe can be %s',
    async (wish) => {
      // Six slots and a slow engine: frame 7 fits into the pipe, ffmpeg ends, and no slot is free for the frame.
      live = await LiveRuntime.open({ callMs: 400, frameMs: 0, maxBatch: 1 });
      const path = await folder.make('seven.mp4', { frames: 8 });
      const stream = await live.add({ id: 'file', source: path });
      await waitFor('the slots to be full', () => stream.heldSlots >= 6);
      await waitFor('ffmpeg to have ended', () => ffmpegWith('seven.mp4').length === 0);
      await within(wish, 10_000, wish === 'paused' ? stream.pause() : live.runtime.remove('file'));
      expect(stream.state).toBe(wish);
      if (wish === 'removed') return;
      stream.resume();
      await within('the rest of the file', 10_000, stream.settled());
      expect(live.published('file').frames).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    },
  );

  it('a camera waits for an ffmpeg that is missing, as while a new version is installed', async () => {
    const link = `${folder.path}/ffmpeg`;
    symlinkSync(testFfmpeg.path, link);
    live = await LiveRuntime.open({ ffmpegPath: link });
    const stream = await live.add({ id: 'a', source: `${folder.path}/a.mp4`, loop: true, realtime: true });
    await live.flows('a');
    renameSync(link, `${link}.old`);
    process.kill(onlyFfmpegOf('a'), 'SIGKILL');
    await waitFor('it to be missed', () => live.report('a').lastError?.includes('cannot be started') ?? false);
    expect(stream.state).toBe('reconnecting');
    renameSync(`${link}.old`, link);
    await live.flows('a');
  });

  it('a source that disappears, as an unplugged device, resumes when it returns', async () => {
    live = await LiveRuntime.open();
    const path = await folder.make('unplugged.mp4', { frames: 100 });
    const stream = await live.add({ id: 'a', source: path, loop: true, realtime: true });
    await live.flows('a');
    renameSync(path, `${path}.away`);
    process.kill(onlyFfmpegOf('unplugged'), 'SIGKILL');
    await waitFor('it to be missed', () => live.report('a').lastError?.includes('no such file') ?? false);
    expect(stream.state).toBe('reconnecting');
    renameSync(`${path}.away`, path);
    await live.flows('a');
    expect(stream.failure).toBeNull();
  });

  it('a file whose ffmpeg is killed fails with an error that names the file', async () => {
    live = await LiveRuntime.open();
    const path = await folder.make('slow.mp4', { frames: 2000 });
    const stream = await live.add({ id: 'file', source: path, every: 1 });
    await live.flows('file', 1);
    process.kill(onlyFfmpegOf('slow'), 'SIGKILL');
    await stream.settled();
    expect(stream.state).toBe('failed');
    expect(stream.failure?.code).toBe('DECODE_EXITED');
    expect(stream.failure?.message).toContain('SIGKILL');
  });
});
