import { afterAll, describe, expect, it } from 'vitest';
import { HttpVideoServer } from '../support/http-video-server.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc, ownResources } from '../support/processes.ts';
import { waitFor, within } from '../support/wait-for.ts';

const seconds = Number(process.env.SOAK_SECONDS ?? 0);
if (seconds === 0) console.warn('The soak is skipped: set SOAK_SECONDS to run random faults for that long.');

const FILE_FRAMES = 200;
const CAMERAS = ['c0', 'c1', 'c2', 'c3'];

describe.skipIf(seconds === 0 || !hasProc)('random faults for SOAK_SECONDS (needs /proc)', () => {
  const folder = new VideoFolder();
  const served = new VideoFolder();

  afterAll(() => {
    folder.remove();
    served.remove();
  });

  it(
    'end no stream, lose no frame uncounted, and leak no resource',
    async () => {
      const seed = Number(process.env.SOAK_SEED ?? Date.now() % 100_000);
      console.log(`soak of ${seconds} s, SOAK_SEED=${seed}`);
      const random = randomFrom(seed);
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
      const video = await served.make('served.mp4', { frames: 100 });
      const http = new HttpVideoServer(video, video, served.path);
      await http.start();
      await folder.make('loop.mp4', { frames: 100 });
      await folder.make('file.mp4', { frames: FILE_FRAMES });
      const live = await LiveRuntime.open({ lanes: 2, threads: 2, frameMs: 3, timeoutMs: 2_000 });
      const loop = { source: `${folder.path}/loop.mp4`, loop: true, realtime: true, staleMs: 1_000 };
      await live.addAll(CAMERAS.map((id) => ({ id, ...loop })));
      await live.add({
        id: 'web',
        source: `${http.origin}/live.ts?m=${folder.marker}`,
        realtime: true,
        staleMs: 1_000,
      });
      await live.allFlow([...CAMERAS, 'web']);

      let files = 0;
      let isOver = false;
      // A file is being read at all times; every frame of each file must be published once.
      const archive = (async () => {
        while (!isOver) {
          const id = `file${files++}`;
          const stream = await live.add({ id, source: `${folder.path}/file.mp4` });
          await within(id, 60_000, stream.settled());
          // Its own ffmpeg may have been killed, which fails the file; the frames until then are in order.
          const expected = Array.from({ length: live.published(id).frames.length }, (_, i) => i);
          expect(live.published(id).frames).toEqual(expected);
          if (stream.state === 'ended') expect(expected).toHaveLength(FILE_FRAMES);
          await live.runtime.remove(id);
        }
      })();

      const signal = (name: NodeJS.Signals) => async () => {
        const cameras = ffmpegWith(folder.marker).filter(({ state }) => state !== 'T');
        if (cameras.length > 0) process.kill(pick(cameras).pid, name);
      };
      const faults: readonly (() => Promise<unknown>)[] = [
        signal('SIGKILL'),
        async () => {
          // Only cameras have a stall timeout; files do not.
          const cameras = ffmpegWith(`${folder.marker}/loop.mp4`).filter(({ state }) => state !== 'T');
          if (cameras.length > 0) process.kill(pick(cameras).pid, 'SIGSTOP');
        },
        async () => pick(live.runtime.threads.lanes)?.crash(),
        async () => pick(live.runtime.threads.inference)?.crash(),
        async () => {
          const stream = live.runtime.stream(pick(CAMERAS));
          await stream.pause();
          stream.resume();
        },
        async () => {
          const id = pick(CAMERAS);
          await live.runtime.remove(id);
          await live.add({ id, ...loop });
        },
        async () => {
          await http.stop();
          await new Promise((resolve) => setTimeout(resolve, 500));
          await http.start();
        },
      ];
      const marks: { atS: number; rssMb: number }[] = [];
      let baseline = ownResources();
      const startedMs = performance.now();
      let count = 0;
      for (;;) {
        const atS = (performance.now() - startedMs) / 1000;
        if (atS > seconds) break;
        if (count === 20) baseline = ownResources();
        await within('a fault', 30_000, pick(faults)());
        count += 1;
        await new Promise((resolve) => setTimeout(resolve, random() * 600));
        marks.push({ atS, rssMb: ownResources().rssBytes / 2 ** 20 });
      }
      isOver = true;
      await within('the last file', 60_000, archive);
      await live.allFlow([...CAMERAS, 'web'], 10);
      await waitFor('one ffmpeg for each camera', () => ffmpegWith(folder.marker).length === CAMERAS.length + 1);
      await waitFor('both threads', () => live.runtime.threads.inference.length === 2);
      await waitFor('no thread more than before', () => ownResources().threads <= baseline.threads + 1);
      await waitFor(
        'no more descriptors than before',
        () => ownResources().fileDescriptors <= baseline.fileDescriptors + 8,
      );
      console.log(
        `${count} faults, ${files} files, RSS ${slopePerMinute(marks).toFixed(1)} MiB a minute after the warm-up`,
      );
      expect(await live.close()).toEqual([]);
      expect(ffmpegWith(folder.marker)).toEqual([]);
      await http.close();
    },
    seconds * 1000 + 180_000,
  );
});

/** Least-squares slope over the second half. */
function slopePerMinute(marks: readonly { atS: number; rssMb: number }[]): number {
  const half = marks.slice(Math.floor(marks.length / 2));
  const meanT = half.reduce((sum, { atS }) => sum + atS, 0) / half.length;
  const meanR = half.reduce((sum, { rssMb }) => sum + rssMb, 0) / half.length;
  const covariance = half.reduce((sum, { atS, rssMb }) => sum + (atS - meanT) * (rssMb - meanR), 0);
  const variance = half.reduce((sum, { atS }) => sum + (atS - meanT) ** 2, 0);
  return (covariance / variance) * 60;
}

/** Park and Miller's minimal standard generator, so that a run can be repeated with its seed. */
function randomFrom(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 16_807) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
