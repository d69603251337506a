import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type EventMessage, type ResultRecord, Sightline, type SightlineOptions } from '../../src/index.ts';
import { PictureDetector } from '../../src/serve/host/picture-detector.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { checkPipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { readEnvironment } from '../../src/settings/config/environment.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-library-'));
const opened: Sightline[] = [];
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close().catch(() => undefined);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** One box of class 0 in the middle of a model input of 512 pixels. */
const BOX = [128, 128, 256, 256, 0.9, 0];
const FAKE = { engine: 'fake', fake: { rows: BOX } } as const;
const clip = (seconds: number, rate = 25): string => `synthetic:testsrc2=size=320x180:rate=${rate}:duration=${seconds}`;
const camera = (id: string) => ({ id, source: clip(60), realtime: true, policy: 'live' }) as const;

async function open(options: SightlineOptions = {}): Promise<Sightline> {
  const engine = await Sightline.open({ model: FAKE, cacheDir: join(folder, 'cache'), ...options });
  opened.push(engine);
  return engine;
}

async function read(results: AsyncIterable<ResultRecord>, most = Number.POSITIVE_INFINITY): Promise<ResultRecord[]> {
  const all: ResultRecord[] = [];
  for await (const result of results) {
    all.push(result);
    if (all.length >= most) break;
  }
  return all;
}

const grey = (level: number, width = 64, height = 48) => ({
  data: new Uint8Array(width * height * 3).fill(level),
  width,
  height,
});

describe('results', () => {
  it('of files arrive whole and in order, and the iteration ends by itself', async () => {
    const engine = await open({
      streams: [
        { id: 'a', source: clip(2) },
        { id: 'b', source: clip(1) },
      ],
    });
    const all = await read(engine.results());
    const framesOf = (id: string) => all.filter(({ stream }) => stream === id).map(({ frame }) => frame);
    expect(framesOf('a')).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(framesOf('b')).toEqual(Array.from({ length: 25 }, (_, i) => i));
    expect(all[0]).toMatchObject({ width: 320, height: 180, by: 'inferred', detections: [{ label: 'person' }] });
  });

  it('of a file that is longer than the queue wait for a reader that comes late', async () => {
    const engine = await open({ streams: [{ id: 'a', source: clip(20) }] });
    await waitFor('more frames than may wait', () => engine.stats().streams[0]!.frames.inFlight > 2);
    const all = await read(engine.results());
    expect(all.map(({ frame }) => frame)).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it('can be those of some streams, and each of several readers gets all', async () => {
    const engine = await open({
      streams: [
        { id: 'a', source: clip(1) },
        { id: 'b', source: clip(1) },
      ],
    });
    const [all, some] = await Promise.all([read(engine.results()), read(engine.results({ streams: ['b'] }))]);
    expect(all).toHaveLength(50);
    expect(some.every(({ stream }) => stream === 'b')).toBe(true);
  });

  it('with queue latest never hold a file back: the reader gets the newest, and the lost ones are counted', async () => {
    const engine = await open();
    const results = engine.results({ queue: 'latest', capacity: 4 });
    await engine.streams.add({ id: 'a', source: clip(4) });
    await waitFor('the end', () => engine.streams.list()[0]?.state === 'ended');
    const { sinks } = engine.stats().host;
    expect(sinks?.find(({ id }) => id.startsWith('results'))).toMatchObject({ waiting: 4, lost: { overflow: 96 } });
    expect((await read(results)).map(({ frame }) => frame)).toEqual([96, 97, 98, 99]);
  });

  it('of a live stream never hold it back, and its oldest are lost', async () => {
    const engine = await open();
    const results = engine.results({ capacity: 2 });
    await engine.streams.add(camera('live'));
    await waitFor('more results than the queue holds', () => engine.stats().streams[0]!.frames.published > 10);
    expect((await results.next()).value!.frame).toBeGreaterThan(2);
  });

  it('end with the reason of a signal', async () => {
    const engine = await open({ streams: [camera('live')] });
    const stop = new AbortController();
    const reading = read(engine.results({ signal: stop.signal }));
    stop.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });

  it('stop costing anything when the reader leaves the loop', async () => {
    const engine = await open({ streams: [camera('live')] });
    expect(await read(engine.results(), 3)).toHaveLength(3);
    expect(engine.stats().host.sinks ?? []).toEqual([]);
  });

  it('end with the reason if a file turns out to be damaged, after the results of others', async () => {
    const damaged = join(folder, 'damaged.mp4');
    writeFileSync(damaged, 'not a video');
    const engine = await open({
      streams: [
        { id: 'a', source: clip(1), realtime: true, policy: 'file' },
        { id: 'b', source: clip(1), realtime: true, policy: 'file' },
      ],
    });
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { frame } of engine.results()) seen.push(frame);
    })();
    await engine.streams.add({ id: 'c', source: damaged });
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' });
    expect(seen).toHaveLength(50);
  });
});

describe('results of an engine', () => {
  it('throw why a file could not be started, after those of the others; and end for others alone', async () => {
    const notices: string[] = [];
    const streams = [
      { id: 'bad', source: join(folder, 'nowhere.mp4') },
      { id: 'good', source: clip(1) },
    ];
    const engine = await open({ streams, onNotice: (text) => notices.push(text) });
    const good = read(engine.results({ streams: ['good'] }));
    const seen: number[] = [];
    const all = (async () => {
      for await (const { frame } of engine.results()) seen.push(frame);
    })();
    await expect(all).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
    expect((await good).length).toBe(25);
    expect(notices.join()).toMatch(/stream bad could not be started.*no such file/);
  });

  it('end at once if it was closed, which no server survives', async () => {
    const engine = await open();
    const serving = engine.serve({ port: 0 });
    const served = serving.then(
      ({ url }) => fetch(new URL('/healthz', url)),
      (error: unknown) => error,
    );
    await engine.close();
    expect(await read(engine.results())).toEqual([]);
    expect(await served).toBeInstanceOf(Error);
    const added = engine.streams.add({ id: 'late', source: 'demo' });
    for (const late of [engine.serve({ port: 0 }), engine.detect(grey(1)), added])
      await expect(late).rejects.toMatchObject({ code: 'STREAM_STATE' });
  });

  it.each([{ capacity: 0 }, { queue: 'blok' }, { streams: 'good' }, { foo: 1 }])('refuse %j', async (options) => {
    const engine = await open();
    expect(() => engine.results(options as never)).toThrow(/results: /);
  });
});

describe('detect', () => {
  it('finds objects in paths, bytes and pixels alike, many at a time', async () => {
    const engine = await open();
    const path = join(folder, 'picture.png');
    const { data, width, height } = grey(100, 100, 50);
    await sharp(data, { raw: { width, height, channels: 3 } }).toFile(path);
    const pictures = [path, readFileSync(path), { data, width, height }];
    const found = await Promise.all(Array.from({ length: 30 }, (_, i) => engine.detect(pictures[i % 3]!)));
    expect(found).toHaveLength(30);
    for (const result of found) expect(result).toEqual(found[0]);
    // The model is shown 512 x 512, so the box covers the middle half of the picture.
    expect(found[0]).toMatchObject({ width: 100, height: 50, detections: [{ label: 'person', score: 0.9 }] });
    expect(engine.streams.list()).toEqual([]);
  });

  it('refuses a picture that cannot be read, and goes on', async () => {
    const engine = await open();
    const results = await Promise.allSettled([
      engine.detect(grey(1)),
      engine.detect(Buffer.from('no picture')),
      engine.detect(join(folder, 'missing.jpg')),
      engine.detect({ data: new Uint8Array(10), width: 4, height: 4 }),
      engine.detect(grey(2)),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected', 'fulfilled']);
    const codes = results.map((result) => (result.status === 'rejected' ? result.reason.code : null));
    expect(codes).toEqual([null, 'SOURCE_UNREADABLE', 'SOURCE_UNREADABLE', 'CONFIG_INVALID', null]);
  });

  it('spreads a burst over all lanes', async () => {
    const engine = await open({ model: { ...FAKE, fake: { callMs: 2 } }, lanes: 2 });
    const many = await Promise.allSettled(Array.from({ length: 1900 }, () => engine.detect(grey(0, 4, 4))));
    expect(many.filter(({ status }) => status === 'rejected')).toEqual([]);
  });

  it('goes on after somebody has removed its stream', async () => {
    const engine = await open();
    await engine.detect(grey(1));
    await engine.streams.remove('detect:1');
    await expect(engine.detect(grey(1))).resolves.toMatchObject({ width: 64 });
  });

  it('can be taken back', async () => {
    const engine = await open({ model: { ...FAKE, fake: { callMs: 300 } } });
    const stop = new AbortController();
    const detecting = engine.detect(grey(1), { signal: stop.signal });
    stop.abort(new Error('too late'));
    await expect(detecting).rejects.toThrow('too late');
    await expect(engine.detect(grey(1))).resolves.toMatchObject({ width: 64 });
  });

  it('answers every picture although the thread that reads them dies', async () => {
    const config = checkPipeline(
      { name: 'x', description: 'x', model: { ...FAKE, fake: { callMs: 20 } }, lanes: 1 },
      'x',
    );
    const environment = { ...readEnvironment({}), searchPath: process.env.PATH!, cacheDir: join(folder, 'cache') };
    const nothing = (): void => undefined;
    const host = await PipelineHost.open(config, {
      environment,
      stdout: process.stdout,
      onNotice: nothing,
      admit: async () => undefined,
    });
    try {
      const detector = new PictureDetector(host.runtime, host.streams, { most: 1 });
      const detecting = Promise.all(Array.from({ length: 60 }, (_, i) => detector.detect(grey(i))));
      await detector.detect(grey(1));
      for (const lane of host.runtime.threads.lanes) await lane.crash();
      expect(await detecting).toHaveLength(60);
    } finally {
      await host.stop();
    }
  });
});

describe('a stream that the program feeds', () => {
  it('gives one result for each picture, with its time, to the caller and to all readers', async () => {
    const engine = await open({ lanes: 1 });
    const results = read(engine.results());
    const stream = await engine.streams.push({ id: 'own', track: {} });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => {
        const { data, width, height } = grey(i, 64 + (i % 2) * 64, 48);
        return stream.push(data, { width, height, ptsUs: i * 40_000 });
      }),
    );
    expect(answers.map(({ frame, ptsUs, width }) => [frame, ptsUs, width])).toEqual(
      Array.from({ length: 40 }, (_, i) => [i, i * 40_000, 64 + (i % 2) * 64]),
    );
    expect(answers.at(-1)!.detections[0]!.trackId).toBe(answers[3]!.detections[0]!.trackId);
    await stream.end();
    expect((await results).map(({ frame }) => frame)).toEqual(answers.map(({ frame }) => frame));
    await expect(stream.push(grey(0).data, grey(0))).rejects.toMatchObject({ code: 'STREAM_STATE' });
  });

  it('goes on for as long as its caller does, also if nobody reads results', async () => {
    const engine = await open();
    const stream = await engine.streams.push({ id: 'own' });
    for (let i = 0; i < 400; i++) await stream.push(grey(0, 4, 4).data, grey(0, 4, 4));
    await stream.end();
  });

  it('ends when every picture has its result, whether it was awaited or not', async () => {
    const engine = await open({ model: { ...FAKE, fake: { callMs: 20 } } });
    const stream = await engine.streams.push({ id: 'own' });
    const log: unknown[] = [];
    for (let i = 0; i < 30; i++) void stream.push(grey(i).data, grey(i)).then(({ frame }) => log.push(frame));
    const refused = stream.push(Buffer.from('no picture')).catch(({ code }) => log.push(code));
    await stream.end();
    await refused;
    expect(log).toHaveLength(31);
  });

  it('goes on after a pause with the pictures that were pushed meanwhile', async () => {
    const engine = await open();
    const stream = await engine.streams.push({ id: 'own' });
    await stream.push(grey(1).data, grey(1));
    await engine.streams.pause('own');
    const waiting = [1, 2, 3].map((level) => stream.push(grey(level).data, grey(level)));
    await engine.streams.resume('own');
    expect((await Promise.all(waiting)).map(({ frame }) => frame)).toEqual([1, 2, 3]);
  });

  it('refuses times that go back, pictures of another size than stated, and settings that choose frames', async () => {
    const engine = await open();
    const stream = await engine.streams.push({ id: 'own' });
    await stream.push(grey(1).data, { ...grey(1), ptsUs: 1000 });
    for (const wrong of [{ ptsUs: 1000 }, { ptsUs: 0.5 }, { ptsUs: -1 }, { width: 65 }])
      await expect(stream.push(grey(1).data, { ...grey(1), ...wrong })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      });
    // @ts-expect-error A setting that is refused is not in the type.
    await expect(engine.streams.push({ id: 'other', every: 2 })).rejects.toThrow(/every/);
    await expect(engine.streams.update('own', { maxFps: 5 })).rejects.toThrow(/maxFps/);
    await expect(engine.streams.update('own', { source: 'a.mp4' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(engine.streams.push({ id: 'own' })).rejects.toMatchObject({ code: 'STREAM_EXISTS' });
  });

  it('drops the oldest pictures while a live one is too fast, counts each, and answers the newest', async () => {
    const engine = await open({ model: { ...FAKE, fake: { callMs: 50 } }, batch: { maxBatch: 1 } });
    const stream = await engine.streams.push({ id: 'own', policy: 'live', queueSize: 2, maxAgeMs: 60_000 });
    const pushes = Array.from({ length: 60 }, () => stream.push(grey(0, 4, 4).data, grey(0, 4, 4)));
    const answers = await Promise.all(pushes.map((push) => push.then(({ frame }) => frame).catch((error) => error)));
    expect(answers.at(-1)).toBe(59);
    const dropped = answers.filter((answer) => typeof answer !== 'number');
    expect(dropped.length).toBeGreaterThan(30);
    for (const error of dropped)
      expect(error).toMatchObject({ code: 'LIMIT_REACHED', details: { reason: 'queue-full' } });
    const figures = () => engine.stats().streams[0]!.frames;
    await waitFor('the figures', () => figures().in === 60 && figures().inFlight === 0);
    expect(figures()).toMatchObject({
      in: 60,
      published: 60 - dropped.length,
      dropped: { 'queue-full': dropped.length },
    });
    // Pictures that were handed over before a pause still have their answer.
    const last = [1, 2].map((level) => stream.push(grey(level).data, grey(level)));
    await engine.streams.pause('own');
    await engine.streams.resume('own');
    expect((await Promise.all(last)).map(({ frame }) => frame)).toEqual([60, 61]);
  });

  it('stops a caller who never awaits', async () => {
    const engine = await open({ model: { ...FAKE, fake: { callMs: 2000 } } });
    const stream = await engine.streams.push({ id: 'own' });
    const pushes = Array.from({ length: 1100 }, () => stream.push(grey(0, 4, 4).data, grey(0, 4, 4)));
    const refused = pushes.map((push) => push.then(() => null).catch(({ code }) => code));
    expect(await refused.at(-1)).toBe('LIMIT_REACHED');
    await engine.close();
    expect(new Set(await Promise.all(refused))).toContain('STREAM_STATE');
  });
});

describe('sinks of the program', () => {
  it('get the results of their streams, one at a time; those that they refuse are counted and reported', async () => {
    const events: EventMessage[] = [];
    const taken: number[] = [];
    let isBusy = false;
    const closed: string[] = [];
    const engine = await open({
      sinks: [
        {
          id: 'own',
          streams: ['a'],
          publish: async ({ frame }) => {
            expect(isBusy).toBe(false);
            isBusy = true;
            await new Promise(setImmediate);
            isBusy = false;
            if (frame === 3) throw new Error('not this one');
            taken.push(frame);
          },
          close: () => void closed.push('own'),
        },
      ],
    });
    engine.on('event', (event) => events.push(event));
    await engine.streams.add({ id: 'a', source: clip(1) });
    await engine.streams.add({ id: 'b', source: clip(1) });
    await waitFor('all', () => taken.length === 24);
    expect(engine.stats().host.sinks).toMatchObject([{ id: 'own', sent: 24, lost: { failed: 1 } }]);
    expect(events.find(({ kind }) => kind === 'sink-failed')?.message).toMatch(/own.*not this one/);
    await expect(engine.close()).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(closed).toEqual(['own']);
  });

  it('get nothing more once they are closed, and are closed although their last result is never taken', async () => {
    const log: string[] = [];
    const publish = (): Promise<void> => {
      log.push('result');
      return new Promise(() => undefined);
    };
    const sink = { id: 'stuck', publish, close: () => void log.push('close') };
    const engine = await open({ sinks: [sink], streams: [{ id: 'a', source: clip(1) }] });
    await waitFor('a result', () => log.length > 0);
    await expect(engine.close()).rejects.toThrow(/stuck: \d+ results? (was|were) lost/);
    expect(log).toEqual(['result', 'close']);
  });

  it.each([
    [[{ id: '' }], /sinks: ""/],
    [[{ id: 'results-1' }], /results-N/],
    [[{ id: 'a' }, { id: 'a' }], /no other sink has/],
    [[{ id: 'a', filter: { foo: 1 } }], /filter\.foo: unknown key/],
  ])('are refused if they are wrong: %j', async (sinks, message) => {
    const publish = (): void => undefined;
    await expect(open({ sinks: sinks.map((sink) => ({ ...sink, publish })) as never })).rejects.toThrow(message);
  });

  it('that are slow hold a file back; nothing is lost', async () => {
    const taken: number[] = [];
    const publish = async ({ frame }: ResultRecord): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      taken.push(frame);
    };
    const engine = await open({
      sinks: [{ id: 'slow', capacity: 2, publish }],
      streams: [{ id: 'a', source: clip(4) }],
    });
    await waitFor('all', () => taken.length === 100);
    await engine.close();
    expect(taken).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });
});

describe('an engine', () => {
  it('manages its streams while they run', async () => {
    const engine = await open({ streams: [camera('a')] });
    await engine.streams.add(camera('b'));
    expect(engine.streams.list().map(({ id }) => id)).toEqual(['a', 'b']);
    expect(await engine.streams.update('b', { priority: 5 })).toMatchObject({ priority: 5 });
    expect(await engine.streams.pause('a')).toMatchObject({ state: 'paused' });
    expect((await engine.streams.resume('a')).state).toMatch(/starting|running/);
    await engine.streams.remove('a');
    expect(engine.streams.list().map(({ id }) => id)).toEqual(['b']);
    await expect(engine.streams.remove('a')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    await expect(engine.streams.add({ id: 'c', source: 'missing.mp4' })).rejects.toMatchObject({
      code: 'SOURCE_NOT_FOUND',
    });
  });

  it('serves its dashboard and API, and two in one process do not disturb each other', async () => {
    const [first, second] = await Promise.all([open({ streams: [camera('a')] }), open({ streams: [camera('b')] })]);
    const gateways = await Promise.all([first.serve({ port: 0 }), second.serve({ port: 0 })]);
    for (const [i, { url }] of gateways.entries()) {
      const { streams } = (await (await fetch(new URL('/api/streams', url))).json()) as { streams: { id: string }[] };
      expect(streams.map(({ id }) => id)).toEqual([['a'], ['b']][i]);
      expect((await fetch(new URL('/metrics', url))).status).toBe(200);
      expect((await fetch(url)).status).toBe(200);
    }
    await first.close();
    await expect(fetch(new URL('/healthz', gateways[0]!.url))).rejects.toThrow();
    expect((await read(second.results(), 2)).map(({ stream }) => stream)).toEqual(['b', 'b']);
  });

  it.each([
    [{ model: 'no-such-model' }, 'MODEL_NOT_FOUND'],
    [{ streams: [{ id: 'a', source: 'missing.mp4' }] }, 'SOURCE_NOT_FOUND'],
    [{ streams: [{ id: 'a', source: clip(1), maxFpss: 3 }] }, 'CONFIG_INVALID'],
    [{ pipeline: 'pipelines/live-detect.yaml', batch: {} }, 'CONFIG_INVALID'],
    [{ pipeline: 'no-such.yaml' }, 'CONFIG_NOT_FOUND'],
  ])('that cannot be opened says why: %j', async (options, code) => {
    await expect(
      open({ model: FAKE, ...('pipeline' in options ? { model: undefined } : {}), ...options } as never),
    ).rejects.toMatchObject({ code });
  });

  it('can be given up while it opens', async () => {
    const stop = new AbortController();
    const opening = open({ signal: stop.signal });
    stop.abort(new Error('changed my mind'));
    await expect(opening).rejects.toThrow('changed my mind');
  });

  it('leaves nothing behind: the process ends by itself', async () => {
    const script = join(folder, 'program.mjs');
    writeFileSync(
      script,
      `// Node.js itself may open these while it loads a module of its own.
      void [process.stdout, process.stderr];
      const before = process.getActiveResourcesInfo();
      const { Sightline } = await import(${JSON.stringify(pathToFileURL(join(process.cwd(), 'dist/src/index.js')).href)});
      const more = () => process.getActiveResourcesInfo().length - before.length;
      // Node closes the files of modules a moment later.
      for (let i = 0; i < 100 && more() > 0; i++) await new Promise((resolve) => setTimeout(resolve, 100));
      const started = Math.max(0, more());
      const engine = await Sightline.open({ model: ${JSON.stringify(FAKE)}, cacheDir: ${JSON.stringify(join(folder, 'c'))},
        streams: [{ id: 'a', source: ${JSON.stringify(clip(1))} }, ${JSON.stringify(camera('b'))}] });
      let count = 0;
      for await (const result of engine.results({ streams: ['a'] })) count += result.detections.length;
      await engine.detect({ data: new Uint8Array(27), width: 3, height: 3 });
      await engine.serve({ port: 0 });
      await engine.close();
      console.log(count, started);`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 120_000, env: {} });
    expect(stdout.trim()).toBe('25 0');
  });
});
