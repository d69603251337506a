import { expect, it } from 'vitest';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { withOneDetector } from '../../../../src/serve/pipeline/one-detector.ts';

const FILE = `
name: gate
description: Two detectors.
model: { name: yolox-nano }
models: { night: { name: centernet, scoreThreshold: 0.35 }, spare: { name: yolox-nano } }
defaults: { model: night, maxFps: 5 }
streams:
  - { id: door, source: a.mp4, modelWhen: [{ model: spare, times: { on: ["daily 08:00-09:00"] } }] }
  - { id: yard, source: b.mp4 }
`;

const measured = (name: string) => parsePipeline(withOneDetector(FILE, 'gate.yaml', name), 'gate.yaml');

it('takes one detector as that of the pipeline, and the streams that may use it', () => {
  const night = measured('night');
  expect([night.model.name, night.model.scoreThreshold, night.models]).toEqual(['centernet', 0.35, {}]);
  expect(night.streams.map(({ id, model, modelWhen, maxFps }) => [id, model, modelWhen, maxFps])).toEqual([
    ['door', undefined, [], 5],
    ['yard', undefined, [], 5],
  ]);
  expect(measured('spare').streams.map(({ id }) => id)).toEqual(['door']);
});

it('leaves a file alone whose streams use no other', () => {
  const text = 'name: a\ndescription: b\nstreams: [{ id: c, source: d.mp4 }] # as it is\n';
  expect(withOneDetector(text, 'a.yaml', undefined)).toBe(text);
  expect(withOneDetector(text, 'a.yaml', 'default')).toBe(text);
});

it('asks which one is meant, and names those that streams use', () => {
  const known = /^gate\.yaml: its streams use several detectors: expected --detector with one of night, spare$/;
  expect(() => withOneDetector(FILE, 'gate.yaml', undefined)).toThrow(known);
  expect(() => measured('default')).toThrow(
    /no stream uses the detector "default": expected --detector with one of night, spare/,
  );
  expect(() => measured('fog')).toThrow(/no stream uses the detector "fog"/);
});
