import { afterEach, describe, expect, it } from 'vitest';
import type { StreamSign } from '../../src/base/core/blind-sign.ts';
import type { PreviewPicture } from '../../src/base/core/frame.ts';
import { takesCommands } from '../../src/frame/decode/shed-filters.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';

const PATIENT = { deadlineMs: 30_000 };
const canRun = takesCommands(testFfmpeg.major);
if (!canRun) console.warn(`skipped: needs ffmpeg 5 or later (here: ${testFfmpeg.version})`);

describe.skipIf(!canRun)('pictures of decoded frames', () => {
  let live: LiveRuntime;
  afterEach(async () => expect(await live.close()).toEqual([]));

  it('come at their own rate while the detector gets one frame in many seconds, with the newest boxes', async () => {
    live = await LiveRuntime.open();
    const pictures: PreviewPicture[] = [];
    live.runtime.previews.add((picture) => pictures.push(picture));
    live.runtime.watchPreviews(new Set(['cam']));
    await live.add({ id: 'cam', source: 'synthetic:testsrc2=size=320x180:rate=25', realtime: true, every: 1000 });
    await waitFor('pictures of frames that are left out', () => pictures.length >= 6, PATIENT);
    expect(live.report('cam').frames.in).toBeLessThanOrEqual(2);
    const looks = pictures.filter(({ pictureUs }) => pictureUs !== undefined);
    expect(looks.length).toBeGreaterThanOrEqual(3);
    for (const { frame, pictureUs, jpeg } of looks) {
      expect(pictureUs).toBeGreaterThan(frame.ptsUs);
      expect([...jpeg.subarray(0, 2)]).toEqual([0xff, 0xd8]);
    }
    expect(looks.map(({ pictureUs }) => pictureUs)).toEqual(
      looks.map(({ pictureUs }) => pictureUs).sort((a, b) => a! - b!),
    );
  });

  it('come while the queue is full and while frames are shed, and none while nobody watches', async () => {
    live = await LiveRuntime.open({ callMs: 2000, maxBatch: 1, timeoutMs: 20_000 });
    const pictures: PreviewPicture[] = [];
    live.runtime.previews.add((picture) => pictures.push(picture));
    const source = 'synthetic:testsrc2=size=320x180:rate=25';
    await live.addAll(['a', 'b'].map((id) => ({ id, source, realtime: true, maxAgeMs: 60_000 })));
    const dropped = (reason: 'shed' | 'queue-full'): number =>
      ['a', 'b'].reduce((sum, id) => sum + (live.report(id).frames.dropped[reason] ?? 0), 0);
    await waitFor('overload', () => dropped('queue-full') + dropped('shed') > 20, PATIENT);
    expect(pictures).toEqual([]);
    live.runtime.watchPreviews(new Set(['a']));
    await waitFor('pictures of a', () => pictures.length >= 5, PATIENT);
    expect(new Set(pictures.map(({ frame }) => frame.streamId))).toEqual(new Set(['a']));
  });
});

describe('a camera that sees nothing', () => {
  let live: LiveRuntime;
  afterEach(async () => expect(await live.close()).toEqual([]));

  it('has a sign: for listeners, in the report and as an event; a setting takes it back in place', async () => {
    live = await LiveRuntime.open();
    const signs: StreamSign[] = [];
    live.runtime.signs.add((sign) => signs.push(sign));
    const settings = { id: 'dark', source: 'synthetic:color=color=black:size=320x180:rate=10', realtime: true };
    const stream = await live.add(settings);
    await live.add({ ...settings, id: 'ignored', signs: ['frozen'] });
    await waitFor('the sign', () => signs.length > 0, PATIENT);
    expect(signs).toMatchObject([{ stream: 'dark', sign: 'black' }]);
    expect(live.report('dark').sign).toEqual({ name: 'black', sinceMs: signs[0]!.sinceMs });
    expect(live.events.filter(({ kind }) => kind === 'stream-blind').map((event) => event.stream)).toEqual(['dark']);
    const config = { ...stream.config, signs: [] };
    expect(stream.isInPlace({ ...stream.arrangement, config })).toBe(true);
    live.runtime.retune(stream, { ...stream.arrangement, config });
    await waitFor('the sign to be taken back', () => live.report('dark').sign === null, PATIENT);
    expect(live.report('ignored').sign).toBeNull();
    expect(live.report('dark').lastFrameAgeMs).toBeGreaterThanOrEqual(0);
  });
});
