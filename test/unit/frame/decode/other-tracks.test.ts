import { execFileSync } from 'node:child_process';
import { statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { otherTracksReach } from '../../../../src/frame/decode/other-tracks.ts';
import { testFfmpeg, VideoFolder } from '../../../support/made-videos.ts';

describe('tracks beside a video of four seconds', () => {
  const folder = new VideoFolder();
  const at = (name: string): string => join(folder.path, name);
  const go = new AbortController().signal;
  const reach = (name: string, seconds: number, stop = go): Promise<boolean> =>
    otherTracksReach(testFfmpeg, `file:${at(name)}`, seconds * 1e6, stop);

  beforeAll(async () => {
    await folder.make('alone.mkv', { frames: 100 });
    writeFileSync(at('one.srt'), '1\n00:00:01,000 --> 00:00:19,000\nA word.\n');
    const add = (path: string, ...other: string[]): void => {
      const args = ['-loglevel', 'error', '-y', '-i', at('alone.mkv'), ...other];
      execFileSync(testFfmpeg.path, [...args, '-map', '0:v', '-map', '1', '-c:v', 'copy', at(path)]);
    };
    add('subtitle.mkv', '-i', at('one.srt'), '-c:s', 'srt');
    add('sound.mp4', '-f', 'lavfi', '-i', 'sine=duration=20', '-c:a', 'aac');
    add('cut.mkv', '-f', 'lavfi', '-i', 'sine=duration=4', '-c:a', 'aac');
    truncateSync(at('cut.mkv'), statSync(at('cut.mkv')).size / 2);
  });
  afterAll(() => folder.remove());

  it('are seen to last longer: sound, and one subtitle that begins long before', async () => {
    expect(await reach('sound.mp4', 19)).toBe(true);
    expect(await reach('sound.mp4', 21)).toBe(false);
    expect(await reach('subtitle.mkv', 18.5)).toBe(true);
    expect(await reach('subtitle.mkv', 20)).toBe(false);
  });

  it('do not excuse a file that is cut, nor one without such tracks, nor one that cannot be read', async () => {
    expect(await reach('cut.mkv', 3.8)).toBe(false);
    expect(await reach('alone.mkv', 1)).toBe(false);
    expect(await reach('absent.mkv', 1)).toBe(false);
  });

  it('are not searched for once the stream is closed', async () => {
    expect(await reach('sound.mp4', 19, AbortSignal.abort())).toBe(false);
  });
});
