import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import type { RuntimeStream } from '../../src/frame/runtime/stream/runtime-stream.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { waitFor, within } from '../support/wait-for.ts';

const FRAMES = 150;
/** An object is in the picture from the first of these frames up to the second. */
const [APPEARS, LEAVES] = [60, 91];
/** One box in every frame: x, y, width, height, score, class. */
const ROWS = [10, 20, 30, 40, 0.9, 0];

describe('work that need not be done', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;
  let results: Map<string, PublishedFrame[]>;

  beforeAll(async () => {
    await makeStill(`${folder.path}/still.mp4`, '320x180');
    await makeStill(`${folder.path}/larger.mp4`, '640x360');
    await folder.make('moving.mp4', { frames: FRAMES });
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
  });

  afterAll(() => folder.remove());

  const open = async (model: object = {}, settings: object = {}): Promise<void> => {
    live = await LiveRuntime.open({
      model: { engine: 'fake', threads: 1, fake: { rows: ROWS }, ...model },
      ...settings,
    });
    results = new Map();
    live.runtime.published.add((frame) => {
      const list = results.get(frame.streamId) ?? [];
      results.set(frame.streamId, list);
      list.push(frame);
    });
  };

  const readFile = async (name: string, settings: object): Promise<RuntimeStream> => {
    const stream = await live.add({ id: name, source: `${folder.path}/${name}.mp4`, ...settings });
    await within(name, 60_000, stream.settled());
    expect(stream.failure).toBeNull();
    expect(live.published(name).frames, 'every frame has a result, in order').toEqual(
      Array.from({ length: FRAMES }, (_, frame) => frame),
    );
    return stream;
  };

  it.each([
    ['input made by ffmpeg', { resizeBy: 'ffmpeg' }],
    ['input made by sharp', { resizeBy: 'sharp' }],
    ['a region', { region: { x: 0.5, y: 0.1, width: 0.5, height: 0.8 } }],
    ['a region made by sharp', { resizeBy: 'sharp', region: { x: 0.5, y: 0.1, width: 0.5, height: 0.8 } }],
    ['tiles', { tiles: { columns: 2, rows: 1 } }],
  ])('a still picture is inferred when it changes and until it rests, with %s', async (_, settings) => {
    await open();
    const stream = await readFile('still', { skip: { unchanged: true }, ...settings });
    const origins = results.get('still')!.map(({ by }) => by);
    const inferred = origins.flatMap((by, frame) => (by === 'inferred' ? [frame] : []));
    expect(inferred, 'wakes with the very frame that changed').toEqual(expect.arrayContaining([0, APPEARS, LEAVES]));
    // The first 5 pictures, both changes, and 5 pictures of rest after each; some at key frames, and one after five seconds.
    expect(inferred.length).toBeLessThanOrEqual(40);
    expect(stream.telemetry.results).toEqual({
      inferred: inferred.length,
      unchanged: FRAMES - inferred.length,
      tracked: 0,
      cached: 0,
    });
    const [first] = results.get('still')!;
    for (const { detections } of results.get('still')!) expect(detections).toEqual(first!.detections);
  });

  it('every frame of a moving picture is inferred', async () => {
    await open();
    const stream = await readFile('moving', { skip: { unchanged: true } });
    expect(stream.telemetry.results).toMatchObject({ inferred: FRAMES, unchanged: 0 });
  });

  it('the tracker fills the frames between', async () => {
    await open();
    const stream = await readFile('moving', { skip: { trackBetween: 5 } });
    expect(results.get('moving')!.map(({ by }) => by === 'inferred')).toEqual(
      Array.from({ length: FRAMES }, (_, frame) => frame % 5 === 0),
    );
    expect(
      results
        .get('moving')!
        .slice(10)
        .map(({ detections }) => detections[0]?.trackId),
    ).toEqual(Array(FRAMES - 10).fill(1));
    expect(stream.report(0, 0).detectEvery).toEqual({ now: 5, longest: 5 });
  });

  it('a live stream publishes all its frames while it infers a few, and both rates are reported', async () => {
    await open();
    const source = `${folder.path}/moving.mp4`;
    const camera = await live.add({ id: 'cam', source, loop: true, skip: { trackBetween: 5 } });
    await live.flows('cam', 100);
    const { published, inFlight } = camera.telemetry.frames(camera.ledger.inFlight);
    const { inferred, tracked } = camera.telemetry.results;
    expect(inferred + tracked).toBe(published);
    expect(inferred).toBeLessThan(published / 4);
    expect(inFlight).toBeLessThan(10);
  });

  it('frames that equal a lost one are counted as such, and the next one is inferred', async () => {
    await open({ threads: 1, fake: { callMs: 400, rows: ROWS } }, {});
    const source = `${folder.path}/still.mp4`;
    const skip = { unchanged: { lookEveryMs: 500 } };
    const camera = await live.add({ id: 'cam', source, loop: true, skip, maxAgeMs: 5000 });
    const taken = vi.spyOn(camera.ledger, 'take');
    const dropped = () => camera.telemetry.frames(camera.ledger.inFlight).dropped;
    await live.flows('cam', 1);
    // Again where the result came just before the crash.
    while (!dropped()['reference-lost']) {
      await waitFor('a frame on the thread, and another that waits to repeat its result', () =>
        taken.mock.results.some(({ value }) => value?.repeats?.status === 'waiting' && value.repeats.batch !== null),
      );
      taken.mockClear();
      await live.runtime.threads.inference[0]!.crash();
      await live.flows('cam', 5);
    }
    expect(dropped()['engine-failed']).toBeGreaterThan(0);
  });

  it('equal pictures of several streams are inferred once, and keep their own sizes', async () => {
    await open({ cacheResults: 1000 });
    await readFile('moving', {});
    const again = await live.add({ id: 'again', source: `${folder.path}/moving.mp4` });
    await within('again', 60_000, again.settled());
    expect(again.telemetry.results).toEqual({ inferred: FRAMES, tracked: 0, unchanged: 0, cached: FRAMES });
    expect(results.get('again')!.map(({ detections }) => detections)).toEqual(
      results.get('moving')!.map(({ detections }) => detections),
    );
    const [small, large] = [
      await readFile('still', { skip: { unchanged: true } }),
      await readFile('larger', { skip: { unchanged: true } }),
    ];
    expect([small.droppedCount, large.droppedCount]).toEqual([0, 0]);
    const boxOf = (id: string): number => results.get(id)![0]!.detections[0]!.box[2];
    expect(boxOf('larger') / boxOf('still'), 'boxes in the pixels of each source').toBeCloseTo(2, 1);
  });

  it('equal pictures that arrive at the same time are inferred once', async () => {
    await open({ cacheResults: 1000, fake: { callMs: 5, rows: ROWS } });
    const source = `${folder.path}/moving.mp4`;
    const streams = await live.addAll(['a', 'b', 'c'].map((id) => ({ id, source })));
    for (const stream of streams) await within(stream.id, 60_000, stream.settled());
    const inferences = streams.reduce(
      (sum, { telemetry }) => sum + telemetry.results.inferred - telemetry.results.cached,
      0,
    );
    expect(inferences).toBe(FRAMES);
    for (const { id } of streams) expect(live.published(id).frames).toHaveLength(FRAMES);
  });

  it('streams that share pictures survive the loss of a thread and of each other', async () => {
    await open({ cacheResults: 1000, threads: 2, fake: { callMs: 20, rows: ROWS } });
    const source = `${folder.path}/moving.mp4`;
    const [a, b, c] = await live.addAll(['a', 'b', 'c'].map((id) => ({ id, source })));
    await live.flows('a', 10);
    await live.runtime.threads.inference[0]!.crash();
    await live.flows('b', 10);
    await live.runtime.remove('c');
    for (const stream of [a!, b!]) {
      await within(stream.id, 60_000, stream.settled());
      expect(live.published(stream.id).frames).toEqual(Array.from({ length: FRAMES }, (_, frame) => frame));
    }
    expect(c!.ledger.inFlight).toBe(0);
  });
});

/** A still picture with noise, in which a grey box is visible for a while. */
async function makeStill(path: string, size: string): Promise<void> {
  const box = `drawbox=x=iw*0.6:y=ih*0.3:w=iw*0.1:h=ih*0.3:color=gray:t=fill:enable='between(n,${APPEARS},${LEAVES - 1})'`;
  await promisify(execFile)(testFfmpeg.path, [
    ...['-hide_banner', '-loglevel', 'error', '-nostdin', '-y'],
    ...['-f', 'lavfi', '-i', `smptebars=size=${size}:rate=25,noise=alls=8:allf=t,${box}`],
    ...['-frames:v', String(FRAMES), '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', path],
  ]);
}
