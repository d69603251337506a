import { describe, expect, it } from 'vitest';
import {
  descriptorComplaint,
  descriptorLimit,
  descriptorsFor,
  descriptorsForConnections,
} from '../../../../src/base/process/descriptor-limit.ts';

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

  it('leaves the streams theirs before connections get any, but connections an eighth', () => {
    expect(descriptorsForConnections(32, 1024)).toEqual({ connections: 640, limit: 1024 });
    expect(descriptorsForConnections(256, 1024)).toEqual({ connections: 128, limit: 1024 });
    expect(descriptorsForConnections(256, null)).toBe(null);
  });

  it('is enough for all connections where it is as high as the advice says', () => {
    expect(descriptorsForConnections(256, descriptorsFor(256, 1000))?.connections).toBe(1000);
  });

  it('if too low, is reported in one line with the command to run', () => {
    expect(descriptorComplaint(64)).toMatch(/^this process may open 64 files.*ulimit -n 4096[^\n]*$/);
    expect([descriptorComplaint(136), descriptorComplaint(null)]).toEqual([null, null]);
  });
});
