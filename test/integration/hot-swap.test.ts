import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import type { ShadowResult } from '../../src/frame/runtime/inference/shadow-stream.ts';
import type { EngineRequest } from '../../src/wire/protocol/threads.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { waitFor, within } from '../support/wait-for.ts';

const FRAMES = 300;
const SWAPS = 30;
/** x, y, width, height, score, class: one box; the score tells which model found it. */
const rowsOf = (score: number): number[] => [10, 20, 30, 40, score, 0];

describe('several models in one runtime', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;
  let results: PublishedFrame[];

  beforeAll(async () => {
    await folder.make('clip.mp4', { frames: FRAMES });
  });

  afterEach(async () => {
    expect(await live.close()).toEqual([]);
  });

  afterAll(() => folder.remove());

  const open = async (callMs = 2): Promise<void> => {
    live = await LiveRuntime.open({ model: { engine: 'fake', fake: { callMs, rows: rowsOf(0.5) } }, threads: 1 });
    results = [];
    live.runtime.published.add((frame) => results.push(frame));
  };

  /** Loads another fake model whose boxes have their own score. */
  const load = (
    name: string,
    score: number,
    change: (request: EngineRequest) => EngineRequest = (same) => same,
    scoreThreshold?: number,
  ) => {
    const { spec } = live.runtime;
    const model = { spec, format: 'onnx', path: '', precision: 'f32', batch: 'free', hash: '' } as const;
    const engine: EngineRequest = {
      engine: 'fake',
      provider: 'none',
      model,
      maxBatch: 4,
      batchSizes: null,
      intraThreads: 1,
      fake: { callMs: 2, frameMs: 0, rows: rowsOf(score) },
    };
    const batching = { maxBatch: 4, maxDelayMs: 5, timeoutMs: 10_000, cacheResults: 0 };
    return live.runtime.loadModel(name, { engine: change(engine), batching, threads: 1, scoreThreshold });
  };

  it('a file goes from one model to another and back without losing, repeating or reordering a frame', async () => {
    await open();
    await load('other', 0.9);
    const source = `${folder.path}/clip.mp4`;
    const stream = await live.add({ id: 'file', source, track: true });
    let swaps = 0;
    while (stream.state !== 'ended') {
      const before = live.published('file').frames.length;
      await live.runtime.assignModel('file', swaps++ % 2 === 0 ? 'other' : 'default');
      await waitFor('another frame, or the end', () => {
        return live.published('file').frames.length > before + 2 || stream.state === 'ended';
      });
    }
    expect(swaps).toBeGreaterThan(5);
    expect(live.published('file').frames).toEqual(Array.from({ length: FRAMES }, (_, frame) => frame));
    expect(stream.telemetry.frames(0).dropped).toEqual({});
    const scores = new Set(results.map(({ detections }) => detections[0]?.score.toFixed(1)));
    expect(scores, 'both models found boxes').toEqual(new Set(['0.5', '0.9']));
    const ids = new Set(results.slice(5).map(({ detections }) => detections[0]?.trackId));
    expect(ids, 'the tracker keeps its identities').toEqual(new Set([1]));
    await live.runtime.unloadModel('other');
    expect(live.runtime.models).toEqual(['default']);
  });

  it('a live stream under load is swapped many times; every frame is counted', async () => {
    await open(15);
    await load('other', 0.9);
    const source = `${folder.path}/clip.mp4`;
    const cameras = await live.addAll(['a', 'b'].map((id) => ({ id, source, loop: true })));
    await live.allFlow(['a', 'b']);
    for (let swap = 0; swap < SWAPS; swap++) {
      for (const { id } of cameras) await live.runtime.assignModel(id, swap % 2 === 0 ? 'other' : 'default');
      await live.flows('a', 1);
    }
    for (const { id, telemetry } of cameras) {
      const { frames } = live.published(id);
      expect(frames, 'in order, none twice').toEqual([...new Set(frames)].sort((x, y) => x - y));
      expect(Object.keys(telemetry.frames(0).dropped)).not.toContain('stopped');
    }
  });

  it('a model with another input reopens the source: a file still loses nothing', async () => {
    await open();
    await load('small', 0.9, (request) => {
      const { input } = request.model.spec;
      const spec = { ...request.model.spec, input: { ...input, width: 64, height: 64 } };
      return { ...request, model: { ...request.model, spec } };
    });
    const stream = await live.add({ id: 'file', source: `${folder.path}/clip.mp4` });
    await live.flows('file', 20);
    await live.runtime.assignModel('file', 'small');
    await within('the file', 60_000, stream.settled());
    expect(live.published('file').frames).toEqual(Array.from({ length: FRAMES }, (_, frame) => frame));
    expect(results.at(-1)!.detections[0]!.score).toBeCloseTo(0.9);
    // The same box in a smaller input is a larger part of the picture.
    expect(results.at(-1)!.detections[0]!.box[2]).toBeGreaterThan(results[0]!.detections[0]!.box[2]);
  });

  it('a thread that dies during a swap loses no frame of a file', async () => {
    await open(10);
    await load('other', 0.9, (request) => ({ ...request, fake: { ...request.fake, callMs: 10 } }));
    const stream = await live.add({ id: 'file', source: `${folder.path}/clip.mp4` });
    for (let swap = 0; swap < 4; swap++) {
      await live.flows('file', 5);
      const threads = live.runtime.threads.inference;
      await waitFor('a batch on a thread', () => threads.some(({ batchesInFlight }) => batchesInFlight > 0));
      const busy = threads.find(({ batchesInFlight }) => batchesInFlight > 0)!;
      await Promise.all([busy.crash(), live.runtime.assignModel('file', swap % 2 === 0 ? 'other' : 'default')]);
    }
    await within('the file', 60_000, stream.settled());
    expect(live.published('file').frames).toEqual(Array.from({ length: FRAMES }, (_, frame) => frame));
  });

  it('every model has its own score threshold, on streams that come to it and on new ones', async () => {
    await open();
    await load('strict', 0.4, (same) => same, 0.45);
    const source = `${folder.path}/clip.mp4`;
    await live.add({ id: 'cam', source, loop: true, track: true });
    await live.flows('cam', 5);
    await live.runtime.assignModel('cam', 'strict');
    const count = (): number => results.at(-1)!.detections.length;
    await waitFor('no box, since 0.4 is below 0.45', () => count() === 0);
    await live.runtime.assignModel('cam', 'default');
    await waitFor('the box of the first model', () => count() === 1);
    live.runtime.primary = 'strict';
    await live.runtime.remove('cam');
    results.length = 0;
    await live.add({ id: 'new', source, loop: true });
    await live.flows('new', 5);
    expect(results.every(({ detections }) => detections.length === 0)).toBe(true);
  });

  it('another model becomes the primary one: new streams use it, reports describe it, and the first can go', async () => {
    await open();
    const source = `${folder.path}/clip.mp4`;
    await live.add({ id: 'old', source, loop: true });
    await load('other', 0.9, (request) => {
      const spec = { ...request.model.spec, name: 'better' };
      return { ...request, model: { ...request.model, spec } };
    });
    live.runtime.primary = 'other';
    await live.add({ id: 'new', source, loop: true });
    await live.flows('new', 5);
    expect(results.findLast(({ streamId }) => streamId === 'new')!.detections[0]!.score).toBeCloseTo(0.9);
    await expect(live.runtime.unloadModel('default'), 'a stream still uses it').rejects.toMatchObject({
      code: 'MODEL_BUSY',
    });
    await live.runtime.assignModel('old', 'other');
    await live.runtime.unloadModel('default');
    await expect(live.runtime.unloadModel('other'), 'new streams use it').rejects.toMatchObject({ code: 'MODEL_BUSY' });
    expect(live.runtime.models).toEqual(['other']);
    await waitFor('a report', () => live.runtime.report().host.device.model === 'better');
    await live.flows('old', 5);
    await live.flows('new', 5);
  });

  it('refuses names that are taken, unknown or in use, and models with other classes', async () => {
    await open();
    await load('other', 0.9);
    await live.add({ id: 'cam', source: `${folder.path}/clip.mp4`, loop: true });
    await expect(load('other', 0.9)).rejects.toMatchObject({ code: 'MODEL_BUSY' });
    await expect(live.runtime.assignModel('cam', 'third')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await live.runtime.assignModel('cam', 'other');
    await expect(live.runtime.unloadModel('other')).rejects.toMatchObject({ code: 'MODEL_BUSY' });
    await load('birds', 0.9, (request) => {
      const spec = { ...request.model.spec, classes: ['bird'] };
      return { ...request, model: { ...request.model, spec } };
    });
    await expect(live.runtime.assignModel('cam', 'birds')).rejects.toMatchObject({ code: 'MODEL_INCOMPATIBLE' });
    await live.flows('cam', 5);
  });

  it('a shadow compares a share of the frames, publishes nothing and delays no live work', async () => {
    await open();
    await load('candidate', 0.9);
    const pairs: ShadowResult[] = [];
    live.runtime.shadowed.add((pair) => pairs.push(pair));
    const stream = await live.add({ id: 'file', source: `${folder.path}/clip.mp4` });
    live.runtime.startShadow('file', 'candidate', { ratio: 0.5 });
    await within('the file', 60_000, stream.settled());
    expect(live.published('file').frames).toEqual(Array.from({ length: FRAMES }, (_, frame) => frame));
    expect(new Set(results.map(({ detections }) => detections[0]!.score.toFixed(1)))).toEqual(new Set(['0.5']));
    const { compared, dropped } = live.runtime.shadowCounters('file')!;
    expect(compared).toBe(pairs.length);
    expect(compared + dropped).toBeGreaterThan(0);
    expect(compared + dropped).toBeLessThan(FRAMES * 0.6);
    for (const { frame, candidate } of pairs) {
      expect(frame.detections[0]!.score).toBeCloseTo(0.5);
      expect(candidate[0]!.score).toBeCloseTo(0.9);
      expect(candidate[0]!.box).toEqual(frame.detections[0]!.box);
    }
  });
});
