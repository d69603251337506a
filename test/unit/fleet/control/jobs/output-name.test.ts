import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outputName } from '../../../../../src/fleet/control/jobs/output-name.ts';

describe('outputName', () => {
  it('is the file name and .jsonl', () => {
    expect(outputName(['/a/clip.mp4', '/a/other.mp4', '/a/myclip.mp4'], 0)).toBe('clip.mp4.jsonl');
  });

  it('distinguishes inputs with the same name, ignoring case', () => {
    const inputs = ['/a/clip.mp4', '/b/clip.mp4', '/c/CLIP.mp4', '/c/other.mp4'];
    const names = inputs.map((_, i) => outputName(inputs, i));
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(4);
    expect(names[0]).toMatch(/^clip\.mp4-[0-9a-f]{8}\.jsonl$/);
    expect(names[3]).toBe('other.mp4.jsonl');
  });

  it('does not depend on the order of the inputs', () => {
    expect(outputName(['/a/clip.mp4', '/b/clip.mp4'], 0)).toBe(outputName(['/b/clip.mp4', '/a/clip.mp4'], 1));
  });

  it('gives every input a unique name, even the same path twice', () => {
    const path = fc.tuple(fc.constantFrom('a', 'b', 'a/b'), fc.constantFrom('x.mp4', 'X.mp4', 'y.mkv'));
    fc.assert(
      fc.property(fc.array(path, { minLength: 1, maxLength: 12 }), (paths) => {
        const inputs = paths.map(([folder, name]) => `/${folder}/${name}`);
        const names = inputs.map((_, i) => outputName(inputs, i).toLowerCase());
        expect(new Set(names).size).toBe(inputs.length);
      }),
    );
  });
});
