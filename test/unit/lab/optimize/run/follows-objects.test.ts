import { expect, it } from 'vitest';
import { followsObjects } from '../../../../../src/lab/optimize/run/subject.ts';
import { parsePipeline } from '../../../../../src/serve/pipeline/load-pipeline.ts';

const LINE = '{ id: gate, from: [0, 0.5], to: [1, 0.5] }';
const ZONE = '{ id: yard, polygon: [[0, 0], [1, 0], [1, 1]] }';

/** @param more - settings of its second stream. */
function follows(more: string, rest = '', name = 'cameras.yaml'): boolean {
  const text = `name: test\ndescription: Made up.\nstreams: [{ id: a, source: a.mp4 }, { id: b, source: b.mp4${more} }]\n${rest}`;
  return followsObjects({ name, pipeline: parsePipeline(text, name) });
}

it.each([
  ['nothing', ''],
  ['zones, which count boxes', `, zones: [${ZONE}]`],
  ['rules on the number of objects', `, zones: [${ZONE}], events: [{ id: full, kind: count, zone: yard, above: 3 }]`],
])('ids are used by nobody where a pipeline has %s', (_, more) => {
  expect(follows(more)).toBe(false);
});

it.each([
  ['tracks', ', track: true'],
  ['lines', `, lines: [${LINE}]`],
  ['rules that follow objects', ', events: [{ id: comes, kind: appears }]'],
])('ids are used where one of several streams has %s', (_, more) => {
  expect(follows(more)).toBe(true);
});

it('ids are used by second stages, and may be of a bare recording', () => {
  const stages = 'stages: [{ name: plates, model: { name: crnn, engine: fake } }]\n';
  expect(follows('', stages)).toBe(true);
  expect(follows('', '', 'clip.mp4')).toBe(true);
});
