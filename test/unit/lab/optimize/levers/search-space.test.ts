import { describe, expect, it } from 'vitest';
import { inputShapes, pixelsOf } from '../../../../../src/lab/optimize/levers/input-shapes.ts';
import { LEVER_IDS, LEVERS, type LeverOptions } from '../../../../../src/lab/optimize/levers/levers.ts';
import { openSpace, withLever } from '../../../../../src/lab/optimize/levers/search-space.ts';
import type { Configuration } from '../../../../../src/lab/optimize/result.ts';
import { BASELINE as PLAIN } from '../../../../support/sample-steps.ts';

const BASELINE: Configuration = {
  ...PLAIN,
  maxDelayMs: 5,
};
const OPTIONS: LeverOptions = {
  baseline: BASELINE,
  formats: [
    { engine: 'onnx', precision: 'f32' },
    { engine: 'openvino', precision: 'bf16' },
  ],
  cores: 6,
  models: [
    { name: 'centernet', inputSize: '512x512', anySize: true, reportedAp: 0.33 },
    { name: 'picodet-s', inputSize: '416x416', anySize: false, reportedAp: 0.376, mostBatch: 1 },
    {
      name: 'dense',
      inputSize: '640x640',
      anySize: false,
      reportedAp: null,
      refusedEngines: ['openvino'],
      extraFormats: [{ engine: 'onnx', precision: 'int8' }],
    },
  ],
  streamAspect: 16 / 9,
  streams: 1,
  isOnGpu: false,
  hwaccels: [],
  needsFullPictures: false,
  mayJudgeVideo: false,
  decodes: ['all'],
};

describe('input shapes', () => {
  it('start with the published one, have sides in multiples of 32, and include smaller and larger ones', () => {
    const shapes = inputShapes('416x416', 16 / 9);
    expect(shapes[0]).toBe('416x416');
    for (const shape of shapes) expect(shape.split('x').map((side) => Number(side) % 32)).toEqual([0, 0]);
    expect(Math.min(...shapes.map(pixelsOf))).toBeLessThan(416 * 416);
    expect(Math.max(...shapes.map(pixelsOf))).toBeGreaterThan(416 * 416);
  });

  it('have the aspect of the stream: 480x256 for 16:9, 256x480 for the same camera on its side', () => {
    expect(inputShapes('416x416', 16 / 9)).toContain('480x256');
    expect(inputShapes('416x416', 9 / 16)).toContain('256x480');
  });

  it('are squares only if the aspect is unknown or nearly square', () => {
    for (const aspect of [null, 1.05])
      for (const shape of inputShapes('512x512', aspect)) expect(new Set(shape.split('x')).size).toBe(1);
  });
});

describe('the search space', () => {
  it('describes every lever in a sentence', () => {
    for (const id of LEVER_IDS) {
      expect(LEVERS[id].does).toMatch(/^[A-Z].+\.$/);
      expect(LEVERS[id].risk).toMatch(/^[A-Za-z].+\.$/);
    }
  });

  it('has the formats of the machine for each model, int8 only where a file exists, and no refused engine', () => {
    const formats = (model: string): string[] => [
      ...new Set(
        openSpace(OPTIONS)
          .parts.filter((part) => part.model === model)
          .map(({ engine, precision }) => `${engine} ${precision}`),
      ),
    ];
    expect(formats('centernet')).toEqual(['onnx f32', 'openvino bf16']);
    expect(formats('dense')).toEqual(['onnx f32', 'onnx int8']);
  });

  it('never offers a format that an engine lacks', () => {
    const space = openSpace(OPTIONS);
    expect(space.valuesOf('precision', BASELINE)).toEqual([]);
    expect(space.valuesOf('precision', { ...BASELINE, engine: 'openvino', precision: 'bf16' })).toEqual([]);
  });

  it('offers thread counts up to the cores, doubled each time', () => {
    expect(openSpace(OPTIONS).valuesOf('inferenceThreads', BASELINE)).toEqual([2, 4, 6]);
  });

  it('offers skipped work only if it can be judged on video, ffmpeg only if nothing needs full pictures', () => {
    const space = openSpace(OPTIONS);
    expect(space.valuesOf('trackBetween', BASELINE)).toEqual([]);
    expect(space.valuesOf('resizeBy', BASELINE)).toEqual(['ffmpeg']);
    const other = openSpace({ ...OPTIONS, mayJudgeVideo: true, needsFullPictures: true, hwaccels: ['vaapi'] });
    expect(other.valuesOf('trackBetween', BASELINE)).toEqual([2, 3, 5]);
    expect(other.valuesOf('skipUnchanged', BASELINE)).toEqual([true]);
    expect(other.valuesOf('decode', BASELINE)).toEqual([]);
    const decodes = ['all', 'reference', 'key'] as const;
    expect(openSpace({ ...OPTIONS, decodes }).valuesOf('decode', BASELINE)).toEqual([]);
    expect(openSpace({ ...OPTIONS, decodes, mayJudgeVideo: true }).valuesOf('decode', BASELINE)).toEqual([
      ...['reference', 'key'],
    ]);
    expect(other.valuesOf('resizeBy', BASELINE)).toEqual([]);
    expect(other.valuesOf('hwaccel', BASELINE)).toEqual(['vaapi']);
  });

  it('changes nothing but the levers that were asked for', () => {
    const space = openSpace({ ...OPTIONS, levers: ['maxBatch'] });
    expect(space.parts).toEqual([{ model: 'centernet', engine: 'onnx', precision: 'f32', inputSize: '512x512' }]);
    expect(space.valuesOf('inferenceThreads', BASELINE)).toEqual([]);
    expect(space.valuesOf('maxBatch', BASELINE)).toEqual([4, 8]);
  });

  it('another model brings its published input and its fixed batch', () => {
    const next = withLever(openSpace(OPTIONS), { ...BASELINE, maxBatch: 8 }, 'model', 'picodet-s');
    expect(next).toEqual({ ...BASELINE, model: 'picodet-s', inputSize: '416x416', maxBatch: 1 });
    expect(openSpace(OPTIONS).valuesOf('maxBatch', next)).toEqual([]);
  });

  it('tensorflow has one inference thread', () => {
    const formats = [...OPTIONS.formats, { engine: 'tensorflow', precision: 'f32' } as const];
    const space = openSpace({ ...OPTIONS, formats });
    const next = withLever(space, { ...BASELINE, inferenceThreads: 4 }, 'engine', 'tensorflow');
    expect(next.inferenceThreads).toBe(1);
    expect(space.valuesOf('inferenceThreads', next)).toEqual([]);
  });
});
