import { afterAll, describe, expect, it } from 'vitest';
import { takesCommands } from '../../src/frame/decode/shed-filters.ts';
import { CutClips } from '../support/cut-clips.ts';
import { decodeFrames, fileSource } from '../support/decode-frames.ts';
import { testedFfmpegs } from './odd-media-player.ts';

const clips = new CutClips(100);
const ffmpegs = (await testedFfmpegs())
  .filter(({ major }) => takesCommands(major))
  .map((binary) => ({ label: `ffmpeg ${binary.version}`, binary }));
afterAll(() => clips.remove());

describe.each(ffmpegs)('a rate that can be changed, $label', ({ binary }) => {
  it.each([
    { every: 1, maxFps: null },
    { every: 3, maxFps: null },
    { every: 1, maxFps: 7 },
    { every: 1, maxFps: 0.5 },
    { every: 2, maxFps: 5 },
    { every: 1, maxFps: 1000 },
  ])(
    'takes the same frames as one that cannot: %j',
    async (choice) => {
      const raw = (await clips.irregular()).find(([what]) => what === 'no container')!;
      const paths = [
        ['plain', await clips.reordered()],
        ['another size in between', await clips.resized('resized.ts')],
        raw,
      ] as const;
      for (const [what, path] of paths) {
        const source = fileSource(path);
        const [fixed, changeable] = await Promise.all(
          [false, true].map((takes) => decodeFrames(binary, source, { ...choice, takesCommands: takes })),
        );
        expect(changeable!.pictures.length, what).toBeGreaterThan(0);
        expect([what, changeable!.frames], what).toEqual([what, fixed!.frames]);
        expect(changeable!.pictures, what).toEqual(fixed!.pictures);
      }
    },
    120_000,
  );
});
