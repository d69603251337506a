import { describe, expect, it } from 'vitest';
import { targetWarnings } from '../../../src/host/target-warnings.ts';
import { parseStream } from '../../../src/pipeline/load-pipeline.ts';

const CAMERA = 'rtsp://camera.example/1';

describe('targets that cannot be met', () => {
  it.each([
    [{ source: CAMERA, target: { fps: 25 } }],
    [{ source: CAMERA, every: 2, target: { fps: 25 } }],
    [{ source: 'synthetic:testsrc2=size=64x64:rate=30', loop: true, target: { fps: 30 } }],
    // A target counts as missed below 95 %.
    [{ source: 'synthetic:testsrc2=size=64x64:rate=30000/1001', realtime: true, target: { fps: 30 } }],
    // Read at full speed.
    [{ source: 'synthetic:testsrc2=size=64x64:rate=10', target: { fps: 100 } }],
    [{ source: CAMERA, every: 100 }],
  ])('%j: none', (settings) => {
    expect(targetWarnings(parseStream({ id: 'a', ...settings }, {}))).toEqual([]);
  });

  it.each([
    [{ source: CAMERA, every: 5, target: { fps: 20 } }, /needs a source of 100 frames\/s/],
    [
      { source: 'synthetic:testsrc2=size=64x64:rate=30', realtime: true, every: 2, target: { fps: 20 } },
      /at most 15 frames\/s, because the source has 30 frames\/s and every is 2/,
    ],
    [{ source: 'synthetic:testsrc2', policy: 'live', target: { fps: 30 } }, /at most 25 frames\/s/],
  ] as const)('%j: says what is let through', (settings, text) => {
    expect(targetWarnings(parseStream({ id: 'a', ...settings }, {}))).toEqual([expect.stringMatching(text)]);
  });
});
