import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { VideoSinkRequest } from '../../src/after/sinks/open-video-sink.ts';
import type { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { describeVideo } from '../support/read-video.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { frameAt, notingFfmpegIn, openVideo, picture } from '../support/video-sinks.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-kept-'));
const disk = mountSmallDisk(join(folder, 'disk'), 96);
afterAll(() => {
  disk?.remove();
  rmSync(folder, { recursive: true });
});

describe('an earlier video', () => {
  const named = (name: string) =>
    readdirSync(folder)
      .filter((file) => file.startsWith(`${name}.`))
      .sort();
  const draw = async (name: string, count: number, more: Partial<VideoSinkRequest> = {}, isComplete = true) => {
    const sink = await openVideo(folder, name, more);
    for (let i = 0; i < count; i++) await sink.draw(frameAt(i * 40), picture(i));
    await sink.close(isComplete);
  };

  it('is kept under a numbered name by a pipeline, and replaced by the complete one of a command', async () => {
    for (const count of [3, 4]) await draw('again.mp4', count, { keepsEarlier: true });
    expect((await describeVideo(join(folder, 'again.1.mp4'))).timesMs).toHaveLength(3);
    expect((await describeVideo(join(folder, 'again.mp4'))).timesMs).toHaveLength(4);
    await draw('again.mp4', 5);
    expect((await describeVideo(join(folder, 'again.mp4'))).timesMs).toHaveLength(5);
    expect(named('again')).toEqual(['again.1.mp4', 'again.mp4']);
  });

  it('stays if the new one is incomplete; that one is kept under its partial name, then recovered by the next run', async () => {
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    await draw('short.mp4', 3);
    await draw('short.mp4', 4, { onNotice }, false);
    expect((await describeVideo(join(folder, 'short.mp4'))).timesMs).toHaveLength(3);
    expect((await describeVideo(join(folder, 'short.partial.mp4'))).timesMs).toHaveLength(4);
    await draw('short.mp4', 5, { onNotice });
    expect((await describeVideo(join(folder, 'short.recovered-1.mp4'))).timesMs).toHaveLength(4);
    expect((await describeVideo(join(folder, 'short.mp4'))).timesMs).toHaveLength(5);
    expect(named('short')).toEqual(['short.mp4', 'short.recovered-1.mp4']);
    expect(notices).toEqual([
      expect.stringMatching(/incomplete and stays in .*short\.partial\.mp4; .*short\.mp4 was not written/),
      expect.stringMatching(/kept in .*short\.recovered-1\.mp4/),
    ]);
  });

  it.skipIf(process.platform === 'win32')(
    'of a killed encoder is kept, and a pipeline continues in a new file',
    async () => {
      const noting = notingFfmpegIn(folder, 'goes-on');
      const failures: SightlineError[] = [];
      const recoveries: number[] = [];
      const sink = await openVideo(folder, 'goes-on.mp4', {
        keepsEarlier: true,
        ffmpeg: noting,
        onFailure: (error) => failures.push(error),
        onRecovery: (lost) => recoveries.push(lost),
        onNotice: () => undefined,
      });
      const partial = join(folder, 'goes-on.partial.mp4');
      let ms = 0;
      const drawUntil = async (isEnough: () => boolean) => {
        for (; !isEnough(); ms += 40) {
          await sink.draw(frameAt(ms), picture(ms % 255));
          // At the rate of a camera: a loop without pauses would take a core from the encoder.
          await sleep(10);
        }
      };
      await drawUntil(() => existsSync(partial) && statSync(partial).size > 10_000);
      process.kill(noting.pid(), 'SIGKILL');
      await drawUntil(() => recoveries.length > 0);
      await expect(sink.close()).rejects.toMatchObject({ details: { lostPictures: recoveries[0] } });
      expect(failures).toEqual([expect.objectContaining({ message: expect.stringMatching(/signal SIGKILL/) })]);
      expect((await describeVideo(join(folder, 'goes-on.recovered-1.mp4'))).timesMs.length).toBeGreaterThan(10);
      expect((await describeVideo(join(folder, 'goes-on.mp4'))).timesMs[0]).toBe(0);
      expect(named('goes-on').filter((name) => name.endsWith('.mp4'))).toEqual([
        'goes-on.mp4',
        'goes-on.recovered-1.mp4',
      ]);
    },
  );

  it.skipIf(disk === null)(
    'is kept when the disk is full, and a pipeline continues once it is not (needs to mount one)',
    async () => {
      const failures: SightlineError[] = [];
      const recoveries: number[] = [];
      const sink = await openVideo(disk!.path, 'full.mp4', {
        keepsEarlier: true,
        onFailure: (error) => failures.push(error),
        onRecovery: (lost) => recoveries.push(lost),
        onNotice: () => undefined,
      });
      let ms = 0;
      const drawUntil = async (isEnough: () => boolean) => {
        for (; !isEnough(); ms += 40) {
          const person = { classId: 0, label: 'person', score: 0.9, box: [ms % 600, 10, 30, 300] as const };
          await sink.draw(frameAt(ms, [person]), picture(ms % 255));
          await sleep(10);
        }
      };
      await drawUntil(() => failures.length > 0);
      expect(failures[0]!.message).toMatch(/no space is left on the disk.*ENOSPC/);
      disk!.grow(64 * 1024);
      await drawUntil(() => recoveries.length > 0);
      await expect(sink.close()).rejects.toMatchObject({ details: { lostPictures: recoveries[0] } });
      expect((await describeVideo(join(disk!.path, 'full.recovered-1.mp4'))).timesMs.length).toBeGreaterThan(10);
      expect((await describeVideo(join(disk!.path, 'full.mp4'))).timesMs.length).toBeGreaterThan(10);
    },
  );
});
