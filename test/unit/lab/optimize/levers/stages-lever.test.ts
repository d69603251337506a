import { describe, expect, it } from 'vitest';
import { apply, applyToText, configurationOf } from '../../../../../src/lab/optimize/levers/apply-configuration.ts';
import { pictureKey, qualityKey, valueText } from '../../../../../src/lab/optimize/levers/levers.ts';
import { openSpace } from '../../../../../src/lab/optimize/levers/search-space.ts';
import type { StageChoice } from '../../../../../src/lab/optimize/levers/stages-lever.ts';
import { parsePipeline } from '../../../../../src/serve/pipeline/load-pipeline.ts';

const TEXT = `name: gate
description: Cars at a gate.
stages:
  - { name: vehicle, on: { labels: [car] }, model: { name: nets/my cars.onnx, family: heads }, per: track, again: 2s } # ours
  - { name: plate, model: { name: plates.yaml } }
streams: [{ id: a, source: a.mp4 }]
`;
const PIPELINE = parsePipeline(TEXT, 'gate.yaml');
const BASELINE = configurationOf(PIPELINE, {
  engine: 'onnx',
  precision: 'f32',
  inputSize: '416x416',
  inferenceThreads: 1,
  lanes: 1,
  resizeBy: 'sharp',
});
const SPACE = openSpace({
  baseline: BASELINE,
  formats: [{ engine: 'onnx', precision: 'f32' }],
  cores: 1,
  models: [],
  streamAspect: null,
  streams: 1,
  isOnGpu: false,
  hwaccels: [],
  decodes: ['all'],
  needsFullPictures: true,
  mayJudgeVideo: true,
  stageModels: new Map([['plate', ['other plates.yaml']]]),
});

const VEHICLE: StageChoice = { name: 'vehicle', model: 'nets/my cars.onnx', per: 'track', again: '2s' };
const PLATE: StageChoice = { name: 'plate', model: 'plates.yaml', per: 'track', again: undefined };

describe('the lever of second stages', () => {
  it('is read from the pipeline', () => {
    expect(BASELINE.stages).toEqual([VEHICLE, PLATE]);
    expect(valueText('stages', BASELINE)).toBe('vehicle nets/my cars.onnx track 2s; plate plates.yaml track');
  });

  it('offers each pace of each stage, and other models for the same attributes, one change at a time', () => {
    const values = SPACE.valuesOf('stages', BASELINE);
    expect(values).toContainEqual([{ ...VEHICLE, per: 'bestOfTrack', again: undefined }, PLATE]);
    expect(values).toContainEqual([VEHICLE, { ...PLATE, again: '5s' }]);
    expect(values).toContainEqual([VEHICLE, { ...PLATE, model: 'other plates.yaml' }]);
    // Six paces of each stage but its own, and the model.
    expect(values).toHaveLength(5 + 5 + 1);
  });

  it('is written into the pipeline and its text, which keeps the rest', () => {
    for (const stages of SPACE.valuesOf('stages', BASELINE)) {
      const wanted = { ...BASELINE, stages };
      const applied = apply(PIPELINE, wanted);
      expect(configurationOf(applied, BASELINE)).toEqual(wanted);
      const text = applyToText(TEXT, wanted, 'gate.yaml');
      expect(parsePipeline(text, 'gate.yaml').stages).toEqual(applied.stages);
      expect(text).toContain('# ours');
    }
  });

  it('drops what belongs to the file of the former model', () => {
    const stages = [{ ...VEHICLE, model: 'other.yaml' }, PLATE];
    expect(apply(PIPELINE, { ...BASELINE, stages }).stages[0]!.model).toMatchObject({ name: 'other.yaml' });
    expect(apply(PIPELINE, { ...BASELINE, stages }).stages[0]!.model.family).toBeUndefined();
  });

  it('changes what a user gets, and nothing that is found in a picture', () => {
    const other = { ...BASELINE, stages: SPACE.valuesOf('stages', BASELINE)[0]! };
    expect(qualityKey(other)).not.toBe(qualityKey(BASELINE));
    expect(pictureKey(other)).toBe(pictureKey(BASELINE));
  });

  it('is not offered to a pipeline without second stages', () => {
    const none = { ...BASELINE, stages: [] };
    expect(SPACE.valuesOf('stages', none)).toEqual([]);
  });
});
