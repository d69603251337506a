import { describe, expect, it } from 'vitest';
import { nestingFault } from '../../../../src/settings/config/nesting-fault.ts';

const nested = (levels: number, inner: unknown = 1): unknown =>
  Array.from({ length: levels }).reduce((value, _, i) => (i % 2 === 0 ? [value] : { a: value }), inner);

describe('nestingFault', () => {
  it('accepts 64 levels of lists and sections, and refuses one more', () => {
    expect([nestingFault(nested(64)), nestingFault(1), nestingFault(null), nestingFault([])]).toEqual(
      Array(4).fill(null),
    );
    expect(nestingFault(nested(65))).toBe('more than 64 lists and sections within each other');
    expect(nestingFault({ a: 1, b: nested(40_000) })).toBe('more than 64 lists and sections within each other');
  });

  it('counts the levels of what is referred to from several depths from each of them', () => {
    const shared = nested(40);
    expect(nestingFault([shared, nested(23, shared)])).toBe(null);
    expect(nestingFault([shared, nested(24, shared)])).toBe('more than 64 lists and sections within each other');
    expect(nestingFault([nested(24, shared), shared])).toBe('more than 64 lists and sections within each other');
  });

  it('refuses what contains itself', () => {
    const loop: unknown[] = [];
    loop.push({ inside: [loop] });
    expect(nestingFault({ loop })).toBe('something that contains itself');
  });

  it('looks at each value once, though 2 ** 60 ways lead to the last', () => {
    let reads = 0;
    let value: unknown = {
      get last() {
        reads++;
        return 1;
      },
    };
    for (let i = 0; i < 60; i++) value = [value, value];
    expect([nestingFault(value), reads]).toEqual([null, 1]);
  });
});
