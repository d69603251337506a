import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { History } from '../../src/after/history/history.ts';
import { picturePath } from '../../src/after/recording/archive.ts';
import type { ClipBoxes } from '../../src/after/recording/clip-boxes.ts';
import { keepPicture, pictureOf } from '../../src/after/recording/clip-picture.ts';
import { type FileSummary, readIndex } from '../../src/after/recording/fragment-file.ts';
import { FragmentReader, parseFragment, timescaleOf } from '../../src/frame/decode/fragment-reader.ts';
import { sourceUs } from '../../src/frame/decode/packet-tap.ts';
import type { FakeDetect } from '../../src/frame/runtime/stream/stream-port.ts';
import type { Gateway } from '../../src/serve/gateway/gateway-options.ts';
import { startGateway } from '../../src/serve/gateway/server.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { testFfmpeg, VideoFolder } from '../support/made-videos.ts';
import { RtspServer, rtspScript } from '../support/rtsp-server.ts';
import { waitFor } from '../support/wait-for.ts';

const videos = new VideoFolder();
const root = mkdtempSync(join(tmpdir(), 'sightline-clips-'));
afterAll(() => {
  videos.remove();
  rmSync(root, { recursive: true });
});

let host: PipelineHost;
let history: History;
let gateway: Gateway;
let records: RuleEvent[];
let published: number[];
let found: ClipBoxes['frames'];
/** A person who is there while the test says so. */
const scene = { isThere: false };
const fakeDetect: FakeDetect = () =>
  scene.isThere ? [{ classId: 0, label: 'person', score: 0.9, box: [100, 40, 60, 100] }] : [];

beforeEach(() => {
  [scene.isThere, records, published, found] = [false, [], [], []];
});
afterEach(async () => {
  await gateway.close();
  await host.stop();
  await history.close();
});

async function open(stream: object): Promise<void> {
  const cacheDir = mkdtempSync(join(root, 'cache-'));
  const model = { engine: 'fake', inputSize: '64x64', threads: 1 };
  const rules = [{ id: 'in', kind: 'appears', clip: { before: '2s', after: '2s' } }];
  const file = {
    name: 'clips',
    description: 'Clips.',
    model,
    lanes: 1,
    streams: [{ id: 'cam', events: rules, maxAgeMs: 60_000, queueSize: 64, ...stream }],
  };
  host = await PipelineHost.open(parsePipeline(JSON.stringify(file), 'test'), {
    environment: { ffmpegPath: testFfmpeg.path, searchPath: '', modelPath: [], cacheDir, token: undefined },
    stdout: process.stdout,
    onNotice: () => undefined,
    admit: () => Promise.resolve(),
    fakeDetect,
  });
  history = await History.open({ path: null, maxBytes: 2 ** 24, days: 90, onNotice: () => undefined });
  host.onRuleEvent((event) => void records.push(event));
  host.onPublished(({ ptsUs, detections }) => {
    published.push(ptsUs);
    found = [
      ...found,
      {
        ptsUs,
        boxes: detections.map(({ box, label, trackId }) =>
          trackId === undefined ? [...box, label] : [...box, label, trackId],
        ),
      },
    ];
  });
  await host.keepEvents(history);
  gateway = await startGateway(host, { port: 0, history, recorder: host.recorder });
  await host.start();
}

/** Somebody comes and goes. @returns the id of the event, once its clip is there. */
async function visit(): Promise<string> {
  const before = published.length;
  await waitFor(
    'three seconds before',
    () => published.length > before && published.at(-1)! - published[before]! > 4e6,
  );
  scene.isThere = true;
  await waitFor('an event', () => records.some(({ phase }) => phase === 'new'));
  const id = records.find(({ phase }) => phase === 'new')!.id;
  // While it lasts there is a small picture of the frame that raised it, with the object's box in it.
  const small = (): Promise<Response> => get(id, 'picture.jpg');
  await waitFor('its small picture', async () => (await small()).status === 200);
  const picture = await small();
  expect(JSON.parse(picture.headers.get('x-picture')!)).toMatchObject({
    moment: 'at',
    width: 320,
    height: 180,
    bounds: [0, 0, 320, 180],
    box: [100, 40, 60, 100],
  });
  const { width, height } = await sharp(Buffer.from(await picture.arrayBuffer())).metadata();
  expect(width! / height!).toBeCloseTo(16 / 9, 1);
  await waitFor('a second', () => published.at(-1)! > records[0]!.raised.ptsUs! + 1e6);
  scene.isThere = false;
  await waitFor('the clip and its picture', async () => (await get(id, 'snapshot.jpg')).status === 200, {
    deadlineMs: 30_000,
  });
  // Then that of the clip, which is larger.
  const ofClip = await sharp(Buffer.from(await (await small()).arrayBuffer())).metadata();
  expect(ofClip.width).toBe(320);
  return id;
}

const get = (id: string, what: string, headers = {}): Promise<Response> =>
  fetch(`${gateway.url}/api/events/${id}/${what}`, { headers });

/** Checks a clip against the events and the published frames. */
async function check(id: string): Promise<FileSummary> {
  const summary = (await (await get(id, 'clip.json')).json()) as FileSummary & { boxes: ClipBoxes };
  const raisedUs = records.find(({ phase }) => phase === 'new')!.raised.ptsUs!;
  const endedUs = records.find(({ phase }) => phase === 'end')!.ended!.ptsUs!;
  expect(summary.startUs).toBeLessThanOrEqual(raisedUs - 2e6);
  expect(summary.endUs).toBeGreaterThanOrEqual(endedUs + 2e6);
  expect(summary).toMatchObject({ codec: 'avc1', lateUs: 0, gaps: [] });
  const clip = (await host.recorder.archive()).clipOf(id)!;
  const { head, fragments } = await readIndex(clip.path);
  const bytes = Buffer.from(await (await get(id, 'clip.mp4')).arrayBuffer());
  const times = fragments
    .flatMap(({ at, bytes: length, added, shiftUs }) => {
      const { ptsTicks } = parseFragment(bytes.subarray(at, at + length));
      return ptsTicks.map((ticks) => sourceUs(ticks - added, head.timescale) + shiftUs);
    })
    .toSorted((a, b) => a - b);
  expect(times).toHaveLength(summary.frames);
  // Each frame of the clip has a result of the same media time, and none is missing.
  expect(times).toEqual(published.filter((ptsUs) => ptsUs >= times[0]! && ptsUs <= times.at(-1)!));
  // What was found in the frames that it shows.
  const isShown = ({ ptsUs }: { ptsUs: number }): boolean => times.includes(ptsUs);
  expect(summary.boxes).toMatchObject({ width: 320, height: 180 });
  expect(summary.boxes.frames.filter(isShown)).toEqual(found.filter(isShown));
  expect(summary.boxes.frames.some(({ boxes }) => boxes.length > 0)).toBe(true);
  return summary;
}

/** Where the object was seen best before the clip begins, its box belongs to none of the clip's pictures. */
async function pictureOfAnEarlierBest(id: string): Promise<void> {
  const { path } = (await host.recorder.archive()).clipOf(id)!;
  const index = await readIndex(path);
  const event = records.findLast((record) => record.id === id)!;
  const best = { ...event.best!, ptsUs: index.fragments[0]!.firstUs - 40_000 };
  const copy = join(root, `${basename(path, '.mp4')}0.mp4`);
  copyFileSync(path, copy);
  await keepPicture(host.runtime.ffmpeg, copy, { ...event, best }, index, []);
  expect([existsSync(picturePath(path, true)), existsSync(picturePath(copy, true))]).toEqual([true, false]);
  const raised = { ...event, best: { ...event.best!, ptsUs: event.raised.ptsUs! } };
  const plain = await pictureOf(copy, true);
  await keepPicture(host.runtime.ffmpeg, copy, raised, index, []);
  expect(await pictureOf(copy, false), 'the picture when it was raised').toEqual(plain);
}

async function asksForOddRanges(id: string, bytes: number): Promise<void> {
  for (const range of ['bytes=abc', 'bytes=100-50', 'bytes=0-5,x', 'lines=1-2', `bytes=-${bytes + 1}`]) {
    const { status, headers } = await get(id, 'clip.mp4', { range });
    expect([status, headers.get('content-length')], range).toEqual([200, String(bytes)]);
  }
  for (const range of [`bytes=${bytes}-`, 'bytes=99999999-', 'bytes=-0']) {
    const reply = await get(id, 'clip.mp4', { range });
    expect([reply.status, reply.headers.get('content-range')], range).toEqual([416, `bytes */${bytes}`]);
    expect(reply.headers.get('content-type')).toMatch(/^application\/json/);
    const message = `Range: expected a part of its ${bytes} bytes, received "${range}"`;
    expect(await reply.json()).toEqual({ error: { code: 'RANGE_UNMET', message, details: { bytes } } });
  }
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toContain('sightline_messages_refused_total{channel="rest",reason="json"} 0');
}

describe('an event with a clip', () => {
  it('of a file that loops has it over HTTP, in parts, with a picture with and without its box', async () => {
    const source = await videos.make('loop.mp4', { frames: 500, bFrames: 2 });
    await open({ source, loop: true });
    const id = await visit();
    await check(id);
    const whole = Buffer.from(await (await get(id, 'clip.mp4')).arrayBuffer());
    const part = await get(id, 'clip.mp4', { range: 'bytes=100-299' });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-299/${whole.length}`]);
    expect(part.headers.get('content-type')).toBe('video/mp4');
    expect(Buffer.from(await part.arrayBuffer())).toEqual(whole.subarray(100, 300));
    await asksForOddRanges(id, whole.length);
    const pixels = async (boxes: string) => {
      const jpeg = Buffer.from(await (await get(id, `snapshot.jpg?boxes=${boxes}`)).arrayBuffer());
      return sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
    };
    const [plain, boxed] = [await pixels('0'), await pixels('1')];
    expect([plain.info.width, plain.info.height]).toEqual([320, 180]);
    const differs = (x: number, y: number): boolean =>
      [0, 1, 2].some((c) => Math.abs(plain.data[(y * 320 + x) * 3 + c]! - boxed.data[(y * 320 + x) * 3 + c]!) > 40);
    const along = Array.from({ length: 90 }, (_, i) => differs(100, 45 + i) || differs(101, 45 + i));
    expect(along.filter(Boolean).length, 'the left edge of the box').toBeGreaterThan(60);
    expect(differs(130, 90), 'its middle').toBe(false);
    expect((await get('00', 'clip.mp4')).status).toBe(404);
    await pictureOfAnEarlierBest(id);
    const { path } = (await host.recorder.archive()).clipOf(id)!;
    for (const hasBox of [false, true]) rmSync(picturePath(path, hasBox));
    const again = await get(id, 'snapshot.jpg');
    expect([again.status, existsSync(picturePath(path)), existsSync(picturePath(path, true))]).toEqual([
      200,
      true,
      true,
    ]);
    expect((await get(id, 'snapshot.jpg?boxes=2')).status).toBe(400);
  }, 90_000);

  it('of a stream with masks has a picture with masks, if it may be recorded at all', async () => {
    const source = await videos.make('loop.mp4', { frames: 500, bFrames: 2 });
    const polygon = [
      [0, 0],
      [0.5, 0],
      [0.5, 1],
      [0, 1],
    ];
    await open({ source, loop: true, masks: [{ id: 'street', polygon }], recordMasked: 'allowed' });
    const id = await visit();
    const jpeg = Buffer.from(await (await get(id, 'snapshot.jpg?boxes=0')).arrayBuffer());
    const levels = async (left: number): Promise<number[]> => {
      const { channels } = await sharp(
        await sharp(jpeg).extract({ left, top: 0, width: 150, height: 180 }).toBuffer(),
      ).stats();
      return channels.map(({ max }) => max);
    };
    expect(Math.max(...(await levels(0)))).toBeLessThan(30);
    expect(Math.max(...(await levels(170)))).toBeGreaterThan(200);
  }, 90_000);

  it('hides in its picture what was hidden when it was taken, also if the mask is gone since, or the host was killed', async () => {
    const source = await videos.make('loop.mp4', { frames: 500, bFrames: 2 });
    const half = (left: number): number[][] => [
      [left, 0],
      [left + 0.5, 0],
      [left + 0.5, 1],
      [left, 1],
    ];
    await open({ source, loop: true, masks: [{ id: 'street', polygon: half(0) }], recordMasked: 'allowed' });
    await waitFor('some video', () => published.length > 0 && published.at(-1)! - published[0]! > 3e6);
    scene.isThere = true;
    await waitFor('an event', () => records.some(({ phase }) => phase === 'new'));
    const { id } = records[0]!;
    await host.changeStream('cam', { masks: [{ id: 'other', polygon: half(0.5) }] });
    await waitFor('a second', () => published.at(-1)! > records[0]!.raised.ptsUs! + 1e6);
    await host.changeStream('cam', { masks: [] });
    scene.isThere = false;
    const picture = async (): Promise<Response> => get(id, 'snapshot.jpg?boxes=0');
    await waitFor('its picture', async () => (await picture()).status === 200, { deadlineMs: 30_000 });
    const brightest = async (left: number): Promise<number> => {
      const jpeg = Buffer.from(await (await picture()).arrayBuffer());
      const part = await sharp(jpeg).extract({ left, top: 0, width: 150, height: 180 }).toBuffer();
      return Math.max(...(await sharp(part).stats()).channels.map(({ max }) => max));
    };
    expect(
      [await brightest(0), await brightest(170)].every((level) => level < 30),
      'both halves',
    ).toBe(true);
    const { path } = (await host.recorder.archive()).clipOf(id)!;
    for (const hasBox of [false, true]) rmSync(picturePath(path, hasBox), { force: true });
    expect(await brightest(0), 'made again by what its file says').toBeLessThan(30);
  }, 90_000);

  it('of a stream that ends has what came', async () => {
    scene.isThere = true;
    await open({ source: await videos.make('short.mp4', { frames: 100 }), realtime: true });
    await waitFor('the end', () => records.some(({ phase }) => phase === 'end'));
    const { id } = records[0]!;
    await waitFor('the clip', async () => (await get(id, 'clip.json')).status === 200);
    const summary = (await (await get(id, 'clip.json')).json()) as FileSummary;
    expect(summary.frames).toBe(100);
    expect(summary.lateUs).toBeGreaterThan(1e6);
  });

  it('nothing is written where no rule has a clip and nothing is recorded', async () => {
    const source = await videos.make('loop.mp4', { frames: 500, bFrames: 2 });
    await open({ source, loop: true, events: [{ id: 'in', kind: 'appears' }] });
    scene.isThere = true;
    await waitFor('an event', () => records.length > 0);
    expect(host.recorder.figures).toMatchObject({ files: 0, memoryBytes: 0, writtenBytes: 0 });
    expect(existsSync(join(root, 'recordings'))).toBe(false);
  });
});

it('ten viewers of live video get the frames of the results, from the packets of one ffmpeg', async () => {
  await open({
    source: await videos.make('live.mp4', { frames: 500, bFrames: 2 }),
    loop: true,
    live: true,
    events: [],
  });
  await waitFor('the first results', () => published.length > 25);
  const viewers = await Promise.all(
    Array.from({ length: 10 }, async () => {
      const stop = new AbortController();
      const reply = await fetch(`${gateway.url}/api/streams/cam/live.mp4`, { signal: stop.signal });
      expect(reply.headers.get('content-type')).toMatch(/^video\/mp4; codecs="avc1\.[0-9a-f]{6}"$/);
      const seen: number[] = [];
      let timescale = 0;
      const reader = new FragmentReader(
        (init) => {
          timescale = timescaleOf(init);
        },
        (bytes) => {
          for (const ticks of parseFragment(bytes).ptsTicks)
            seen.push((ticks / timescale) * 1e6 + Number(reply.headers.get('x-origin-us')));
        },
      );
      const reading = (async () => {
        for await (const chunk of reply.body!) reader.push(chunk);
      })().catch(() => undefined);
      return { seen, stop, reading };
    }),
  );
  await waitFor('three seconds', () => viewers.every(({ seen }) => seen.length > 75));
  const { figures } = host.recorder;
  expect(figures).toMatchObject({ viewers: 10, skippedFrames: 0, files: 0, writtenBytes: 0 });
  for (const { stop, reading, seen } of viewers) {
    stop.abort();
    await reading;
    // To a tick of the clock of the video.
    const known = new Set(published.flatMap((ptsUs) => [-2, -1, 0, 1, 2].map((us) => ptsUs + us)));
    const last = published.at(-1)!;
    expect(seen.filter((us) => us <= last && !known.has(Math.round(us)))).toEqual([]);
  }
  await waitFor('nobody', () => host.recorder.figures.viewers === 0);
}, 60_000);

if (rtspScript.path === null) console.warn(`clips of a camera are not tested: ${rtspScript.reason}`);
it.skipIf(rtspScript.path === null)(
  'a clip of a camera has the frames of the results, to the microsecond',
  async () => {
    const camera = await RtspServer.open(await videos.make('camera.mp4', { frames: 2000, bFrames: 2 }));
    try {
      await open({ source: camera.url, staleMs: 5000 });
      await check(await visit());
    } finally {
      await camera.stop();
    }
  },
  90_000,
);
