import { describe, expect, it } from 'vitest';
import {
  descriptorComplaint,
  descriptorLimit,
  descriptorsForConnections,
} from '../../../src/process/descriptor-limit.ts';

const LIMITS =
  'Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 4096                 files\n';

describe('the limit of open files', () => {
  it('is read as the system lists it, and unknown where it does not', () => {
    expect(descriptorLimit(() => LIMITS)).toBe(1024);
    expect(descriptorLimit(() => '')).toBe(null);
    expect(
      descriptorLimit(() => {
        throw new Error('ENOENT');
      }),
    ).toBe(null);
  });

  it('leaves the streams theirs before connections get any', () => {
    expect(descriptorsForConnections(32, 1024)).toBe(640);
    expect(descriptorsForConnections(256, 1024)).toBe(0);
    expect(descriptorsForConnections(256, null)).toBe(null);
  });

  it('if too low, is reported in one line with the command to run', () => {
    expect(descriptorComplaint(64)).toMatch(/^this process may open 64 files.*ulimit -n 4096[^\n]*$/);
    expect([descriptorComplaint(136), descriptorComplaint(null)]).toEqual([null, null]);
  });
});
