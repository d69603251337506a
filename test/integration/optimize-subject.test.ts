import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { PictureSample } from '../../src/lab/optimize/run/picture-sample.ts';
import { openSubject, type Subject } from '../../src/lab/optimize/run/subject.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { describeVideo } from '../support/read-video.ts';

const folder = new VideoFolder();
afterAll(() => folder.remove());
const { signal } = new AbortController();

function open(path: string): Promise<Subject> {
  return openSubject(path, undefined, testFfmpeg, signal, () => undefined);
}

async function differentPictures(subject: Subject): Promise<{ all: number; different: number }> {
  const sample = await PictureSample.of(testFfmpeg, subject.blocks, signal);
  const hashes = sample.paths.map((path) => createHash('sha256').update(readFileSync(path)).digest('hex'));
  await sample.close();
  return { all: hashes.length, different: new Set(hashes).size };
}

describe('what is taken from a recording', () => {
  // Longer than 24 minutes no picture at all was found, from 10 minutes on a single one.
  it.each([600, 1500])('%i s long: twelve different pictures, and rates of all of its parts', async (seconds) => {
    const path = await folder.make(`of-${seconds}.mp4`, { frames: seconds * 2, fps: 2, width: 96, height: 64 });
    const subject = await open(path);
    try {
      expect(await differentPictures(subject)).toEqual({ all: 12, different: 12 });
      const frames = subject.blocks.reduce((sum, block) => sum + block.frames, 0);
      // Twelve times ten seconds of two frames each.
      expect(frames).toBe(240);
      expect(subject.pipeline.streams[0]!.source).toBe(subject.clip);
      expect((await describeVideo(subject.clip)).timesMs).toHaveLength(frames);
      expect(subject.text).toContain(path);
    } finally {
      await subject.close();
    }
    expect(existsSync(dirname(subject.clip))).toBe(false);
  });

  it('14 s long: it is read itself, and has four blocks', async () => {
    const path = await folder.make('short.mp4', { frames: 140, fps: 10 });
    const subject = await open(path);
    expect(subject.clip).toBe(path);
    expect(subject.blocks.map(({ frames }) => frames)).toEqual([35, 35, 35, 35]);
    expect(await differentPictures(subject)).toEqual({ all: 12, different: 12 });
    await subject.close();
    expect(existsSync(path)).toBe(true);
  });

  it('of a single frame: one block, one picture', async () => {
    const subject = await open(await folder.make('one.mp4', { frames: 1 }));
    expect(subject.blocks).toHaveLength(1);
    expect(await differentPictures(subject)).toMatchObject({ different: 1 });
    await subject.close();
  });
});
