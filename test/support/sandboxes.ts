import type { Ffmpeg } from '../../src/base/process/confinement.ts';
import { findFfmpeg } from '../../src/frame/decode/ffmpeg-binary.ts';
import { testFfmpeg } from './made-videos.ts';

export interface SandboxCase {
  readonly name: 'bwrap' | 'landlock';
  /** Null if it does not work on this machine. */
  readonly ffmpeg: Ffmpeg | null;
  readonly whyNot: string;
}

/** The ffmpeg of the tests in each kind of sandbox. Prints which of them this machine lacks. */
export const SANDBOXES: readonly SandboxCase[] = await Promise.all(
  (['bwrap', 'landlock'] as const).map(async (name): Promise<SandboxCase> => {
    const decoder = { sandbox: name, maxPixels: 67_108_864, memoryMib: 4096, packaged: true };
    const { path } = testFfmpeg;
    try {
      const found = await findFfmpeg({ path, searchPath: process.env.PATH ?? '', decoder });
      return { name, ffmpeg: found, whyNot: '' };
    } catch (error) {
      console.log(`tests of the sandbox ${name} are skipped: ${(error as Error).message}`);
      return { name, ffmpeg: null, whyNot: (error as Error).message };
    }
  }),
);
