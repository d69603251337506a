import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SourceInput } from '../../../src/core/source.ts';
import { SlotRing } from '../../../src/flow/slot-ring.ts';
import type { FromLane, LaneStream } from '../../../src/protocol/threads.ts';
import { LaneVideo } from '../../../src/runtime/lane-video.ts';
import { testFfmpeg } from '../../support/made-videos.ts';
import { ffmpegWith, hasProc } from '../../support/processes.ts';
import { waitFor } from '../../support/wait-for.ts';

const FIVE_MINUTES_MS = 300_000;
const SIDE = 4;

describe.skipIf(!hasProc)('a file that stands still (needs /proc)', () => {
  let folder: string;
  let path: string;
  let writer: number;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-still-'));
    // A disk that has gone away: it can be opened, and a read never comes back.
    path = join(folder, 'still.mp4');
    execFileSync('mkfifo', [path]);
    writer = openSync(path, 'r+');
  });

  afterEach(() => {
    vi.restoreAllMocks();
    closeSync(writer);
    rmSync(folder, { recursive: true });
    expect(ffmpegWith(folder), 'no ffmpeg outlives its lane').toEqual([]);
  });

  function open(): { video: LaneVideo; messages: FromLane[] } {
    const ring = SlotRing.create({ slots: 2, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
    const messages: FromLane[] = [];
    const spec = { input: { width: SIDE, height: SIDE, resize: { mode: 'stretch' } } };
    const stream = {
      ...{ ring: { ringId: 1, buffer: ring.buffer, shape: ring.shape }, spec, policy: 'file', picture: null },
      ...{ ffmpeg: testFfmpeg, every: 1, maxFps: null, skip: 0, hwaccel: 'none', decodeThreads: 1 },
      ...{ staleMs: 1000, openTimeoutMs: 1000, firstFrame: 0, firstPtsUs: 0, givesWay: false },
    } as unknown as LaneStream;
    const options = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;
    const source: SourceInput = { kind: 'file', url: path, label: 'still.mp4', isLive: false, knock: null, options };
    const post = (message: FromLane): void => void messages.push(message);
    const video = new LaneVideo(stream, source, { post, addPreprocessMs: () => undefined });
    video.open();
    return { video, messages };
  }

  it('is waited for longer than a camera, but not for ever', async () => {
    const { video, messages } = open();
    const failures = () => messages.filter(({ type }) => type === 'failed');
    await waitFor('ffmpeg to read', () => messages.some(({ type }) => type === 'child-started'));
    let skippedMs = FIVE_MINUTES_MS - 10_000;
    const real = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => real() + skippedMs);
    // Several looks of the watchdog, each every tenth of a second.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(failures()).toEqual([]);
    skippedMs = FIVE_MINUTES_MS;
    await waitFor('the watchdog', () => failures().length > 0);
    expect(failures()).toEqual([
      {
        type: 'failed',
        ringId: 1,
        error: expect.objectContaining({
          code: 'SOURCE_STALLED',
          message: expect.stringMatching(/^still\.mp4: no frame for 30\d{4} ms$/),
        }),
      },
    ]);
    await waitFor('ffmpeg to be gone', () => messages.some(({ type }) => type === 'child-gone'));
    await video.close();
  });
});
