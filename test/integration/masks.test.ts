import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../src/base/core/model.ts';
import { Lane } from '../../src/frame/runtime/lane/lane.ts';
import type { LaneClient } from '../../src/frame/runtime/lane/lane-client.ts';
import { sharedFrames } from '../../src/frame/runtime/stream/arrangement.ts';
import { laneStream } from '../../src/frame/runtime/stream/lane-stream.ts';
import { planRing } from '../../src/frame/runtime/stream/ring-plan.ts';
import { resolveStreamInput } from '../../src/frame/runtime/stream/stream-input.ts';
import { StreamPlace } from '../../src/frame/runtime/stream/stream-place.ts';
import { StreamRing } from '../../src/frame/runtime/stream/stream-ring.ts';
import { startGateway } from '../../src/serve/gateway/server.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { FromLane } from '../../src/wire/protocol/threads.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-masks-'));
afterAll(() => rmSync(folder, { recursive: true }));

const POLYGON = [
  [0.2, 0.1],
  [0.8, 0.3],
  [0.3, 0.9],
] as const;
const FRAMES = 3;

/** An expression of ffmpeg that is true inside the polygon. Its corners go round clockwise. */
const INSIDE = POLYGON.map(([x, y], i) => {
  const [toX, toY] = POLYGON[(i + 1) % 3]!;
  return `gte((${toX - x})*(Y/H-${y})-(${toY - y})*(X/W-${x})\\,0)`;
}).join('*');

async function run(...args: string[]): Promise<void> {
  await promisify(execFile)(testFfmpeg.path, ['-hide_banner', '-loglevel', 'error', '-nostdin', '-y', ...args]);
}

/** A lossless video with noise inside the polygon, which differs by seed; everything else is the same. */
async function secretVideo(seed: number, size: string, sar = '1', rotation = 0): Promise<string> {
  const path = join(folder, `${seed}-${size}-${sar.replace('/', '_')}-${rotation}.mp4`);
  const noise = (channel: string): string =>
    `${channel}='if(${INSIDE}\\,mod((X*7+Y*13+N*5)*${seed}\\,256)\\,${channel}(X\\,Y))'`;
  const filters = `format=gbrp,geq=${['r', 'g', 'b'].map(noise).join(':')},format=yuv444p,setsar=${sar}`;
  const source = `testsrc2=size=${size}:rate=10,trim=end_frame=${FRAMES}`;
  const plain = rotation === 0 ? path : `${path}.plain.mp4`;
  await run('-f', 'lavfi', '-i', source, '-vf', filters, '-c:v', 'libx264', '-preset', 'ultrafast', '-qp', '0', plain);
  if (rotation !== 0) await run('-i', plain, '-c', 'copy', '-metadata:s:v', `rotate=${rotation}`, path);
  return path;
}

function specOf(resize: ModelSpec['input']['resize']): ModelSpec {
  return {
    name: 'm',
    family: 'yolox',
    classes: ['person'],
    nmsIou: null,
    scoreThreshold: 0.5,
    maxDetections: 10,
    classesPerBox: 'best',
    input: { width: 96, height: 64, resize },
  };
}

interface Pixels {
  /** Inputs and full pictures. */
  readonly slots: readonly Buffer[];
  /** Of the last frame. */
  readonly preview: Buffer;
}

/** Returns all that a lane writes into the slots of a stream, and its pictures for those who watch. */
async function pixelsOf(source: string, settings: object, spec: ModelSpec, isWhole: boolean): Promise<Pixels> {
  const config = parseStream({ id: 's', source, signs: [], ...settings }, {});
  const need = isWhole ? { maxWidth: 200 } : null;
  const input = await resolveStreamInput(config, testFfmpeg, need, spec);
  const demand = { spec, inferenceCalls: 4, inferenceInputs: 4, handOverInputs: 4, hashesInput: false };
  const ring = new StreamRing(planRing(config, input, demand).shape, {} as LaneClient, 1, () => undefined);
  const shared = sharedFrames({ config, instance: 'default', beside: null }, () => spec);
  const messages: FromLane[] = [];
  const lane = new Lane((message) => void messages.push(message));
  const preview = { maxWidth: 200, fps: 1e6, quality: 100 };
  lane.handle({
    type: 'open',
    stream: laneStream(config, input, { ffmpeg: testFfmpeg, preview }, demand, ring, new StreamPlace(), shared),
  });
  lane.handle({ type: 'watch', ringId: ring.ringId, isWatched: true });
  await waitFor('the end', () => messages.some(({ type }) => type === 'ended' || type === 'failed'));
  expect(messages.filter(({ type }) => type === 'failed')).toEqual([]);
  const slots: Buffer[] = [];
  for (let slot = ring.slots.take(); slot >= 0; slot = ring.slots.take())
    slots.push(Buffer.from(ring.slots.input(slot)), Buffer.from(ring.slots.picture(slot)));
  expect(slots).toHaveLength(2 * FRAMES);
  const last = (): Uint8Array | undefined =>
    messages.flatMap((message) =>
      message.type === 'preview' && message.isFrame && message.frame === FRAMES - 1 ? [message.jpeg] : [],
    )[0];
  await waitFor('the last preview', () => last() !== undefined);
  await lane.shutdown();
  return { slots, preview: Buffer.from(last()!) };
}

const LETTERBOX = { mode: 'letterbox', anchor: 'center', padValue: 114 } as const;
const CASES = [
  ['ffmpeg resizes', '320x180', LETTERBOX, {}],
  ['odd size, top left', '321x181', { mode: 'letterbox', anchor: 'top-left', padValue: 0, rounding: 'floor' }, {}],
  ['pixels that are not square', '240x180', LETTERBOX, { sar: '4/3' }],
  ['rotated', '320x180', LETTERBOX, { rotation: 90 }],
  ['enlarged', '40x24', { mode: 'stretch' }, {}],
  ['only the middle is decoded', '320x180', { mode: 'crop', share: 0.875 }, {}],
  ['a region', '320x180', LETTERBOX, { region: { x: 0.37, y: 0.11, width: 0.51, height: 0.63 } }],
  ['tiles', '320x180', LETTERBOX, { tiles: { columns: 2, rows: 2 } }],
  ['tiles of a rotated picture', '320x180', LETTERBOX, { rotation: 90, tiles: { columns: 3, rows: 1 } }],
  ['sharp resizes', '320x180', LETTERBOX, { resizeBy: 'sharp' }],
  ['sharp resizes tiles of an odd size', '321x181', LETTERBOX, { resizeBy: 'sharp', tiles: { columns: 2, rows: 1 } }],
  ['second stages need the picture', '320x180', LETTERBOX, { isWhole: true, tiles: { columns: 2, rows: 1 } }],
] as const;

describe('of what is masked, nothing is in any picture', () => {
  it.each(CASES)(
    '%s',
    async (_name, size, resize, more) => {
      const {
        sar,
        rotation,
        isWhole = false,
        ...settings
      } = more as { sar?: string; rotation?: number; isWhole?: boolean };
      const videos = await Promise.all([1, 91].map((seed) => secretVideo(seed, size, sar, rotation)));
      const spec = specOf(resize);
      // Rotated by 90 degrees, the corner [x, y] is at [y, 1 - x] or [1 - y, x]: both are masked.
      const turned = [POLYGON.map(([x, y]) => [1 - y, x]), POLYGON.map(([x, y]) => [y, 1 - x])];
      const polygons = rotation === undefined ? [POLYGON] : turned;
      const read = async (masks: object[]): Promise<[Pixels, Pixels]> => {
        const [a, b] = await Promise.all(videos.map((video) => pixelsOf(video, { ...settings, masks }, spec, isWhole)));
        return [a!, b!];
      };
      const [a, b] = await read([]);
      expect(
        a.slots.some((pixels, i) => !pixels.equals(b.slots[i]!)),
        'without a mask they differ',
      ).toBe(true);
      expect(a.preview.equals(b.preview)).toBe(false);
      const [c, d] = await read(polygons.map((polygon, i) => ({ id: `m${i}`, polygon })));
      for (const [i, pixels] of c.slots.entries()) expect(pixels.equals(d.slots[i]!), `slot ${i}`).toBe(true);
      expect(c.preview.equals(d.preview), 'preview').toBe(true);
      // The rest is still there.
      expect(new Set(c.slots[0]).size).toBeGreaterThan(50);
    },
    60_000,
  );
});

describe('masks of a stream that runs', () => {
  it('change between two pictures: not one is without a mask, and the source stays open', async () => {
    const left = [
      [0.1, 0.1],
      [0.6, 0.1],
      [0.6, 0.9],
      [0.1, 0.9],
    ];
    const right = left.map(([x, y]) => [1 - x!, y]);
    const file = {
      name: 'masked',
      description: 'Masks.',
      lanes: 1,
      model: { engine: 'fake', inputSize: '320x192', threads: 1 },
      preview: { fps: 30 },
      streams: [{ id: 'cam', source: 'synthetic:color=color=white:size=320x180:rate=30', realtime: true }],
    };
    const host = await PipelineHost.open(parsePipeline(JSON.stringify(file), 'test'), {
      environment: { ffmpegPath: testFfmpeg.path, searchPath: '', modelPath: [], cacheDir: folder, token: undefined },
      stdout: process.stdout,
      onNotice: () => undefined,
      admit: () => Promise.resolve(),
    });
    const gateway = await startGateway(host, { port: 0 });
    const patch = async (settings: object): Promise<Response> =>
      fetch(`${gateway.url}/api/streams/cam`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(settings),
      });
    const pictures: Uint8Array[] = [];
    try {
      await host.start();
      host.watchPreviews(new Set(['cam']));
      host.onPreview(({ jpeg }) => void pictures.push(jpeg));
      await waitFor('a picture', () => pictures.length > 0);
      const { reconnects } = host.report().streams[0]!;
      expect((await patch({ masks: [{ id: 'left', polygon: left }] })).status).toBe(200);
      pictures.length = 0;
      for (let i = 0; i < 12; i += 1) {
        const { length } = pictures;
        const polygon = i % 2 === 0 ? right : left;
        expect((await patch({ masks: [{ id: `m${i}`, polygon, fill: 'black' }] })).status).toBe(200);
        await waitFor('pictures', () => pictures.length > length + 1);
      }
      for (const jpeg of pictures) {
        const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
        // Both masks cover the middle.
        const middle = (Math.floor(info.height / 2) * info.width + Math.floor(info.width / 2)) * 3;
        expect(data[middle]).toBeLessThan(20);
        expect(data[(Math.floor(info.height / 2) * info.width + 2) * 3]).toBeGreaterThan(200);
      }
      expect(host.report().streams[0]).toMatchObject({ reconnects, state: 'running' });
      const refused = await patch({ record: 'continuous' });
      expect([refused.status, await refused.text()]).toEqual([
        400,
        expect.stringContaining('record: expected no recording of a stream with masks'),
      ]);
    } finally {
      await gateway.close();
      await host.stop();
    }
  }, 60_000);
});
