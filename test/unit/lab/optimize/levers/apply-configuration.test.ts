import { describe, expect, it } from 'vitest';
import { apply, applyToText, configurationOf } from '../../../../../src/lab/optimize/levers/apply-configuration.ts';
import { LEVER_IDS, valueText } from '../../../../../src/lab/optimize/levers/levers.ts';
import type { Configuration } from '../../../../../src/lab/optimize/result.ts';
import { parsePipeline } from '../../../../../src/serve/pipeline/load-pipeline.ts';
import { OTHER_VALUES, BASELINE as PLAIN } from '../../../../support/sample-steps.ts';

const TEXT = `# Two doors
name: doors
description: Counts people at two doors.
model: { name: nets/door.onnx, family: yolox, labels: coco, provider: cuda, scoreThreshold: 0.35 } # ours
defaults:
  maxFps: 10
  resizeBy: sharp
streams:
  - id: front
    source: rtsp://camera.example/1
    decodeThreads: 4 # a large picture
  - { id: back, source: rtsp://camera.example/2, priority: 3 }
sinks:
  - { type: jsonl, path: out.jsonl }
`;
const WANTED: Configuration = {
  ...PLAIN,
  model: 'yolox-nano',
  engine: 'openvino',
  precision: 'bf16',
  inputSize: '480x256',
  inferenceThreads: 2,
  lanes: 3,
  decodeThreads: 2,
  maxBatch: 4,
  maxDelayMs: 7,
  resizeBy: 'ffmpeg',
  hwaccel: 'vaapi',
  decode: 'reference',
};
const DEFAULTS: Partial<Configuration> = {
  engine: 'onnx',
  precision: 'f32',
  inputSize: '512x512',
  inferenceThreads: 9,
  lanes: 9,
  resizeBy: 'sharp',
};

describe('a configuration in a pipeline', () => {
  const pipeline = parsePipeline(TEXT, 'doors.yaml');

  it('is read back as it was written', () => {
    expect(configurationOf(apply(pipeline, WANTED), DEFAULTS)).toEqual(WANTED);
  });

  it.each(LEVER_IDS.filter((lever) => lever !== 'stages'))('has another value of each lever: %s', (lever) => {
    const wanted: Configuration = { ...WANTED, [lever]: OTHER_VALUES[lever] };
    expect(valueText(lever, OTHER_VALUES)).not.toBe(valueText(lever, PLAIN));
    expect(configurationOf(apply(pipeline, wanted), DEFAULTS)).toEqual(wanted);
  });

  it('keeps every setting that no lever changes', () => {
    const { streams, sinks, model, name } = apply(pipeline, WANTED);
    expect(name).toBe('doors');
    expect(sinks).toEqual(pipeline.sinks);
    expect(streams.map(({ id, source, maxFps, priority }) => [id, source, maxFps, priority])).toEqual([
      ['front', 'rtsp://camera.example/1', 10, 0],
      ['back', 'rtsp://camera.example/2', 10, 3],
    ]);
    expect(model.scoreThreshold).toBe(0.35);
  });

  it('takes the score threshold that another detector needs', () => {
    const text = applyToText(TEXT, WANTED, 'doors.yaml', 0.42);
    expect(parsePipeline(text, 'doors.yaml').model).toEqual({ ...apply(pipeline, WANTED).model, scoreThreshold: 0.42 });
  });

  it('drops what belongs to the file of the former model, and a provider that the engine lacks', () => {
    const { model } = apply(pipeline, WANTED);
    expect([model.family, model.labels, model.provider]).toEqual([undefined, undefined, 'cpu']);
    const same = apply(pipeline, { ...WANTED, model: 'nets/door.onnx', engine: 'onnx', precision: 'f32' });
    expect([same.model.family, same.model.labels, same.model.provider]).toEqual(['yolox', 'coco', 'cuda']);
  });

  it('does not change the pipeline that it was made from', () => {
    apply(pipeline, WANTED);
    expect(pipeline).toEqual(parsePipeline(TEXT, 'doors.yaml'));
  });

  it('sets no threads for tensorflow, which refuses them', () => {
    const tensorflow = apply(pipeline, { ...WANTED, engine: 'tensorflow', precision: 'f16', inferenceThreads: 1 });
    expect(tensorflow.model.threads).toBeUndefined();
  });

  it('in the text of a file means the same, and comments stay', () => {
    const text = applyToText(TEXT, WANTED, 'doors.yaml');
    expect(parsePipeline(text, 'best.yaml')).toEqual(apply(pipeline, WANTED));
    for (const comment of ['# Two doors', '# ours', '# a large picture']) expect(text).toContain(comment);
  });

  it('is written into a file that has neither model nor defaults', () => {
    const bare = 'name: a\ndescription: A test.\nstreams:\n  - { id: one, source: demo }\n';
    const text = applyToText(bare, WANTED, 'a.yaml');
    expect(configurationOf(parsePipeline(text, 'a.yaml'), DEFAULTS)).toEqual(WANTED);
  });

  it('takes from the machine what the pipeline leaves to it', () => {
    const bare = parsePipeline('name: a\ndescription: A test.\nstreams:\n  - { id: one, source: demo }\n', 'a.yaml');
    expect(configurationOf(bare, DEFAULTS)).toMatchObject({ ...DEFAULTS, model: 'centernet', decodeThreads: 1 });
  });

  it('does not exist for the fake engine', () => {
    const fake = parsePipeline('name: a\ndescription: A test.\nmodel: { engine: fake }\n', 'a.yaml');
    expect(() => configurationOf(fake, DEFAULTS)).toThrow(/model\.engine: expected .*received "fake"/);
  });
});
