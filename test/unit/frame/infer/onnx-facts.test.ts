import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readOnnxFacts } from '../../../../src/frame/infer/onnx-facts.ts';
import { tinyModel } from '../../../conformance/engine-cases.ts';
import { quantisedModel } from '../../../support/quantised-model.ts';

describe('readOnnxFacts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-facts-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('returns the outputs of the graph, not those of its nodes', () => {
    expect(readOnnxFacts(tinyModel().path)).toEqual({ outputs: ['mean'], isQuantised: false });
  });

  it('recognises a quantised network by its operators', () => {
    expect(readOnnxFacts(quantisedModel().path)).toEqual({ outputs: ['mean'], isQuantised: true });
  });

  it.each([
    ['text', Buffer.from('{"name": "sightline"}')],
    ['a field longer than the file', Buffer.from([0x3a, 0x7f, 0x0a])],
    ['a number that does not end', Buffer.from([0x3a, 0xff])],
  ])('rejects %s', (_, bytes) => {
    const path = join(folder, 'odd.onnx');
    writeFileSync(path, bytes);
    expect(() => readOnnxFacts(path)).toThrow(RangeError);
  });
});
