import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { OverlayFile } from '../../src/serve/host/overlay/overlay-file.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { randomPatch } from '../support/random-patches.ts';

const SOURCE = 'synthetic:testsrc2=size=64x64:rate=10';
const IDS = ['a', 'b', 'c', 'd', 'e'];

/** What of a pipeline must be the same after a restart. */
interface State {
  readonly streams: object;
  readonly paused: readonly string[];
}

describe('a pipeline that is restarted', () => {
  let folder: string;
  let overlay: OverlayFile;
  let host: PipelineHost;
  const place = () => ({ pipeline: 'kept', pipelinePath: join(folder, 'p.yaml'), cacheDir: folder });
  const config = (streams: readonly object[]) =>
    parsePipeline(
      JSON.stringify({
        name: 'kept',
        description: 'Changed at random.',
        lanes: 1,
        model: { engine: 'fake', inputSize: '64x64', threads: 1, fake: { callMs: 0 } },
        defaults: { policy: 'live', realtime: true },
        streams: streams.map((stream) => ({ source: SOURCE, ...stream })),
      }),
      'test',
    );
  const file = () => config([{ id: 'a' }, { id: 'b', maxFps: 5 }, { id: 'c', track: true }]);

  const start = async (pipeline = file(), admit = async (_: string): Promise<void> => undefined): Promise<void> => {
    overlay = await OverlayFile.open(place());
    const environment = {
      ffmpegPath: testFfmpeg.path,
      searchPath: '',
      modelPath: [],
      cacheDir: folder,
      token: undefined,
    };
    host = await PipelineHost.open(pipeline, {
      environment,
      stdout: process.stdout,
      onNotice: () => undefined,
      admit,
      sources: { path: place().pipelinePath, overlay },
    });
    await host.start();
  };
  const stop = async (): Promise<void> => {
    await host.stop();
    await overlay.close();
  };
  const state = (): State => {
    const { effective, paused } = host.pipeline();
    const { streams } = effective as { streams: readonly { readonly id: string }[] };
    return { streams: Object.fromEntries(streams.map((stream) => [stream.id, stream])), paused: [...paused].sort() };
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-kept-'));
  });
  afterEach(async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each([1, 2])('has what 60 changes at once, in rounds of six, have made of it (seed %i)', async (seed) => {
    const random = seededRandom(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    await start();
    let done = 0;
    const operation = (): Promise<unknown> => {
      const id = pick(IDS);
      const { patch } = randomPatch(random);
      return pick([
        () => host.addStream({ id, source: SOURCE, ...patch }),
        () => host.changeStream(id, patch),
        () => host.changeStream(id, { source: SOURCE, ...patch }, { isWhole: true }),
        () => host.pauseStream(id),
        () => host.resumeStream(id),
        () => host.removeStream(id),
      ])();
    };
    for (let round = 0; round < 10; round += 1) {
      const results = await Promise.allSettled(Array.from({ length: 6 }, operation));
      done += results.filter(({ status }) => status === 'fulfilled').length;
    }
    // Many are refused: of a stream that is not there, or invalid.
    expect(done).toBeGreaterThan(10);
    const before = state();
    await stop();
    await start();
    expect(state()).toEqual(before);
    expect(host.pipeline().overlay?.notes).toEqual([]);
    await host.resetStreams(null);
    await stop();
    await start();
    expect(state()).toEqual({
      streams: Object.fromEntries(file().streams.map((stream) => [stream.id, stream])),
      paused: [],
    });
  });

  it('takes the source of its file back, by its own text or with hidden secrets, and no difference is left', async () => {
    const [own, other] = ['rtsp://bob:hunter2@127.0.0.1:9/own', 'rtsp://127.0.0.1:9/other'];
    const pipeline = config([{ id: 'a', source: own }, { id: 'b' }]);
    // As a host that allows no such camera to others.
    await start(pipeline, async (source) => {
      if (source !== other) throw new SightlineError('SOURCE_FORBIDDEN', 'not allowed');
    });
    for (const back of [own, 'rtsp://***@127.0.0.1:9/***']) {
      await host.changeStream('a', { source: other });
      expect(overlay.streams).toEqual({ a: { changed: { source: { file: own, now: other } } } });
      await host.changeStream('a', { source: back });
      expect(overlay.streams).toEqual({});
      expect(host.pipeline().effective).toMatchObject({ streams: [{ id: 'a', source: own }, { id: 'b' }] });
    }
    await host.changeStream('a', { source: other });
    await host.changeStream('a', { source: own, policy: 'live', realtime: true }, { isWhole: true });
    expect(overlay.streams).toEqual({});
    await expect(host.changeStream('a', { source: 'rtsp://127.0.0.1:9/third' })).rejects.toMatchObject({
      code: 'SOURCE_FORBIDDEN',
    });
  }, 60_000);

  it('and whose file is read again while streams are changed loses no change', async () => {
    await start();
    const next = config([
      { id: 'a', weight: 2 },
      { id: 'b', maxFps: 5, weight: 2 },
      { id: 'c', track: true, weight: 2 },
    ]);
    await Promise.all([
      host.changeStream('a', { priority: 1 }),
      host.reload(next),
      host.changeStream('b', { priority: 2 }),
      host.reload(next),
      host.changeStream('c', { priority: 3 }),
    ]);
    const wanted = { a: { weight: 2, priority: 1 }, b: { weight: 2, priority: 2 }, c: { weight: 2, priority: 3 } };
    expect(state().streams).toMatchObject(wanted);
    await stop();
    await start(next);
    expect(state().streams).toMatchObject(wanted);
  });

  it('after a reload that a stream could not follow keeps only what was changed', async () => {
    await start();
    const next = config([
      { id: 'a', source: join(folder, 'none.mp4') },
      { id: 'b', maxFps: 5 },
      { id: 'c', track: true },
    ]);
    const { failures } = await host.reload(next);
    expect(failures.map(({ id, error }) => [id, error.code])).toEqual([['a', 'SOURCE_NOT_FOUND']]);
    await host.changeStream('a', { priority: 4 });
    expect(overlay.streams).toEqual({ a: { changed: { priority: { file: 0, now: 4 } } } });
  });

  it('with a stream that failed at the start follows a file that names another source', async () => {
    const missing = join(folder, 'none.mp4');
    await start(config([{ id: 'a', source: missing, policy: 'file' }, { id: 'b' }]));
    expect(host.readiness()).toMatchObject({ isDegraded: true });
    const other = join(folder, 'neither.mp4');
    const stillMissing = await host.reload(config([{ id: 'a', source: other, policy: 'file' }, { id: 'b' }]));
    expect(stillMissing.failures.map(({ id }) => id)).toEqual(['a']);
    expect(state().streams).toMatchObject({ a: { source: other } });
    expect((await host.reload(config([{ id: 'a' }, { id: 'b' }]))).changed).toEqual(['a']);
    expect(host.readiness()).not.toHaveProperty('isDegraded');
    expect(overlay.streams).toEqual({});
  });
});
