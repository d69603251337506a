import { describe, expect, it } from 'vitest';
import { operatorAdvice } from '../../../../src/frame/infer/onnx-engine.ts';

describe('a network that the library cannot load', () => {
  it.each([
    [
      'In Node, ("mid", FancyNms, "", -1) : (…), Error No Op registered for FancyNms with domain_version of 17',
      'FancyNms',
    ],
    ['Fatal error: TRT:EfficientNMS_TRT(-1) is not a registered function/op', 'TRT:EfficientNMS_TRT(-1)'],
  ])('because of an operator gets advice that names it: %s', (said, operator) => {
    expect(operatorAdvice(said)).toMatch(/^\. The operator .* export the network again with standard operators/);
    expect(operatorAdvice(said)).toContain(`operator ${operator} `);
  });

  it('for another reason gets none', () => {
    expect(operatorAdvice('[ShapeInferenceError] Dimension could not be inferred: incompatible shapes')).toBe('');
  });
});
