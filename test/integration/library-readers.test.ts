import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type ResultRecord, Sightline, type SightlineOptions } from '../../src/index.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-readers-'));
const opened: Sightline[] = [];
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close().catch(() => undefined);
});
afterAll(() => rmSync(folder, { recursive: true }));

const FAKE = { engine: 'fake', fake: { rows: [128, 128, 256, 256, 0.9, 0] } } as const;
const file = (seconds: number) => `synthetic:testsrc2=size=320x180:rate=25:duration=${seconds}`;

async function open(options: SightlineOptions = {}): Promise<Sightline> {
  const engine = await Sightline.open({ model: FAKE, cacheDir: join(folder, 'cache'), ...options });
  opened.push(engine);
  return engine;
}

async function read(results: AsyncIterable<ResultRecord>): Promise<ResultRecord[]> {
  const all: ResultRecord[] = [];
  for await (const each of results) all.push(each);
  return all;
}

function readersOf(engine: Sightline): string[] {
  return (engine.stats().host.sinks ?? []).map(({ id }) => id);
}

describe('a reader of results is counted among the sinks no longer', () => {
  it('once it was aborted, whether it waits for a result or not', async () => {
    const engine = await open();
    const stop = new AbortController();
    const waiting = engine.results({ signal: stop.signal }).next();
    engine.results({ signal: stop.signal });
    const stays = engine.results();
    expect(readersOf(engine)).toHaveLength(3);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect(readersOf(engine)).toHaveLength(1);
    await stays.return!();
    engine.results({ signal: stop.signal });
    expect(readersOf(engine)).toEqual([]);
  });

  it('once it has read the last result of its streams, and until then', async () => {
    const engine = await open();
    const results = engine.results({ streams: ['a'] });
    await engine.streams.add({ id: 'a', source: file(0.2) });
    await waitFor('the end', () => engine.streams.list()[0]?.state === 'ended');
    expect(readersOf(engine)).toHaveLength(1);
    for await (const { stream } of results) expect(stream).toBe('a');
    expect(readersOf(engine)).toEqual([]);
  });
});

describe('results', () => {
  it.each([1, 3])(
    'of files never wait in larger numbers than the capacity of %i, nor in a sink that is stuck',
    async (capacity) => {
      let take = (): void => undefined;
      const stuck = new Promise<void>((resolve) => {
        take = resolve;
      });
      const engine = await open({ sinks: [{ id: 'stuck', capacity, publish: () => stuck }] });
      const results = engine.results({ capacity });
      for (const id of ['a', 'b']) await engine.streams.add({ id, source: file(1) });
      const framesOf = () => engine.stats().streams.map(({ frames }) => frames);
      await waitFor('more frames than may wait', () => framesOf().every(({ inFlight }) => inFlight > 2 * capacity));
      const full = { sent: 0, waiting: capacity, lost: { overflow: 0, failed: 0 } };
      expect(engine.stats().host.sinks).toMatchObject([
        { id: 'stuck', ...full },
        { id: 'results-1', ...full },
      ]);
      take();
      expect(await read(results)).toHaveLength(50);
      await waitFor('all in the sink', () => engine.stats().host.sinks?.[0]?.sent === 50);
    },
  );

  it('of a file whose reader is stuck are handed over when it is paused or removed', async () => {
    const engine = await open();
    const results = engine.results({ capacity: 1 });
    await engine.streams.add({ id: 'a', source: file(1) });
    await waitFor('more frames than may wait', () => engine.stats().streams[0]!.frames.inFlight > 2);
    await engine.streams.pause('a');
    await engine.streams.resume('a');
    const all = read(results);
    await waitFor('the end', () => engine.streams.list()[0]?.state === 'ended');
    expect((await all).map(({ frame }) => frame)).toEqual(Array.from({ length: 25 }, (_, i) => i));
    const others = engine.results({ capacity: 1, streams: ['b'] });
    await engine.streams.add({ id: 'b', source: file(1) });
    await waitFor('more frames than may wait', () => engine.stats().streams[1]!.frames.inFlight > 2);
    await engine.streams.remove('b');
    expect((await others.next()).value?.frame).toBe(0);
  });
});

describe('boxes that a test gives', () => {
  it('are those of the frame, and are tracked and counted as any', async () => {
    const engine = await open({
      detect: ({ stream, frame, width, height }) =>
        stream === 'a'
          ? [{ classId: 0, label: 'person', score: 0.9, box: [frame * 8, height / 2, width / 8, 40] }]
          : [],
      streams: [
        { id: 'a', source: file(1), track: {}, lines: [{ id: 'gate', from: [0.5, 0], to: [0.5, 1] }] },
        { id: 'b', source: file(1) },
      ],
    });
    const all = await read(engine.results());
    const own = all.filter(({ stream }) => stream === 'a');
    expect(own.map(({ detections }) => detections[0]!.box[0])).toEqual(own.map(({ frame }) => frame * 8));
    expect(own.flatMap(({ crossings = [] }) => crossings.map(({ lineId }) => lineId))).toEqual(['gate']);
    expect(all.filter(({ stream }) => stream === 'b').flatMap(({ detections }) => detections)).toEqual([]);
  });

  it('need the fake engine', async () => {
    await expect(open({ model: 'centernet', detect: () => [] })).rejects.toThrow(/detect: needs model/);
    await expect(open({ detect: 'x' as never })).rejects.toThrow(/detect: expected a function/);
  });
});
