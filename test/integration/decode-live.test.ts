import { describe, expect, it } from 'vitest';
import { decodeArguments } from '../../src/frame/decode/decode-command.ts';
import { FfmpegLog, newHeaderTag } from '../../src/frame/decode/ffmpeg-log.ts';
import { FfmpegProcess } from '../../src/frame/decode/ffmpeg-process.ts';
import { parseSource } from '../../src/frame/source/parse-source.ts';
import { testedFfmpegs } from './odd-media-player.ts';

const ffmpegs = (await testedFfmpegs()).map((binary) => ({ label: `ffmpeg ${binary.version}`, binary }));
const SIZE = { width: 320, height: 180 };
const FRAMES = 8;

describe.each(ffmpegs)('a live source, $label', ({ binary }) => {
  it('delivers each picture before the next frame arrives', async () => {
    const live = { loop: false, realtime: true, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;
    const source = parseSource('synthetic:testsrc2=size=640x360:rate=4', live);
    const headerTag = newHeaderTag();
    const args = decodeArguments(source, {
      ffmpegMajor: binary.major,
      headerTag,
      canvas: { ...SIZE, fit: { mode: 'letterbox', anchor: 'center', padValue: 114 } },
      every: 1,
      maxFps: null,
      afterUs: null,
      takesCommands: false,
      hwaccel: 'none',
      threads: 1,
    });
    const log = new FfmpegLog('', headerTag);
    const memory = new Uint8Array(SIZE.width * SIZE.height * 3);
    let bytesRead = 0;
    /** For each frame, the number of complete pictures when its header line arrived. */
    const picturesBefore: number[] = [];
    await new Promise<void>((resolve, reject) => {
      const child = FfmpegProcess.start(
        binary,
        args,
        {},
        {
          nextBuffer: () => memory,
          onBytes: (bytes) => {
            bytesRead += bytes;
          },
          onLogLine: (line) => {
            if (log.read(line)?.kind !== 'frame') return;
            picturesBefore.push(Math.floor(bytesRead / memory.length));
            if (picturesBefore.length === FRAMES) void child.then((process) => process.kill());
          },
          onExit: () => resolve(),
        },
      );
      child.catch(reject);
    });
    // The header of a frame and its picture arrive on two pipes, in either order.
    picturesBefore.forEach((count, n) => {
      expect(count).toBeGreaterThanOrEqual(n);
    });
    expect(picturesBefore.length).toBeGreaterThanOrEqual(FRAMES);
  });
});
