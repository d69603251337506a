import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openVideoSink, type VideoSinkRequest } from '../../src/after/sinks/open-video-sink.ts';
import type { VideoSink } from '../../src/after/sinks/video-sink.ts';
import type { Detection } from '../../src/base/core/detection.ts';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import type { PtsUs } from '../../src/base/core/units.ts';
import type { Ffmpeg } from '../../src/base/process/confinement.ts';
import { frameOf } from '../unit/after/sinks/frames.ts';
import { ffmpeg } from './read-video.ts';

export const size = { width: 640, height: 360 };

export function picture(grey = 0): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(size.width * size.height * 3)).fill(grey);
}

export function frameAt(ms: number, detections: readonly Detection[] = [], source = size): PublishedFrame {
  return { ...frameOf(0, detections), ...source, ptsUs: (ms * 1000) as PtsUs };
}

/** Opens the annotated video `name` in a folder; an unexpected failure or notice fails the test. */
export function openVideo(folder: string, name: string, more: Partial<VideoSinkRequest> = {}): Promise<VideoSink> {
  return openVideoSink({
    id: 'film',
    path: join(folder, name),
    ffmpeg,
    picture: size,
    policy: 'file',
    overlay: { zones: [], lines: [] },
    onFailure: (error) => expect.unreachable(error.message),
    onNotice: (text) => expect.unreachable(text),
    ...more,
  });
}

/** Creates an ffmpeg wrapper that records its process id. */
export function notingFfmpegIn(folder: string, name: string): Ffmpeg & { pid: () => number } {
  const path = join(folder, `${name}.sh`);
  const pidPath = join(folder, `${name}.pid`);
  writeFileSync(path, `#!/bin/sh\ncase "$*" in *pipe:0*) echo $$ > '${pidPath}';; esac\nexec '${ffmpeg.path}' "$@"\n`, {
    mode: 0o755,
  });
  return { ...ffmpeg, path, pid: () => Number(readFileSync(pidPath, 'utf8')) };
}
