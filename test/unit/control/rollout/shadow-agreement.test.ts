import { describe, expect, it } from 'vitest';
import { agreementOf } from '../../../../src/control/rollout/shadow-agreement.ts';
import type { Box, Detection } from '../../../../src/core/detection.ts';

const SURE = 0.4;

function found(box: Box, score = 0.9, label = 'person'): Detection {
  return { classId: 0, label, score, box };
}

describe('agreementOf', () => {
  const one = found([0, 0, 100, 100]);

  it('asks for each box on the other side', () => {
    expect(agreementOf([one], [one], SURE)).toEqual({ asked: 2, unmatched: 0 });
    expect(agreementOf([one], [], SURE)).toEqual({ asked: 1, unmatched: 1 });
    expect(agreementOf([], [one], SURE)).toEqual({ asked: 1, unmatched: 1 });
    expect(agreementOf([], [], SURE)).toEqual({ asked: 0, unmatched: 0 });
  });

  it('takes boxes for the same from an IoU of 0.5', () => {
    // 100 x 100 against 100 x 50 inside of it: 5000 / 10000.
    expect(agreementOf([one], [found([0, 0, 100, 50])], SURE).unmatched).toBe(0);
    expect(agreementOf([one], [found([0, 0, 100, 49])], SURE).unmatched).toBe(2);
  });

  it('does not take one class for another', () => {
    expect(agreementOf([one], [found([0, 0, 100, 100], 0.9, 'dog')], SURE).unmatched).toBe(2);
  });

  it('finds each box once: two boxes on one object are one too many', () => {
    expect(agreementOf([one], [one, found([2, 2, 100, 100], 0.8)], SURE)).toEqual({ asked: 3, unmatched: 1 });
  });

  it('does not ask for a weak box, but lets it confirm a sure one', () => {
    const weak = found([0, 0, 100, 100], 0.35);
    expect(agreementOf([weak], [], SURE)).toEqual({ asked: 0, unmatched: 0 });
    expect(agreementOf([one], [weak], SURE)).toEqual({ asked: 1, unmatched: 0 });
  });
});
