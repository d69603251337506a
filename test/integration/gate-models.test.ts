import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CollectedResults,
  type CollectOptions,
  collectOnImages,
  collectOnVideo,
} from '../../src/lab/optimize/gate/collect-results.ts';
import type { GateVerdict } from '../../src/lab/optimize/gate/gate-verdict.ts';
import { judge } from '../../src/lab/optimize/gate/judge.ts';
import { elementCount, f32Tensor } from '../../src/network/compile/graph.ts';
import { emitOnnx } from '../../src/network/compile/onnx/emit-onnx.ts';
import { importOnnx } from '../../src/network/compile/onnx/import-onnx.ts';
import { scoreDetections } from '../../src/network/evaluate/average-precision.ts';
import type { CocoAnnotations } from '../../src/network/evaluate/coco-dataset.ts';
import { readAnnotations } from '../../src/network/evaluate/coco-files.ts';
import { cocoResultsOf, type RecordedResults } from '../../src/network/evaluate/recorded-results.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import { asleepFrom, mapDetections, shiftedBy } from '../support/gate-scenes.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { modelPlaces } from '../support/model-places.ts';
import { sharedDir } from '../support/shared.ts';

if (sharedDir === null) console.warn('SKIPPED: the gate on real models needs the shared folder');

const MODEL = 'yolox-nano';
const MANIFEST = 'models/yolox/yolox-nano.yaml';
const WEIGHTS = 'yolox_nano_416.onnx';
/** A hundred pictures take some three seconds on two idle cores. */
const RUN_MS = 200_000;
/** A constant of fewer numbers is no matrix of weights. */
const FEWEST_WEIGHTS = 256;
/** Four bits find nothing any more; eight still find a third of the AP. */
const BAD_BITS = [4, 8];
const LEFT_HALF = [
  [0, 0],
  [0.5, 0],
  [0.5, 1],
  [0, 1],
];

describe.skipIf(sharedDir === null)('the gate on real models (needs the shared folder)', () => {
  const shared = sharedDir ?? '.';
  const folder = mkdtempSync(join(tmpdir(), 'sightline-gate-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const images = join(shared, 'coco-val-100', 'images');
  let annotations: CocoAnnotations;
  let reference: CollectedResults;

  function options(model: string, precision = 'f32'): CollectOptions {
    const pipeline = parsePipeline(
      JSON.stringify({
        name: 'gate',
        description: 'A candidate.',
        model: { name: model, engine: 'onnx', precision },
      }),
      'test',
    );
    const environment = {
      ffmpegPath: testFfmpeg.path,
      searchPath: '',
      token: undefined,
      modelPath: [folder, ...modelPlaces.modelPath],
      cacheDir: modelPlaces.cacheDir,
    };
    return { ...pipeline, environment, onNotice: () => undefined };
  }

  function onImages(model: string, precision?: string, set = annotations): Promise<CollectedResults> {
    const paths = set.images.map(({ fileName }) => join(images, fileName));
    return collectOnImages(options(model, precision), { paths, resizeBy: 'sharp', label: images });
  }

  async function judged(candidate: RecordedResults): Promise<GateVerdict> {
    const verdict = await judge(reference, candidate, { kind: 'labels', annotations }, { maxLoss: 0.02 });
    console.log(`${verdict.verdict}: ${verdict.reason}`);
    return verdict;
  }

  /** Writes a manifest that differs from the model's own. */
  function variant(name: string, change: (yaml: string) => string): string {
    const yaml = readFileSync(MANIFEST, 'utf8').replace(`name: ${MODEL}`, `name: ${name}`);
    const path = join(folder, `${name}.yaml`);
    writeFileSync(path, change(yaml));
    return path;
  }

  beforeAll(async () => {
    annotations = await readAnnotations(join(shared, 'coco-val-100', 'instances.json'));
    reference = await onImages(MODEL);
  }, RUN_MS);

  it('collects what eval scores: the AP of the model card', () => {
    const { AP } = scoreDetections(annotations, cocoResultsOf(reference, annotations));
    expect(reference.frames).toHaveLength(100);
    expect(AP).toBeCloseTo(0.3376, 2);
  });

  it(
    'passes the same network in f16',
    async () => {
      const candidate = await onImages(MODEL, 'f16');
      expect(candidate.precision).toBe('f16');
      expect(await judged(candidate)).toMatchObject({ verdict: 'passed' });
    },
    RUN_MS,
  );

  it(
    'refuses the same network with swapped colours',
    async () => {
      const path = variant('nano-swapped', (yaml) => yaml.replace('colours: bgr', 'colours: rgb'));
      expect(await judged(await onImages(path))).toMatchObject({ verdict: 'refused' });
    },
    RUN_MS,
  );

  it.each(BAD_BITS)(
    'refuses the same network quantised badly: weights of %i bits, one scale for each tensor',
    async (bits) => {
      const name = `nano-${bits}-bits`;
      const file = `${name}.onnx`;
      const bytes = withCoarseWeights(readFileSync(join(shared, 'models', WEIGHTS)), bits);
      writeFileSync(join(folder, file), bytes);
      const path = variant(name, (yaml) =>
        yaml
          .replace(WEIGHTS, file)
          .replace(/sha256: \w+/, `sha256: ${createHash('sha256').update(bytes).digest('hex')}`),
      );
      expect(await judged(await onImages(path))).toMatchObject({ verdict: 'refused' });
    },
    RUN_MS,
  );

  it('refuses the result of the first picture for all others', async () => {
    expect(await judged(asleepFrom(reference, 0))).toMatchObject({ verdict: 'refused' });
  });

  it('refuses boxes that are shifted by a tenth of their size', async () => {
    const shifted = mapDetections(reference, (found) => ({ ...found, box: shiftedBy(found.box, 0.1, 0.1) }));
    expect(await judged(shifted)).toMatchObject({ verdict: 'refused' });
  });

  it('refuses a model that never reports a person', async () => {
    const blind = mapDetections(reference, (found) => (found.label === 'person' ? null : found));
    const verdict = await judged(blind);
    expect(verdict).toMatchObject({ verdict: 'refused', reason: expect.stringContaining('person is never found') });
  });

  it('does not decide on ten pictures', async () => {
    const few = { ...annotations, images: annotations.images.slice(0, 10) };
    const ids = new Set(few.images.map(({ id }) => id));
    const labelled = { ...few, annotations: few.annotations.filter(({ imageId }) => ids.has(imageId)) };
    const first = { ...reference, frames: reference.frames.filter(({ frame }) => frame < 10) };
    const verdict = await judge(first, first, { kind: 'labels', annotations: labelled }, { maxLoss: 0.02 });
    expect(verdict).toMatchObject({ verdict: 'inconclusive', picturesThatWouldDecide: 30 });
  });

  describe('on a clip', () => {
    const stream = parseStream(
      {
        id: 'clip',
        source: join(shared, 'videos', 'bikes.mp4'),
        lines: [{ id: 'road', from: [0.5, 0], to: [0.5, 1], anchor: 'center' }],
        zones: [{ id: 'left', polygon: LEFT_HALF }],
      },
      {},
    );
    let clip: CollectedResults;

    async function judgedOnClip(candidate: RecordedResults): Promise<GateVerdict> {
      const verdict = await judge(clip, candidate, { kind: 'video', counters: stream }, { maxLoss: 0.02 });
      console.log(`${verdict.verdict}: ${verdict.reason}`);
      return verdict;
    }

    beforeAll(async () => {
      clip = await collectOnVideo(options(MODEL), stream);
    }, RUN_MS);

    it('collects each frame once, with tracks, and boxes down to half the threshold', () => {
      expect(clip.frames.map(({ frame }) => frame)).toEqual(Array.from({ length: 250 }, (_, i) => i));
      const detections = clip.frames.flatMap((frame) => frame.detections);
      expect(clip.scoreThreshold).toBe(0.3);
      expect(Math.min(...detections.map(({ score }) => score))).toBeLessThan(0.2);
      expect(Math.min(...detections.map(({ score }) => score))).toBeGreaterThanOrEqual(0.15);
      expect(detections.some(({ trackId }) => trackId !== undefined)).toBe(true);
    });

    it(
      'passes the same network in f16',
      async () => {
        const verdict = await judgedOnClip(await collectOnVideo(options(MODEL, 'f16'), stream));
        expect(verdict).toMatchObject({ verdict: 'passed', video: { framesShared: 250 } });
      },
      RUN_MS,
    );

    it(
      'refuses the same network with swapped colours',
      async () => {
        const path = variant('nano-swapped-clip', (yaml) => yaml.replace('colours: bgr', 'colours: rgb'));
        expect(await judgedOnClip(await collectOnVideo(options(path), stream))).toMatchObject({ verdict: 'refused' });
      },
      RUN_MS,
    );

    it(
      'judges tracking between inferences by what is published for the frames in between',
      async () => {
        const candidate = await collectOnVideo(options(MODEL), {
          ...stream,
          skip: { ...stream.skip, trackBetween: 5 },
        });
        const origins = candidate.frames.map(({ by }) => by);
        expect(origins.filter((by) => by === 'inferred').length).toBeLessThan(70);
        const verdict = await judgedOnClip(candidate);
        expect(verdict.video).toMatchObject({ framesShared: 250 });
        // On the inferred frames alone nothing but the age of the tracks differs: the loss lies in between.
        const inferred = { ...candidate, frames: candidate.frames.filter(({ by }) => by === 'inferred') };
        const ofInferred = await judge(clip, inferred, { kind: 'video' }, { maxLoss: 0.02 });
        expect(verdict.loss).toBeGreaterThan(ofInferred.loss);
      },
      RUN_MS,
    );

    it('refuses a change gate that sleeps from the first frame on, and counts its stale boxes', async () => {
      const verdict = await judgedOnClip(asleepFrom(clip, 0));
      expect(verdict.verdict).toBe('refused');
      expect(verdict.video!.tracks.staleBoxes).toBeGreaterThan(100);
    });

    it('refuses boxes that are shifted by a tenth of their size', async () => {
      const shifted = mapDetections(clip, (found) => ({ ...found, box: shiftedBy(found.box, 0.1, 0.1) }));
      expect(await judgedOnClip(shifted)).toMatchObject({ verdict: 'refused' });
    });
  });
});

/** Rounds all weights of a network to whole numbers of so many bits, with one scale for each tensor. */
function withCoarseWeights(bytes: Uint8Array, bits: number): Uint8Array {
  const graph = importOnnx(bytes, 'the network');
  const constants = [...graph.constants].map(([name, tensor]) => {
    if (tensor.type !== 'f32' || elementCount(tensor.dims) < FEWEST_WEIGHTS) return [name, tensor] as const;
    const { buffer, byteOffset, byteLength } = Uint8Array.from(tensor.bytes);
    const values = new Float32Array(buffer, byteOffset, byteLength / 4);
    const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / (2 ** (bits - 1) - 1);
    return [
      name,
      f32Tensor(
        tensor.dims,
        values.map((value) => Math.round(value / scale) * scale),
      ),
    ] as const;
  });
  return emitOnnx({ ...graph, constants: new Map(constants) });
}
