import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelSpec } from '../../src/base/core/model.ts';
import { SlotRing } from '../../src/base/flow/slot-ring.ts';
import { type View, viewsOf } from '../../src/base/geometry/views.ts';
import { type InferenceEngine, ROWS_OUTPUT } from '../../src/frame/infer/inference-engine.ts';
import { BatchRunner } from '../../src/frame/runtime/inference/batch-runner.ts';
import { TINY_SPEC } from '../support/fake-engine.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { runFfmpeg } from '../support/read-video.ts';
import { sharedDir } from '../support/shared.ts';
import { type Box, boxVideo, readViews } from '../support/view-rig.ts';
import { waitFor, within } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-view-detections-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Finds the box around everything bright. */
class LightDetector {
  readonly #memory: Uint8Array;
  readonly #bytes: number;
  readonly #width: number;

  constructor({ width, height }: { width: number; height: number }) {
    this.#width = width;
    this.#bytes = width * height * 3;
    this.#memory = new Uint8Array(this.#bytes);
  }

  inputBuffer(): Uint8Array {
    return this.#memory;
  }

  async infer(): Promise<unknown> {
    const lit = Array.from({ length: this.#bytes / 3 }, (_, at) => at).filter((at) => this.#memory[at * 3]! > 128);
    const [xs, ys] = [lit.map((at) => at % this.#width), lit.map((at) => Math.floor(at / this.#width))];
    const [x, y] = [Math.min(...xs), Math.min(...ys)];
    const row = [x, y, Math.max(...xs) + 1 - x, Math.max(...ys) + 1 - y, 0.9, 0];
    return new Map([[ROWS_OUTPUT, { data: Float32Array.from(lit.length === 0 ? [] : row), dims: [1, 1, 6] }]]);
  }
}

/** Detects light in the first frame of a video. @returns boxes in source pixels. */
async function detectLight(
  path: string,
  views: readonly View[],
  size: { width: number; height: number },
): Promise<number[][]> {
  const input = { ...size, resize: { mode: 'letterbox', anchor: 'center', padValue: 0 } } as const;
  const [frame] = await readViews(path, { ffmpeg: testFfmpeg, views, input });
  const inputBytes = size.width * size.height * 3;
  const ring = SlotRing.create({ slots: 1, inputBytes, views: views.length, pictureBytes: 0 });
  ring.writeMeta(0, frame!.meta);
  for (const [view, place] of frame!.inputs.entries()) {
    ring.writeView(0, view, place);
    ring.input(0, view).set(place.pixels);
  }
  const spec = { ...TINY_SPEC, input, maxDetections: 10 } as ModelSpec;
  const runner = new BatchRunner(new LightDetector(size) as unknown as InferenceEngine, spec, () => []);
  runner.attach({ ringId: 1, buffer: ring.buffer, shape: ring.shape });
  const batch = { type: 'batch', batchId: 1, ringIds: [1], slots: [0], callSize: 1, scoreThreshold: 0 } as const;
  const { rows, lengths } = await runner.run(batch);
  return Array.from({ length: lengths[0]! / 6 }, (_, i) => Array.from(rows.subarray(i * 6, i * 6 + 4)));
}

describe('detections', () => {
  const INPUT = { width: 64, height: 36 };
  const WHOLE: View = { left: 0, top: 0, right: 1, bottom: 1 };

  it('of a region equal those of the whole picture at the same scale', async () => {
    const path = await boxVideo(join(folder, 'same-scale.mp4'), '640x360', { x: 300, y: 150, width: 60, height: 40 });
    const region = viewsOf({ region: { x: 0.25, y: 0.25, width: 0.5, height: 0.5 } })!;
    const [whole] = await detectLight(path, [WHOLE], { width: 128, height: 72 });
    const [part] = await detectLight(path, region, INPUT);
    // A pixel of both inputs is five pixels of the source.
    for (const i of [0, 1, 2, 3]) expect(Math.abs(part![i]! - whole![i]!)).toBeLessThanOrEqual(5);
    expect(Math.abs(part![0]! - 300)).toBeLessThanOrEqual(5);
    expect(Math.abs(part![1]! - 150)).toBeLessThanOrEqual(5);
  });

  it('are clipped at the border of the region, and kept', async () => {
    const path = await boxVideo(join(folder, 'border.mp4'), '640x360', { x: 280, y: 150, width: 120, height: 40 });
    const region = viewsOf({ region: { x: 0, y: 0, width: 0.5, height: 1 } })!;
    const [box, ...more] = await detectLight(path, region, INPUT);
    expect(more).toEqual([]);
    expect(box![0]! + box![2]!).toBe(320);
  });

  it('of a small object are found in a tile, and not in the whole picture', async () => {
    const path = await boxVideo(join(folder, 'small.mp4'), '640x360', { x: 400, y: 200, width: 4, height: 4 });
    expect(await detectLight(path, [WHOLE], INPUT)).toEqual([]);
    const tiles = viewsOf({ tiles: { columns: 4, rows: 4, overlap: 0.2, whole: true } })!;
    const [box, ...more] = await detectLight(path, tiles, INPUT);
    expect(more).toEqual([]);
    expect(Math.abs(box![0]! + box![2]! / 2 - 402)).toBeLessThan(4);
    expect(Math.abs(box![1]! + box![3]! / 2 - 202)).toBeLessThan(4);
  });

  it('of one object in four tiles and in the whole are merged into one', async () => {
    const path = await boxVideo(join(folder, 'centre.mp4'), '640x360', { x: 304, y: 168, width: 32, height: 24 });
    const tiles = viewsOf({ tiles: { columns: 2, rows: 2, overlap: 0.2, whole: true } })!;
    expect(await detectLight(path, tiles, { width: 128, height: 72 })).toHaveLength(1);
  });
});

describe.skipIf(sharedDir === null)('a real detector (needs the shared folder)', () => {
  const clip = (): string => join(sharedDir!, 'videos', 'pedestrians.mp4');

  /** Boxes of the persons in every 60th frame. */
  async function persons(inputSize: string, settings: Readonly<Record<string, unknown>>): Promise<number[][][]> {
    const live = await LiveRuntime.open({
      model: { name: 'yolox-nano', engine: 'onnx', precision: 'f32', inputSize, threads: 1, scoreThreshold: 0.3 },
      places: { modelPath: [join(sharedDir!, 'models')], cacheDir: join(folder, 'cache') },
    });
    const frames: number[][][] = [];
    live.runtime.published.add(({ detections }) =>
      frames.push(detections.filter(({ label }) => label === 'person').map(({ box, score }) => [...box, score])),
    );
    const stream = await live.add({ id: 'a', source: clip(), every: 60, resizeBy: 'ffmpeg', ...settings });
    await within('the end of the clip', 60_000, stream.settled());
    expect(await live.close()).toEqual([]);
    return frames;
  }

  /** Confident boxes that lie inside a rectangle, away from its edges. */
  const inside = (boxes: number[][], { x, y, width, height }: Box, margin: number, minScore: number): number[][] =>
    boxes.filter(
      ([bx, by, bw, bh, score]) =>
        bx! > x + margin &&
        by! > y + margin &&
        bx! + bw! < x + width - margin &&
        by! + bh! < y + height - margin &&
        score! > minScore,
    );

  const iou = ([ax, ay, aw, ah]: number[], [bx, by, bw, bh]: number[]): number => {
    const w = Math.min(ax! + aw!, bx! + bw!) - Math.max(ax!, bx!);
    const h = Math.min(ay! + ah!, by! + bh!) - Math.max(ay!, by!);
    return w <= 0 || h <= 0 ? 0 : (w * h) / (aw! * ah! + bw! * bh! - w * h);
  };

  it('finds in a region what it finds in the whole picture at the same scale, at the same places', async () => {
    // 960x540 in 640x360 and 480x270 in 320x192: two thirds of the source in both.
    const region = { x: 0.25, y: 0.25, width: 0.5, height: 0.5 };
    const whole = await persons('640x384', {});
    const part = await persons('320x192', { region });
    expect(part).toHaveLength(whole.length);
    // Rows 135 to 405, moved outwards to even ones.
    const [x, y] = [240, 134];
    let compared = 0;
    for (const [i, boxes] of whole.entries())
      for (const box of inside(boxes, { x, y, width: 480, height: 272 }, 12, 0.6)) {
        compared += 1;
        expect(Math.max(0, ...part[i]!.map((other) => iou(box, other))), `frame ${i}, ${box}`).toBeGreaterThan(0.6);
      }
    expect(compared, 'boxes that both should have').toBeGreaterThan(3);
    for (const [bx, by, bw, bh] of part.flat()) {
      expect(bx).toBeGreaterThanOrEqual(x);
      expect(by).toBeGreaterThanOrEqual(y);
      expect(bx! + bw!).toBeLessThanOrEqual(x + 480.01);
      expect(by! + bh!).toBeLessThanOrEqual(y + 272.01);
    }
  });

  it('finds more small persons in tiles than in the whole picture', async () => {
    const small = (frames: number[][][]): number => frames.flat().filter(([, , w, h]) => w! * h! < 48 * 48).length;
    const whole = await persons('320x192', {});
    const tiled = await persons('320x192', { tiles: { columns: 3, rows: 2 } });
    expect(small(tiled)).toBeGreaterThan(small(whole));
  });
});

describe('streams with views on a real runtime', () => {
  let video: string;
  beforeAll(async () => {
    video = join(folder, 'halves.mp4');
    const graph = 'color=red:s=160x180:r=25[a];color=lime:s=160x180:r=25[b];[a][b]hstack';
    await runFfmpeg('-f', 'lavfi', '-i', graph, '-frames:v', '30', '-c:v', 'libx264', '-pix_fmt', 'yuv420p', video);
  });

  const model = {
    name: 'centernet',
    engine: 'fake',
    threads: 1,
    inputSize: '160x96',
    fake: { rows: [0, 0, 160, 96, 0.9, 0] },
  };

  it('count model inputs in batches and frames in results, exactly', async () => {
    const live = await LiveRuntime.open({ model, maxBatch: 4 });
    const stream = await live.add({ id: 'tiled', source: video, tiles: { columns: 2, rows: 2 } });
    await within('the end', 20_000, stream.settled());
    expect(live.published('tiled').frames).toHaveLength(30);
    // The report is made once a second: wait for one after the last frame.
    const inputs = (): number =>
      Object.entries(live.runtime.report().host.batch.histogram).reduce((sum, [size, n]) => sum + Number(size) * n, 0);
    await waitFor('a report of all batches', () => inputs() >= 150);
    expect(inputs(), 'five inputs for each of 30 frames').toBe(150);
    expect(await live.close()).toEqual([]);
  });

  it('conserve frames under overload, beside a stream without views', async () => {
    const live = await LiveRuntime.open({ model: { ...model, fake: { frameMs: 8 } }, maxBatch: 4 });
    const source = 'synthetic:testsrc2=size=320x180:rate=50';
    await live.addAll([
      { id: 'tiled', source, policy: 'live', tiles: { columns: 2, rows: 2 } },
      { id: 'region', source, policy: 'live', region: { x: 0.5, y: 0, width: 0.5, height: 1 } },
      { id: 'plain', source, policy: 'live' },
    ]);
    await live.allFlow(['tiled', 'region', 'plain'], 20);
    expect(await live.close(), 'every report and result balanced').toEqual([]);
  });

  it('report boxes of a region in source pixels, and its preview at the place of the region', async () => {
    const live = await LiveRuntime.open({ model });
    const boxes: number[][] = [];
    const jpegs: Uint8Array[] = [];
    live.runtime.published.add(({ detections, width }) => boxes.push([width, ...detections[0]!.box]));
    live.runtime.previews.add(({ jpeg }) => jpegs.push(jpeg));
    live.runtime.watchPreviews(new Set(['zones']));
    const polygon = [
      [0.65, 0.35],
      [0.85, 0.35],
      [0.85, 0.85],
      [0.65, 0.85],
    ];
    const stream = await live.add({ id: 'zones', source: video, region: 'zones', zones: [{ id: 'z', polygon }] });
    await within('the end', 20_000, stream.settled());
    await waitFor('a preview', () => jpegs.length > 0);
    // 0.6 to 0.9 of 320 columns and 0.3 to 0.9 of 180 rows.
    expect(boxes[5]!.map(Math.round)).toEqual([320, 192, 54, 96, 108]);
    const { data, info } = await sharp(jpegs[0]!).raw().toBuffer({ resolveWithObject: true });
    const at = (x: number, y: number): string => {
      const [r, g] = data.subarray((Math.floor(y * info.height) * info.width + Math.floor(x * info.width)) * 3);
      return g! > 150 ? 'green' : r! > 150 ? 'red' : 'dark';
    };
    expect(info.width / info.height).toBeCloseTo(320 / 180, 1);
    expect([at(0.25, 0.6), at(0.55, 0.6), at(0.75, 0.6), at(0.95, 0.6), at(0.75, 0.1)]).toEqual([
      ...['dark', 'dark', 'green', 'dark', 'dark'],
    ]);
    expect(await live.close()).toEqual([]);
  });
});
