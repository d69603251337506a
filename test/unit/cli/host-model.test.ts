import { describe, expect, it } from 'vitest';
import { withModel } from '../../../src/cli/host.ts';
import { checkPipeline } from '../../../src/serve/pipeline/load-pipeline.ts';

describe('host --model', () => {
  const file = checkPipeline(
    { name: 'yard', description: 'The yard.', model: { name: 'centernet', scoreThreshold: 0.4 } },
    'yard.yaml',
  );

  it('makes another pipeline of another detector, with all other settings of the file', () => {
    const { name, model, ...others } = withModel(file, '/models/best.v2.onnx');
    expect([name, model]).toEqual(['yard-best.v2', { ...file.model, name: '/models/best.v2.onnx' }]);
    expect({ ...file, name, model }).toEqual({ name, model, ...others });
  });

  it('is the pipeline of the file for its own detector', () => {
    expect(withModel(file, 'centernet')).toBe(file);
  });

  it('refuses an empty name', () => {
    expect(() => withModel(file, '')).toThrow(/--model: name/);
  });
});
