import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith, hasProc, ownResources } from '../support/processes.ts';
import { freePort } from '../support/rtsp-server.ts';
import { waitFor, within } from '../support/wait-for.ts';

const HOST = fileURLToPath(new URL('../support/killed-host.mjs', import.meta.url));

describe.skipIf(!hasProc)('a whole host (needs /proc)', () => {
  const folder = new VideoFolder();
  let muteCamera: Server;
  let host: ChildProcess | null = null;

  beforeAll(async () => {
    await folder.make('loop.mp4', { frames: 100 });
    await folder.make('file.mp4', { frames: 2000 });
    // Accepts connections and never sends anything.
    muteCamera = createServer((socket) => socket.on('error', () => socket.destroy()));
    muteCamera.listen(0, '127.0.0.1');
    await once(muteCamera, 'listening');
  });

  afterEach(() => {
    host?.kill('SIGKILL');
    host = null;
  });

  afterAll(() => {
    muteCamera.close();
    folder.remove();
  });

  it('killed with SIGKILL leaves no ffmpeg: each ends by itself within seconds', async () => {
    // Its ffmpeg has the address of our relay, with the same path.
    const mute = `/silent-${process.pid}`;
    const camera = `rtsp://127.0.0.1:${(muteCamera.address() as AddressInfo).port}${mute}`;
    const sources = [`live:${folder.path}/loop.mp4`, `file:${folder.path}/file.mp4`, camera];
    host = spawn(process.execPath, [HOST, ...sources], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface({ input: host.stdout! }), 'line');
    expect(line).toBe('flowing');
    await waitFor('all three ffmpegs', () => ffmpegWith(folder.marker).length === 2 && ffmpegWith(mute).length === 1);
    const gone = once(host, 'exit');
    host.kill('SIGKILL');
    await gone;
    const ms = await waitFor(
      'the ffmpegs with a picture to write to end',
      () => ffmpegWith(folder.marker).length === 0,
    );
    // It has nothing to write, so it does not notice the closed pipe: its read timeout of five seconds ends it.
    const muteMs = ms + (await waitFor('the silent one to end', () => ffmpegWith(mute).length === 0));
    console.log(`host killed: ffmpegs gone after ${Math.round(ms)} ms, the silent one after ${Math.round(muteMs)} ms`);
    expect(ms).toBeLessThan(5_000);
  });

  it('leaks no thread, descriptor, slot, listener or child when 200 streams come and go beside a steady one', async () => {
    const live = await LiveRuntime.open({ lanes: 2, threads: 2, frameMs: 1 });
    const port = await freePort();
    await live.add({ id: 'steady', source: `${folder.path}/loop.mp4`, loop: true, realtime: true });
    await live.flows('steady');
    const steadyIsWell = live.watch(['steady']);
    const loop = { source: `${folder.path}/loop.mp4`, loop: true, realtime: true };
    const kinds = [
      async (id: string) => {
        await live.add({ id, ...loop });
        await live.flows(id, 1);
      },
      async (id: string) => void (await live.add({ id, source: `${folder.path}/file.mp4` })),
      async (id: string) => {
        await live.add({ id, source: `${folder.path}/file.mp4` });
        await live.flows(id, 20);
      },
      async (id: string) => {
        await live.reaches(await live.add({ id, source: `rtsp://127.0.0.1:${port}/cam` }), 'reconnecting');
      },
    ];
    const cycles = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += kinds.length) {
        await Promise.all(
          kinds.map(async (run, k) => {
            await run(`s${i + k}`);
            await within(`removal of s${i + k}`, 10_000, live.runtime.remove(`s${i + k}`));
          }),
        );
      }
    };
    await cycles(0, 40);
    const before = ownResources();
    await cycles(40, 200);
    await waitFor('descriptors to be closed', () => ownResources().fileDescriptors <= before.fileDescriptors + 2);
    const after = ownResources();
    const growthMb = (after.rssBytes - before.rssBytes) / 2 ** 20;
    console.log(`160 streams came and went: RSS ${(growthMb / 1.6).toFixed(1)} MiB for each 100`);
    expect(after.threads).toBe(before.threads);
    expect(live.runtime.published.size, 'listeners of results').toBe(1);
    expect(live.runtime.threads.lanes.map(({ streamCount }) => streamCount).sort()).toEqual([0, 1]);
    expect(live.runtime.childPids).toHaveLength(1);
    expect(ffmpegWith(folder.marker)).toHaveLength(1);
    expect(await steadyIsWell()).toEqual([]);
    expect(await live.close()).toEqual([]);
    expect(ffmpegWith(folder.marker)).toEqual([]);
  }, 60_000);
});
