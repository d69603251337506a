import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SourceInput } from '../../../../../src/base/core/source.ts';
import { SlotRing } from '../../../../../src/base/flow/slot-ring.ts';
import { LaneVideo } from '../../../../../src/frame/runtime/lane/lane-video.ts';
import type { FromLane, LaneStream } from '../../../../../src/wire/protocol/threads.ts';
import { testFfmpeg } from '../../../../support/made-videos.ts';
import { ffmpegWith, hasProc } from '../../../../support/processes.ts';
import { waitFor } from '../../../../support/wait-for.ts';

const FIVE_MINUTES_MS = 300_000;
const SIDE = 4;

describe.skipIf(!hasProc)('a file that delivers no frames (needs /proc)', () => {
  let folder: string;
  let path: string;
  let writer: number;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    folder = mkdtempSync(join(tmpdir(), 'sightline-still-'));
    // Like a lost disk: the file can be opened, but a read never returns.
    path = join(folder, 'still.mp4');
    execFileSync('mkfifo', [path]);
    writer = openSync(path, 'r+');
  });

  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
    closeSync(writer);
    rmSync(folder, { recursive: true });
    expect(ffmpegWith(folder), 'no ffmpeg outlives its lane').toEqual([]);
  });

  function open(source: Pick<SourceInput, 'kind' | 'url'>): {
    video: LaneVideo;
    messages: FromLane[];
    ring: SlotRing;
  } {
    const ring = SlotRing.create({ slots: 2, inputBytes: SIDE * SIDE * 3, pictureBytes: 0 });
    const messages: FromLane[] = [];
    const spec = { input: { width: SIDE, height: SIDE, resize: { mode: 'stretch' } } };
    const stream = {
      ring: { ringId: 1, buffer: ring.buffer, shape: ring.shape },
      spec,
      policy: 'file',
      picture: null,
      ffmpeg: testFfmpeg,
      every: 1,
      maxFps: null,
      after: null,
      hwaccel: 'none',
      decodeThreads: 1,
      staleMs: 1000,
      openTimeoutMs: 1000,
      firstFrame: 0,
      shift: { x: 0, y: 0 },
      mediaTime: { lastUs: 0, shiftUs: 0 },
      isBackground: false,
      changeGate: null,
      hashesInput: false,
      signs: [],
      masks: [],
    } as unknown as LaneStream;
    const options = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 } as const;
    const input: SourceInput = { ...source, label: 'still.mp4', isLive: false, probeAddress: null, options };
    const post = (message: FromLane): void => void messages.push(message);
    const video = new LaneVideo(stream, input, { post, addPreprocessMs: () => undefined });
    video.open();
    return { video, messages, ring };
  }

  /** The watchdog runs as often as in this time. */
  const laterBy = (ms: number): void => void vi.advanceTimersByTime(ms);

  it('is given more time than a camera, but not unlimited time', async () => {
    const { video, messages } = open({ kind: 'file', url: path });
    const failures = () => messages.filter(({ type }) => type === 'failed');
    await waitFor('ffmpeg to read', () => messages.some(({ type }) => type === 'child-started'));
    laterBy(FIVE_MINUTES_MS - 10_000);
    expect(failures()).toEqual([]);
    laterBy(10_000);
    expect(failures()).toEqual([
      {
        type: 'failed',
        ringId: 1,
        error: expect.objectContaining({
          code: 'SOURCE_STALLED',
          message: expect.stringMatching(/^still\.mp4: no frame for 300000 ms$/),
        }),
      },
    ]);
    await waitFor('ffmpeg to be gone', () => messages.some(({ type }) => type === 'child-gone'));
    await video.close();
  });

  it('is not failed when the process was suspended for an hour', async () => {
    const { video, messages } = open({ kind: 'file', url: path });
    await waitFor('ffmpeg to read', () => messages.some(({ type }) => type === 'child-started'));
    const real = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => real() + 3_600_000);
    laterBy(1000);
    expect(messages.filter(({ type }) => type === 'failed')).toEqual([]);
    await video.close();
  });

  it('is never failed while it is held back, even if a slot is free that was not reported yet', async () => {
    const { video, messages, ring } = open({ kind: 'synthetic', url: 'testsrc2=size=64x64:rate=25:duration=4' });
    await waitFor('every slot to be filled', () => ring.completedCount === 2);
    expect([ring.take(), ring.take()]).toEqual([0, 1]);
    laterBy(2 * FIVE_MINUTES_MS);
    ring.release(0);
    laterBy(4 * FIVE_MINUTES_MS);
    expect(messages.filter(({ type }) => type === 'failed')).toEqual([]);
    video.onSlotFree();
    await waitFor('the next frame', () => ring.completedCount === 3);
    expect(ring.take()).toBe(0);
    await video.close();
  });
});
